"""How many steps real programs have. A regression here is a regression in speed."""

import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet.nn import adam
from symnet.schedule.program import KernelStep, MatmulStep

x, y = T.matrices("x", "y")
labels = T.lvector("labels")
g, b = T.vectors("g", "b")


def steps(inputs, outputs, updates=(), **more):
    """(kernel steps, gemm steps) of a compiled function."""
    f = symnet.function(inputs, outputs, updates=updates, **more)
    kinds = [type(s) for s in f.program.steps]
    assert set(kinds) <= {KernelStep, MatmulStep}
    return kinds.count(KernelStep), kinds.count(MatmulStep)


def weights(*shape):
    return symnet.shared(np.ones(shape, "float32"))


def network(loss, batch=16):
    X, Y, i = weights(60, 784), symnet.shared(np.zeros(60, "int64")), T.lscalar("i")
    parameters = [weights(784, 30), weights(30), weights(30, 10), weights(10)]
    W1, b1, W2, b2 = parameters
    hidden = T.nnet.relu(T.dot(x, W1) + b1)
    cost = loss(T.dot(hidden, W2) + b2)
    grads = symnet.grad(cost, parameters)
    rows = slice(i * batch, (i + 1) * batch)
    return steps(
        [i],
        cost,
        [(p, p - 0.1 * grad) for p, grad in zip(parameters, grads)],
        givens={x: X[rows], labels: Y[rows]},
    )


def test_a_step_of_sgd():
    """Per layer a gemm each for value, gradient of the input, and weight with its update; a kernel
    each for bias and non-linearity, its gradient with the bias's update, softmax with
    cross-entropy and its gradient, the mean, the last bias, the batch's cost."""
    kernels, products = network(
        lambda z: T.nnet.categorical_crossentropy(T.nnet.softmax(z), labels).mean()
    )
    assert products == 5
    assert kernels <= 6


def test_a_step_of_sgd_with_the_loss_as_theano_s_tutorial_spells_it():
    """Today more: that there are as many labels as rows is not known when it is compiled."""
    kernels, products = network(
        lambda z: -T.mean(T.log(T.nnet.softmax(z))[T.arange(labels.shape[0]), labels])
    )
    assert products == 5
    assert kernels <= 11


LOSSES = {
    "labels": lambda z: T.nnet.categorical_crossentropy(T.nnet.softmax(z), labels),
    "labels of logits": lambda z: T.nnet.categorical_crossentropy_from_logits(z, labels),
    "one-hot": lambda z: T.nnet.categorical_crossentropy(T.nnet.softmax(z), y),
    "binary": lambda z: T.nnet.binary_crossentropy(T.nnet.sigmoid(z), y),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_and_its_gradient(loss):
    """One kernel each way, and one that finishes the mean."""
    cost = LOSSES[loss](x).mean()
    kernels, _ = steps([x, y, labels], [cost, symnet.grad(cost, x)], on_unused_input="ignore")
    assert kernels <= 3


def layer_norm(variance):
    centred = x - x.mean(axis=1, keepdims=True)
    return centred / T.sqrt(variance(centred) + 1e-5) * g + b


@pytest.mark.parametrize(
    "outputs",
    [
        T.nnet.softmax(x),
        T.nnet.log_softmax(x),
        T.nnet.softmax(x, axis=0),
        layer_norm(lambda c: T.sqr(c).mean(axis=1, keepdims=True)),
        layer_norm(lambda c: x.var(axis=1, keepdims=True)),
        [x.mean(axis=0), x.var(axis=0), T.max(x, axis=0)],
        [T.exp(x), T.tanh(x), x.sum(axis=1), T.max(x, axis=1)],
        T.tanh(x * y + 0.5) * T.exp(-x * x) + T.log1p(y),
        x[:, ::-1].T + 1,
        x[labels] * 2,
    ],
    ids=str,
)
def test_one_kernel(outputs):
    assert steps([x, y, g, b, labels], outputs, on_unused_input="ignore") == (1, 0)


def test_a_sum_over_everything_has_a_second_step_that_combines():
    value = (T.tanh(x * y + 0.5) * T.exp(-x * x) + T.log1p(y)).sum()
    assert steps([x, y], [value, T.sqrt(value)]) == (2, 0)


def test_adam_updates_a_parameter_in_one_kernel():
    def kernels(count):
        parameters = [weights(5, 4) for _ in range(count)]
        cost = sum(T.sqr(T.dot(x, p)).sum() for p in parameters)
        return steps([x], [], adam(cost, parameters))[0]

    # for each further parameter: the gradient's scale, and moments and parameter together
    assert kernels(3) - kernels(2) <= 2


def test_steps_grow_linearly_with_layers():
    def count(layers):
        h, parameters = x, [weights(4, 4) for _ in range(layers)]
        for p in parameters:
            h = T.tanh(T.dot(h, p))
        grads = symnet.grad(T.sqr(h).mean(), parameters)
        f = symnet.function([x], [], updates=[(p, p - 0.1 * d) for p, d in zip(parameters, grads)])
        return len(f.program.steps), len(f.program.kernels)

    few, many = count(10), count(20)
    assert many[0] - few[0] == 10 * (count(11)[0] - few[0])
    assert many[1] == few[1]  # equal kernels are one kernel


def test_graphs_with_too_many_different_kernels_are_not_fused():
    rng = np.random.default_rng(0)
    h = T.vector("h")
    ops = [T.tanh, T.sin, T.exp, T.sqr, T.cos, T.abs]
    value = h
    for _ in range(6000):
        value = ops[rng.integers(6)](value * 0.5) + float(rng.random())
    f = symnet.function([h], value)
    assert len(f.program.kernels) < 30
    start = np.linspace(-1, 1, 5).astype("float32")
    np.testing.assert_allclose(
        f(start), symnet.function([h], value, mode="reference")(start), rtol=1e-4
    )


def test_a_reshape_of_a_member_ends_its_step():
    """It looks at memory, which is complete only when the step is."""
    value = T.abs(x - 0.5)
    f = symnet.function([x], T.minimum(value.reshape((1, -1)).flatten(), 1) + value.flatten()[::-1])
    given = np.arange(6, dtype="float32").reshape(2, 3)
    flat = np.abs(given - 0.5).ravel()
    np.testing.assert_array_equal(f(given), np.minimum(flat, 1) + flat[::-1])


@pytest.mark.parametrize("value", [T.dot(x, y).reshape((-1,)), T.exp(x).flatten()], ids=str)
def test_reshaped_outputs_are_not_copied(value):
    assert sum(steps([x, y], value, on_unused_input="ignore")) == 1


def test_a_value_and_its_reshapes_as_outputs():
    h = T.exp(x)
    f = symnet.function(
        [x], [h.flatten(), h, h.reshape((2, -1)), h.T, T.dot(h.flatten(), h.flatten())]
    )
    given = np.arange(6, dtype="float32").reshape(3, 2)
    e = np.exp(given)
    results = f(given)
    for found, wanted in zip(results, (e.ravel(), e, e.reshape(2, 3), e.T, (e * e).sum())):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert not any(np.shares_memory(a, b) for k, a in enumerate(results) for b in results[:k])


def test_one_element_backwards_is_the_element():
    single = T.tensor("float32", shape=(1, None))
    top = T.max(single, axis=1, keepdims=True)
    f = symnet.function([single], T.maximum(top[::-1, ::-1], 3) + single.sum(axis=1)[::-1])
    assert len(f.program.steps) == 2  # one pass, and what combines its blocks
    assert f(np.array([[1, 5, 2]], "float32")).tolist() == [[13]]
