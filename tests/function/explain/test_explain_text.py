"""The explanation of real functions: every line, rule, kernel and buffer is there, and right."""

import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet.errors import ShapeError, TypeMismatchError
from symnet.graph import Apply, Op
from symnet.rewrite import tracing


class Network:
    """A perceptron with a ReLU and a softmax, and its step of gradient descent."""

    def __init__(self, profile=False, mode=None):
        self.x, self.y = T.matrix("x"), T.lvector("y")
        rng = np.random.default_rng(0)
        self.W1 = symnet.shared(rng.normal(size=(7, 5)).astype("float32"), name="W1")
        self.b1 = symnet.shared(np.zeros(5, "float32"), name="b1")
        self.W2 = symnet.shared(rng.normal(size=(5, 3)).astype("float32"), name="W2")
        hidden = T.nnet.relu(T.dot(self.x, self.W1) + self.b1)
        probability = T.nnet.softmax(T.dot(hidden, self.W2))
        cost = T.nnet.categorical_crossentropy(probability, self.y).mean()
        self.parameters = [self.W1, self.b1, self.W2]
        gradients = symnet.grad(cost, self.parameters)
        updates = [(v, v - 0.1 * g) for v, g in zip(self.parameters, gradients)]
        self.train = symnet.function(
            [self.x, self.y], cost, updates=updates, mode=mode, profile=profile, name="train"
        )
        self.points = rng.normal(size=(11, 7)).astype("float32")
        self.labels = rng.integers(0, 3, 11)


@pytest.fixture(scope="module")
def network():
    return Network()


@pytest.fixture(scope="module")
def explained(network):
    return network.train.explain(network.points, network.labels)


def test_every_line_of_the_graph_is_there(network, explained):
    nodes = network.train.outputs
    origins = {network.x.origin, network.W1.origin}
    stack, seen = list(nodes), set()
    while stack:
        node = stack.pop().owner
        if node is not None and node not in seen:
            seen.add(node)
            origins.add(node.origin)
            stack.extend(node.inputs)
    assert origins <= {line.origin for line in explained.lines}
    for origin in origins:
        assert any(
            row.split()[:1] == [str(origin.line)] and origin.text[:60] in row
            for row in str(explained.lines).splitlines()
        )
    assert sum(line.nodes for line in explained.lines) == len(seen)


def test_steps_are_those_of_the_program(network, explained):
    program = network.train.program
    assert len(explained.steps) == len(program.steps)
    for step in explained.steps:
        assert f"step {step.number}: {step.what}" in str(explained.steps)
        assert step.lines and step.results
    equations = [text for step in explained.steps for text in step.results]
    assert "buf0 = x @ W1" in equations
    assert "buf0 = relu(buf0 + b1)" in equations
    assert any(text.startswith("W1 = W1 - 0.1 * (x.T @ buf") for text in equations)


def test_every_kernel_is_printed_with_its_source_and_lines(network, explained):
    assert len(explained.kernels) == len(network.train.program.kernels)
    text = str(explained)
    for kernel in explained.kernels:
        for line in kernel.source.splitlines():
            assert line in text
        assert kernel.steps and kernel.lines
        for step, arrays in zip(kernel.steps, kernel.operands):
            assert explained.steps[step].kernel == kernel.number
            touched = {access.label for access in explained.steps[step].accesses}
            assert touched <= set(arrays)


def test_a_kernel_fused_of_several_lines_names_them_all(network, explained):
    """Softmax, cross-entropy and the gradient of both are one kernel, from three lines."""
    texts = {line.number: line.origin.text for line in explained.lines}
    fused = [step for step in explained.steps if len(step.lines) > 2]
    assert fused
    said = " ".join(texts[k] for k in fused[0].lines)
    assert "softmax" in said and "crossentropy" in said and "symnet.grad" in said


def test_bytes_of_products_and_kernels(explained):
    """By hand, for 11 examples: float32 (4 bytes), 7 inputs, 5 units, 3 classes."""
    by_result = {text.split(" = ")[1]: step for step in explained.steps for text in step.results}
    product = by_result["x @ W1"]
    assert product.bytes == 4 * (11 * 7 + 7 * 5 + 11 * 5)
    assert product.operations == 2 * 11 * 7 * 5
    relu = by_result["relu(buf0 + b1)"]
    assert relu.bytes == 4 * (5 + 11 * 5 + 11 * 5)
    update = next(step for text, step in by_result.items() if text.startswith("W1 - 0.1"))
    assert update.bytes == 4 * (11 * 7 + 11 * 5 + 2 * 7 * 5)
    shared = {a.label: (a.reads, a.writes) for a in update.accesses}
    assert shared["W1"] == (140, 140) and shared["x"] == (308, 0)


def test_rules_with_both_sides_and_lines(explained):
    assert [phase.name for phase in explained.rules] == ["simplify", "specialise", "blas"]
    uses = {r.rule: r.uses for phase in explained.rules for r in phase.rules}
    (use,) = uses["log of softmax"]
    assert (use.before, use.after) == ("log(softmax{1}(a))", "log_softmax{1}(a)")
    assert use.legend == ["a = relu(x @ W1 + dimshuffle{x,0}(b1)) @ W2"]
    assert "crossentropy" in use.line.text
    products = [use.before for use in uses["sum with product"]]
    assert products == ["W1 - 0.1 * (a @ b)", "W2 - 0.1 * (a @ b)"]
    for name in uses:
        assert name in str(explained.rules)


