"""What runs a graph: `reference` interprets it in NumPy, `cpu` and `gpu` run compiled programs."""
