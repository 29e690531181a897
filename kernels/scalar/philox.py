"""Counter-based random bits: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011).

Four 32-bit words from a key of two words and a counter of four. Each word is a function of its own;
LLVM and nvcc merge the shared rounds of two that are called with the same key and counter.
"""

from symnet.kernels.scalar.registry import define
from symnet.kernels.scalar.trace import Value

ROUNDS = 10
_MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
_WEYL = 0x9E3779B9, 0xBB67AE85


def wide_product(a: Value, b: Value) -> tuple[Value, Value]:
    """High and low word of a uint32 product."""
    product = a.to("uint64") * b.to("uint64")
    return (product >> 32).to("uint32"), product.to("uint32")


def block(key0: Value, key1: Value, *counter: Value) -> tuple[Value, Value, Value, Value]:
    """The four words of one counter."""
    c0, c1, c2, c3 = counter
    for _ in range(ROUNDS):
        high0, low0 = wide_product(c0, c0.like(_MULTIPLIERS[0]))
        high1, low1 = wide_product(c2, c2.like(_MULTIPLIERS[1]))
        c0, c1, c2, c3 = high1 ^ c1 ^ key0, low1, high0 ^ c3 ^ key1, low0
        key0, key1 = key0 + _WEYL[0], key1 + _WEYL[1]
    return c0, c1, c2, c3


def _define_word(index: int) -> None:
    @define("uint32", "T T T T T T", name=f"philox_word{index}")
    def word(key0: Value, key1: Value, c0: Value, c1: Value, c2: Value, c3: Value) -> Value:
        """One of the four words for (key0, key1, c0, c1, c2, c3)."""
        return block(key0, key1, c0, c1, c2, c3)[index]


for _index in range(4):
    _define_word(_index)
