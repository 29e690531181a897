"""Data sets, and the readers of their files."""

from symnet.data.digits import MIRRORS, Digits, FlatDigits, mnist, synthetic
from symnet.data.download import DownloadError
from symnet.data.idx import read_idx
from symnet.data.strokes import synthetic_digits

__all__ = [
    "MIRRORS",
    "Digits",
    "DownloadError",
    "FlatDigits",
    "mnist",
    "read_idx",
    "synthetic",
    "synthetic_digits",
]
