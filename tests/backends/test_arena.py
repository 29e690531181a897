"""Placing buffers: what lives at the same time is apart."""

from hypothesis import given
from hypothesis import strategies as st

from symnet.backends.arena import place

buffers = st.lists(
    st.tuples(st.integers(0, 9000), st.integers(0, 12), st.integers(0, 6)), max_size=25
)


@given(buffers, st.sampled_from([64, 256]), st.integers(0, 2))
def test_what_lives_at_the_same_time_is_apart(found, align, apart):
    sizes = [size for size, _, _ in found]
    lives = [(first, first + more) for _, first, more in found]
    offsets, top = place(sizes, lives, align, apart)
    for k, offset in enumerate(offsets):
        assert offset % align == 0 and 0 <= offset <= offset + sizes[k] <= top
        for j in range(k):
            together = lives[k][0] <= lives[j][1] + apart and lives[j][0] <= lives[k][1] + apart
            if together and sizes[k] and sizes[j]:
                assert offset + sizes[k] <= offsets[j] or offsets[j] + sizes[j] <= offset


def test_one_place_serves_a_chain():
    offsets, top = place([1000] * 6, [(k, k + 1) for k in range(6)], 256)
    assert top == 2048 and len(set(offsets)) == 2
    _, apart = place([1000] * 6, [(k, k + 1) for k in range(6)], 256, apart=1)
    assert apart == 3072
