"""The permutation step: a uniformly random order of 0..n-1, by Fisher and Yates.

Knuth, The Art of Computer Programming 2, section 3.4.2, algorithm P, run upwards: for i = 1..n-1,
j = bounded(draw(i), i + 1), then entries i and j are exchanged. draw(i) is the 64 bits of the first
two words of Philox 4x32-10 with key (seed, stream) and counter (i, i >> 32, step, step >> 32), so
the same seed gives the same order on every back end (design D22).

A step of the tape. `args` is the address of `WORDS` int64 words: the address of the n int64 of the
result, n, and for each of seed, stream and step a value and a flag: with flag 1 the value is the
address of an int64 that holds it.

Why by hand: every exchange depends on the one before, which no element-wise kernel can express.
"""

from pathlib import Path

OUT, N, SEED, SEED_AT, STREAM, STREAM_AT, STEP, STEP_AT = range(8)
WORDS = 8


def source() -> str:
    """The text to compile; its entry is `shuffle`."""
    return Path(__file__).with_name("cpu.py").read_text("utf-8")
