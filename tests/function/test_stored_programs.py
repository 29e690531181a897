"""Programs that come from the cache behave, and name the user's lines, as if compiled here."""

import os
import subprocess
import sys

HEAD = """
import numpy as np
import symnet
import symnet.tensor as T
from symnet.backends.cpu import cache

stored = cache.store
cache.store = lambda kind, *rest: print(kind) or stored(kind, *rest)
x, y = T.matrix("x"), T.lvector("y")
"""
ONE_LINE = """
loss = T.nnet.categorical_crossentropy(T.nnet.softmax(T.tanh(x) * 2), y).mean()
"""
MORE_LINES = """
p = T.nnet.softmax(T.tanh(x)
    * 2)

loss = T.nnet.categorical_crossentropy(p, y)
loss = loss.mean()
"""
TAIL = """
f = symnet.function([x, y], loss)
print(f(np.zeros((2, 3), "float32"), [0, 1]))
try:
    f(np.zeros((2, 3), "float32"), [0, 7])
except symnet.errors.IndexOutOfBoundsError as error:
    print(error)
"""


def run(tmp_path, name, body):
    program = tmp_path / f"{name}.py"
    program.write_text(HEAD + body + TAIL)
    done = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, "SYMNET_CACHE": str(tmp_path / "cache"), "SYMNET_FLAGS": ""},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return program, done.stdout


def test_a_stored_program_names_the_lines_of_the_graph_at_hand(tmp_path):
    first, out = run(tmp_path, "first", ONE_LINE)
    assert "programs\n" in out
    line = (HEAD + ONE_LINE).splitlines().index(ONE_LINE.strip()) + 1
    assert f"built at {first}:{line}" in out

    second, out = run(tmp_path, "second", MORE_LINES)
    assert "programs" not in out and "kernels" not in out  # it is the same program
    wanted = "loss = T.nnet.categorical_crossentropy(p, y)"
    line = (HEAD + MORE_LINES).splitlines().index(wanted) + 1
    assert f"built at {second}:{line}  `{wanted}`" in out
    assert "1.098" in out and "index 7 is out of bounds" in out and "first.py" not in out


def test_messages_name_the_variables_of_the_graph_at_hand(tmp_path):
    body = """
a, b = T.matrix({!r}), T.matrix({!r})
try:
    symnet.function([a, b], a + b)(np.zeros((2, 1), "float32"), np.zeros((2, 3), "float32"))
except symnet.errors.ShapeError as error:
    print(error)
loss = T.sum(T.tanh(x)) + T.sum(y)
"""
    for first, second in (("m", "n"), ("first", "second")):
        _, out = run(tmp_path, first, body.format(first, second))
        assert f"add({first}: float32(?, ?), {second}: float32(?, ?)): sizes in dimension 1" in out
