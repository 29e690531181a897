"""The rules by purpose: algebra, movement, folding, stability, BLAS, expansion."""
