"""The user's lines that nodes carry."""

import sys
import threading

import symnet.tensor as T
from symnet.graph import origin as origins
from symnet.graph.origin import Origin


def line() -> int:
    return sys._getframe(1).f_lineno


def test_here_is_the_calling_line():
    found, wanted = origins.here(), line()
    assert found == Origin(__file__, wanted)


def test_nodes_built_inside_at_carry_the_origin_it_names():
    given = Origin("model.py", 7)
    with origins.at(given):
        x = T.matrix("x")
        y = T.exp(x) + 1
    after, wanted = T.exp(y), line()
    assert x.origin == given
    assert y.owner.origin == given
    assert [v.owner.origin for v in y.owner.inputs if v.owner] == [given]
    assert after.origin == Origin(__file__, wanted)


def test_the_innermost_block_counts_and_an_error_ends_it():
    outer, inner = Origin("model.py", 1), Origin("model.py", 2)
    with origins.at(outer):
        try:
            with origins.at(inner):
                assert origins.here() == inner
                raise ValueError
        except ValueError:
            pass
        assert origins.here() == outer
    assert origins.here().file == __file__


def test_other_threads_do_not_see_it():
    inside, seen = threading.Event(), []

    def look():
        inside.wait(10)
        seen.append(origins.here())

    thread = threading.Thread(target=look)
    thread.start()
    with origins.at(Origin("model.py", 3)):
        inside.set()
        thread.join()
    assert seen[0].file == __file__