def test_memory_of_the_plan_adds_up(network, explained):
    (plan,) = explained.memory
    assert not network.train._runner.free  # sizes come from a copy: the function never ran
    assert len(plan.buffers) == len(network.train.program.buffers)
    for b in plan.buffers:
        assert b.bytes is not None and b.offset is not None and b.holds
        assert b.offset + b.bytes <= plan.arena
    together = [
        (a, b)
        for a in plan.buffers
        for b in plan.buffers
        if a.number < b.number and a.first <= b.last and b.first <= a.last
    ]
    assert together
    for a, b in together:
        assert a.offset + a.bytes <= b.offset or b.offset + b.bytes <= a.offset
    assert plan.arena <= plan.apart
    assert {u.label: u.how for u in plan.updated} == dict.fromkeys(
        ("W1", "b1", "W2"), "updated in place"
    )
    (product,) = [b for b in plan.buffers if "x @ W1" in b.holds]
    assert product.bytes == 4 * 11 * 5 and product.in_place == [1]


def test_measuring_changes_nothing():
    network = Network()
    before = [v.get_value() for v in network.parameters]
    found = network.train.explain(network.points, y=network.labels)
    for variable, value in zip(network.parameters, before):
        np.testing.assert_array_equal(variable.get_value(), value)
    assert all(step.seconds >= 0 for step in found.steps)
    total = sum(step.seconds for step in found.steps)
    assert sum(line.seconds or 0 for line in found.lines) == pytest.approx(total)
    # steps paired with the one before are known from the copy that is not measured step by step
    assert all(found.steps[step.number - 1].kind == "gemm" for step in found.steps if step.paired)


def test_a_function_with_a_profile_tells_its_own_times():
    network = Network(profile=True)
    assert network.train.explain().steps[0].seconds is None
    for _ in range(3):
        network.train(network.points, network.labels)
    found = network.train.explain()
    rows = network.train.profile.rows()
    assert [step.calls for step in found.steps] == [3] * len(rows)
    assert [step.seconds for step in found.steps] == pytest.approx(
        [row.seconds / row.calls for row in rows]
    )
    assert "profile of 3 calls" in str(found)


def test_sizes_are_formulas_before_the_first_call_and_those_of_the_last_after_it():
    x = T.matrix("x")
    f = symnet.function([x], T.exp(x).sum(axis=1))
    (step,) = f.explain().steps
    assert step.bytes is None and step.shape == "x.shape[0] × x.shape[1]"
    f(np.ones((2, 3), "float32"))
    (step,) = f.explain().steps
    assert step.bytes == 4 * (6 + 2) and step.shape == "2 × 3"
    assert step.seconds is None


def test_stored_programs_are_explained_like_fresh_ones(network):
    again = Network()
    lines = [step.results for step in again.train.explain().steps]
    assert lines == [step.results for step in network.train.explain().steps]


def test_functions_that_compile_nothing():
    f = Network(mode="reference").train
    text = str(f.explain())
    assert "reference" in text and "crossentropy" in text and "kernel" not in text


class Tripled(Op):
    """An op without lowering: it runs in Python."""

    def make_node(self, x, origin=None):
        return Apply(self, [x], [x.type], origin)

    def perform(self, node, inputs):
        return [inputs[0] * 3]

    def __str__(self):
        return "tripled"


def test_python_between_native_programs():
    v = T.vector("v")
    out = T.tanh(Tripled().make_node(T.exp(v)).out).sum()
    found = symnet.function([v], out).explain(np.ones(4, "float32"))
    assert [step.results[0] for step in found.steps[:2]] == [
        "val0 = exp(v)",
        "val1 = tripled(val0)",
    ]
    assert [step.number for step in found.steps] == list(range(len(found.steps)))
    assert found.steps[1].kind == "Python" and found.steps[1].seconds > 0
    assert any("tanh(val1)" in text for step in found.steps[2:] for text in step.results)


def test_shared_variables_that_grow_are_measured_at_their_size():
    v = T.vector("v")
    w = symnet.shared(np.ones(3, "float32"), name="w")
    f = symnet.function([v], w.sum(), updates={w: T.concatenate([w, v])})
    found = f.explain(np.ones(2, "float32"))
    assert w.get_value().shape == (3,)
    assert next(s for s in found.steps if "sum{0}(w)" in s.results[0]).shape == "3"
    assert "w: takes the new array" in str(found.memory)


def test_no_arguments_and_random_updates():
    order = symnet.shared(np.arange(20), name="order")
    random = symnet.tensor.shared_randomstreams.RandomStreams(1)
    f = symnet.function([], [], updates={order: random.permutation(n=20)})
    found = f.explain()
    np.testing.assert_array_equal(order.get_value(), np.arange(20))
    (step,) = [step for step in found.steps if step.kind == "permutation"]
    assert step.seconds is not None and step.operations == 20


def test_wrong_arguments_raise_as_in_a_call(network):
    with pytest.raises(TypeMismatchError, match="x"):
        network.train.explain(np.ones(3, "float32"), network.labels)
    with pytest.raises(ShapeError):
        network.train.explain(np.ones((2, 3), "float32"), network.labels[:2])


def test_long_functions_stay_readable():
    y = x = T.vector("x")
    for k in range(1500):
        y = T.tanh(y + k)
    text = str(symnet.function([x], y).explain(np.ones(3, "float32")))
    assert max(len(row) for row in text.splitlines() if "import" not in row) < 300
    assert "more lines" in text


def test_tracing_shows_what_grad_stabilises():
    x = T.vector("x")
    cost = T.log(1 + T.exp(x)).sum()
    with tracing() as phases:
        symnet.grad(cost, x)
    assert [step.rule for phase in phases for step in phase.steps] == ["log(1 + x)", "log1p exp"]
    with tracing() as later:
        pass
    symnet.grad(cost, x)
    assert later == []
