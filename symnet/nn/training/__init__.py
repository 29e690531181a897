"""Training: what `fit`, `evaluate` and `predict` do, callbacks, checkpoints, histories."""
