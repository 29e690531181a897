"""Scripts that train the MLP 784-1000-10 for one step of batch 128 and print its cost.

They are run in new processes by `cases/startup.py`; the time to the first line is what counts, so
they import nothing but the peer and NumPy.
"""
