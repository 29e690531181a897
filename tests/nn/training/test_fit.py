"""fit, evaluate and predict: against NumPy, against a loop written by hand, and themselves."""

import copy
import functools
import gc
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symnet
import symnet.tensor as T
from symnet import nn
from symnet.errors import ConfigError, ShapeError, TypeMismatchError
from symnet.tensor.shared_randomstreams import RandomStreams

RNG = np.random.default_rng(0)
COUNT, FEATURES, CLASSES = 70, 5, 3
X = RNG.normal(size=(COUNT, FEATURES)).astype("float32")
Y = RNG.integers(0, CLASSES, COUNT)


def network(dropout=0.0, hidden=8, **settings):
    layers = [nn.Dense(hidden, activation="tanh", **settings)]
    if dropout:
        layers.append(nn.Dropout(dropout))
    return nn.Sequential([*layers, nn.Dense(CLASSES, activation="softmax")], seed=1)


def compiled(model=None, optimizer="momentum", loss="categorical_crossentropy", **more):
    model = network() if model is None else model
    more = {"metrics": ["accuracy"], "learning_rate": 0.1, **more}
    model.compile(optimizer, loss, **more)
    return model


def fit(model, x=X, y=Y, **more):
    return model.fit(x, y, **{"epochs": 2, "batch_size": 16, "verbose": 0, "seed": 3, **more})


def same(a, b):
    return all(np.array_equal(p, q) for p, q in zip(a.get_weights(), b.get_weights(), strict=True))


def forward(model, x):
    """The network in float64 NumPy: hidden units and probabilities."""
    w1, b1, w2, b2 = (w.astype("float64") for w in model.get_weights())
    hidden = np.tanh(x @ w1 + b1)
    scores = hidden @ w2 + b2
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return hidden, powers / powers.sum(axis=1, keepdims=True)


def numpy_step(weights, x, y, rate, factors):
    """One step of gradient descent on the mean of weighted losses."""
    w1, b1, w2, b2 = weights
    hidden = np.tanh(x @ w1 + b1)
    scores = hidden @ w2 + b2
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    p = powers / powers.sum(axis=1, keepdims=True)
    losses = -np.log(p[np.arange(len(y)), y]) * factors
    d = (p - np.eye(CLASSES)[y]) * (factors / len(y))[:, None]
    back = (d @ w2.T) * (1 - hidden**2)
    gradients = [x.T @ back, back.sum(0), hidden.T @ d, d.sum(0)]
    right = (p.argmax(1) == y).sum()
    return [w - rate * g for w, g in zip(weights, gradients)], losses.sum(), right


@pytest.mark.parametrize("size", [16, 70, 7, 69, 1])
@pytest.mark.parametrize("weighing", ["none", "samples", "classes", "both"])
def test_epochs_are_those_of_numpy(size, weighing):
    samples = RNG.uniform(0, 3, COUNT)
    classes = {0: 0.5, 2: 2.0}
    factors = np.ones(COUNT)
    more = {}
    if weighing in ("samples", "both"):
        factors *= samples
        more["sample_weight"] = samples
    if weighing in ("classes", "both"):
        factors *= np.array([0.5, 1.0, 2.0])[Y]
        more["class_weight"] = classes
    model = compiled(optimizer="sgd")
    model.build([(None, FEATURES)])
    weights = [w.astype("float64") for w in model.get_weights()]
    history = fit(model, batch_size=size, shuffle=False, **more)
    for epoch in range(2):
        total = right = 0.0
        for start in range(0, COUNT, size):
            rows = slice(start, start + size)
            weights, loss, hits = numpy_step(weights, X[rows], Y[rows], 0.1, factors[rows])
            total, right = total + loss, right + hits
        assert history.logs["loss"][epoch] == pytest.approx(total / COUNT, rel=1e-5)
        assert history.logs["accuracy"][epoch] == right / COUNT
    for ours, theirs in zip(model.get_weights(), weights):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("rule", ["sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop",
                                  "adam", "adamw"])  # fmt: skip
def test_fit_is_the_loop_that_one_writes_by_hand(rule):
    """Shuffling, dropout and the last, smaller minibatch included, bit for bit."""
    model = compiled(network(dropout=0.3), rule)
    fit(model, epochs=3)

    other = network(dropout=0.3)
    other.build([(None, FEATURES)])
    random = RandomStreams(3)
    x, y, i, n = T.matrix("x"), T.lvector("y"), T.lscalar("i"), T.lscalar("n")
    forward = nn.Forward(train=True, random=random)
    (p,) = other.expression([x], forward)
    loss = nn.losses.categorical_crossentropy(p, y).mean()
    rate = symnet.shared(np.array(0.1, "float32"))
    updates = getattr(nn, rule)(loss, other.parameters, rate)
    images, labels = symnet.shared(X), symnet.shared(Y)
    order = symnet.shared(np.arange(COUNT))
    rows = order[i * 16 : (i + 1) * 16]
    step = symnet.function([i], loss, updates=updates, givens={x: images[rows], y: labels[rows]})
    draw = symnet.function([n], random.permutation(n=n))
    for _ in range(3):
        order.set_value(draw(COUNT))
        for k in range(-(-COUNT // 16)):
            step(k)
    assert same(model, other)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_a_seed_gives_the_same_bits(dropout):
    models = [compiled(network(dropout)) for _ in range(3)]
    for model, seed in zip(models, (5, 5, 6)):
        fit(model, seed=seed)
    assert same(models[0], models[1]) and not same(models[0], models[2])


def test_a_seed_may_be_numpys():
    seeds = [7, np.int64(7), np.uint8(7)]
    first, *others = [compiled(network(0.5)) for _ in seeds]
    for model, seed in zip([first, *others], seeds):
        fit(model, epochs=2, seed=seed)
    for model in others:
        assert same(first, model)
    drawn = [compiled(network(0.5)) for _ in range(2)]
    for model in drawn:
        fit(model, epochs=2, seed=np.random.default_rng(7))
    assert same(drawn[0], drawn[1])
    assert not same(drawn[0], first)


def test_the_global_seed_decides_where_no_seed_is_given():
    made = []
    for seed in (0, 0, 1):
        nn.set_seed(seed)
        made.append(compiled(network(0.3)))
        fit(made[-1], seed=None)
    assert same(made[0], made[1]) and not same(made[0], made[2])


def test_a_callback_at_every_step_changes_no_bit():
    class Steps(nn.Callback):
        seen = ()

        def on_step_end(self, step, logs):
            self.seen = (*self.seen, (step, logs["loss"]))

    native, python, steps = compiled(network(0.3)), compiled(network(0.3)), Steps()
    one = fit(native)
    two = fit(python, callbacks=[steps])
    assert same(native, python) and one.logs == two.logs
    assert [number for number, _ in steps.seen] == [1, 2, 3, 4, 5] * 2
    np.testing.assert_array_equal([loss for _, loss in steps.seen], np.concatenate(one.steps))


def test_validation_is_evaluate_and_without_dropout():
    model = compiled(network(0.5))
    history = fit(model, validation_split=0.2)
    held = slice(COUNT - 14, None)
    result = model.evaluate(X[held], Y[held])
    assert history.logs["val_loss"][-1] == result["loss"]
    assert history.logs["val_accuracy"][-1] == result["accuracy"]
    _, p = forward(model, X[held])
    assert result["loss"] == pytest.approx(-np.log(p[np.arange(14), Y[held]]).mean(), rel=1e-5)
    given = compiled(network(0.5))
    again = fit(given, X[:56], Y[:56], validation_data=(X[held], Y[held]))
    assert again.logs == history.logs and same(model, given)


def test_validation_teaches_nothing():
    with_it, without = compiled(network(0.3)), compiled(network(0.3))
    fit(with_it, X[:50], Y[:50], validation_data=(X[50:], Y[50:]))
    fit(without, X[:50], Y[:50])
    assert same(with_it, without)


PREDICTING = compiled()
PREDICTING.build([(None, FEATURES)])


@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, COUNT), size=st.integers(1, 80))
def test_the_size_of_pieces_does_not_matter(count, size):
    model = PREDICTING
    whole = model.predict(X[:count])
    np.testing.assert_allclose(model.predict(X[:count], batch_size=size), whole, rtol=1e-5)
    assert whole.shape == (count, CLASSES) and whole.dtype == "float32"
    one = model.evaluate(X[:count], Y[:count])
    other = model.evaluate(X[:count], Y[:count], batch_size=size)
    assert other["accuracy"] == one["accuracy"] == (whole.argmax(1) == Y[:count]).mean()
    assert other["loss"] == pytest.approx(one["loss"], rel=1e-5)


def test_predicted_classes():
    model = PREDICTING
    _, p = forward(model, X)
    np.testing.assert_allclose(model.predict(X), p, rtol=1e-4)
    assert (model.predict_classes(X) == p.argmax(1)).all()
    yes = nn.Sequential([nn.Dense(1, activation="sigmoid")], seed=0, input_shape=FEATURES)
    chosen = yes.predict_classes(X)
    assert chosen.shape == (COUNT,) and chosen.dtype == "int64"
    assert (chosen == (yes.predict(X)[:, 0] > 0.5)).all() and 0 < chosen.mean() < 1


SIGNS = np.where(X[:, 0] > 0.3, 1, -1)


@pytest.mark.parametrize(
    "loss, targets",
    [
        ("binary_crossentropy_from_logits", SIGNS > 0),
        ("hinge", SIGNS),
        ("squared_hinge", SIGNS),
        (functools.partial(nn.losses.hinge), SIGNS),
    ],
)
def test_scores_say_yes_above_0(tmp_path, loss, targets):
    model = nn.Sequential([nn.Dense(1)], seed=0, input_shape=FEATURES)
    metrics = ["accuracy", nn.metrics.recall, nn.metrics.binary_accuracy(0.5)]
    model.compile("sgd", loss, metrics=metrics, learning_rate=0.0)
    scores = model.predict(X)[:, 0]
    assert ((scores > 0) & (scores < 0.5)).any()
    assert (model.predict_classes(X) == (scores > 0)).all()
    expected = {
        "accuracy": ((scores > 0) == (SIGNS > 0)).mean(),
        "recall": nn.metrics.recall_of(nn.metrics.confusion(SIGNS > 0, scores > 0, 2)),
        "binary_accuracy": ((scores > 0.5) == (SIGNS > 0)).mean(),  # as it was asked for
    }
    model.save(tmp_path / "model")
    again = nn.load(tmp_path / "model")
    for found in (
        fit(model, y=targets, epochs=1).last(),
        model.evaluate(X, targets),
        again.evaluate(X, targets),
    ):
        assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_one_program_serves_all_sizes_of_data_and_minibatches():
    model = compiled()
    fit(model)
    feed, step = next(iter(model._program[1]._steps.values()))
    fit(model, X[:33], Y[:33], batch_size=11)
    fit(model, X[:33], Y[:33], batch_size=26, validation_split=0.2)
    assert list(model._program[1]._steps.values()) == [(feed, step)]
    assert feed.inputs[0].get_value().size == feed.order.get_value().size == 0  # let go


def test_integers_stay_what_they_are_and_mean_the_same():
    pixels = RNG.integers(0, 256, (COUNT, 4, 5)).astype("uint8")

    def net():
        made = nn.Sequential(
            [nn.Rescaling(1 / 255), nn.Flatten(), nn.Dense(CLASSES, activation="softmax")], seed=0
        )
        return compiled(made)

    small, large = net(), net()
    fit(small, pixels)
    fit(large, pixels.astype("float32"))
    assert same(small, large)
    (feed, _), *_ = small._program[1]._steps.values()
    assert feed.inputs[0].dtype == "uint8"
    assert np.array_equal(small.predict(pixels), large.predict(pixels.astype("float64")))


def test_targets_in_all_their_forms_teach_the_same():
    hot = np.eye(CLASSES)[Y]
    models = [compiled() for _ in range(6)]
    for model, y in zip(
        models, [Y, Y.astype("uint8"), Y.astype("float64"), Y.tolist(), Y[:, None], Y.astype(">i4")]
    ):
        fit(model, y=y)
    assert all(same(models[0], model) for model in models)
    one_hot = compiled()
    history = fit(one_hot, y=hot)
    for a, b in zip(one_hot.get_weights(), models[0].get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert history.logs["accuracy"] == models[0].history.logs["accuracy"]


def test_regression_with_one_column_or_none():
    target = X @ np.arange(1.0, 6.0)
    made = []
    for y in (target, target[:, None]):
        model = nn.Sequential([nn.Dense(1)], seed=0)
        model.compile("adam", "mean_squared_error", ["mean_absolute_error"], learning_rate=0.1)
        history = fit(model, y=y, epochs=60)
        made.append(model)
    assert same(*made) and history.logs["loss"][-1] < 0.01 * history.logs["loss"][0]
    assert history.logs["mean_absolute_error"][-1] < 0.5


def test_a_loss_of_ones_own():
    def cubic(p, t):
        return abs(p - t) ** 3

    def net(loss):
        model = nn.Sequential([nn.Dense(2)], seed=0)
        model.compile("sgd", loss, learning_rate=0.01)
        return model

    y = X[:, :2]
    columns, mean = net(cubic), net(lambda p, t: cubic(p, t).mean(axis=1))
    assert fit(columns, y=y).logs["loss"] == pytest.approx(fit(mean, y=y).logs["loss"])
    with pytest.raises(ShapeError, match="one per example, without the last mean"):
        fit(net(lambda p, t: cubic(p, t).mean()), y=y)
    with pytest.raises(TypeMismatchError, match="not a floating-point expression"):
        fit(net(lambda p, t: None), y=y)


def test_penalties_are_part_of_the_loss():
    plain, pulled = compiled(), compiled(network(kernel_regularizer=nn.l2(0.01)))
    for model in (plain, pulled):
        model.build([(None, FEATURES)])
    kernel = plain.get_weights()[0].astype("float64")
    difference = pulled.evaluate(X, Y)["loss"] - plain.evaluate(X, Y)["loss"]
    assert difference == pytest.approx(0.01 * (kernel**2).sum(), rel=1e-4)
    fit(plain, epochs=20), fit(pulled, epochs=20)
    assert np.square(pulled.get_weights()[0]).sum() < np.square(plain.get_weights()[0]).sum()


def test_several_inputs_and_outputs():
    a, b = nn.Input(FEATURES, name="a"), nn.Input(2, name="b")
    shared = nn.Dense(6, activation="tanh")(a)
    joined = nn.Concatenate()([shared, b])
    kind = nn.Dense(CLASSES, activation="softmax", name="kind")(joined)
    size = nn.Dense(1, name="size")(joined)
    model = nn.Model([a, b], [kind, size])
    model.compile(
        "adam",
        ["categorical_crossentropy", "mean_squared_error"],
        learning_rate=0.01,
        loss_weights=[1, 0.5],
    )
    other, target = X[:, :2] * 2, X[:, 0]
    history = fit(model, [X, other], [Y, target], validation_split=0.2, epochs=30)
    names = [n for n in history.logs if not n.startswith("val_") and n != "learning_rate"]
    first, second = (name for name in names if name != "loss")
    for k in range(30):
        total = history.logs[first][k] + 0.5 * history.logs[second][k]
        assert history.logs["loss"][k] == pytest.approx(total, rel=1e-5)
    assert history.logs[second][-1] < 0.5 * history.logs[second][0]
    assert f"val_{first}" in history.logs
    p, q = model.predict({"b": other, "a": X})
    assert p.shape == (COUNT, CLASSES) and q.shape == (COUNT, 1)
    found = model.evaluate([X, other], [Y, target])
    assert found[second] == pytest.approx(np.square(q[:, 0] - target).mean(), rel=1e-5)


def test_metrics_of_every_kind():
    model = compiled(
        metrics=[
            "accuracy",
            nn.metrics.top_k(2),
            nn.metrics.confusion_matrix(),
            "f1",
            nn.losses.categorical_crossentropy,
        ]
    )
    history = fit(model, validation_split=0.2)
    result = model.evaluate(X, Y)
    p = model.predict(X)
    matrix = nn.metrics.confusion(Y, p, CLASSES)
    assert np.array_equal(result["confusion_matrix"], matrix)
    assert result["f1"] == pytest.approx(nn.metrics.f1_of(matrix))
    assert result["categorical_crossentropy"] == pytest.approx(result["loss"], rel=1e-6)
    best = np.argsort(-p, axis=1)[:, :2]
    assert result["top_2"] == pytest.approx((best == Y[:, None]).any(axis=1).mean())
    assert history.logs["val_confusion_matrix"][0].sum() == 14


def test_a_schedule_changes_the_rate_from_step_to_step():
    """As the rule that is given the rate of each step in turn, to the bit."""
    rate = nn.schedules.warmup(1, nn.schedules.cosine(0.2, 0.01, 2))
    model = compiled(optimizer="sgd", learning_rate=rate)
    history = fit(model, epochs=3)
    assert history.logs["learning_rate"] == [rate(k + 4 / 5) for k in range(3)]

    class Rates(nn.Callback):
        epoch = 0

        def on_epoch_begin(self, epoch):
            self.epoch = epoch - 1
            self.set(0)

        def on_step_end(self, step, logs):
            self.set(step)

        def set(self, step):
            self.trainer.learning_rate = rate(self.epoch + step / 5)

    by_hand = compiled(optimizer="sgd")
    fit(by_hand, epochs=3, callbacks=[Rates()])
    for a, b in zip(model.get_weights(), by_hand.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_initial_epoch_is_the_time_of_schedules():
    rate = nn.schedules.linear(0.1, 0, 10)
    model = compiled(learning_rate=rate)
    history = fit(model, epochs=7, initial_epoch=5)
    assert history.epochs == [6, 7]
    assert history.logs["learning_rate"] == [rate(5.8), rate(6.8)]


@pytest.mark.parametrize("clipped", [{"clip_norm": 0.01}, {"clip_value": 0.001}])
def test_gradients_are_clipped(clipped):
    model = compiled(optimizer="sgd", learning_rate=1.0, **clipped)
    model.build([(None, FEATURES)])
    before = model.get_weights()
    fit(model, epochs=1, batch_size=COUNT)
    moves = [a - b for a, b in zip(model.get_weights(), before)]
    if "clip_norm" in clipped:
        norm = np.sqrt(sum((m.astype("float64") ** 2).sum() for m in moves))
        assert norm == pytest.approx(0.01, rel=1e-3)
    else:
        assert max(abs(m).max() for m in moves) == pytest.approx(0.001, rel=1e-3)


def test_the_optimizer_goes_on_in_a_second_fit_and_starts_anew_after_compile():
    whole, parts, anew = compiled(), compiled(), compiled()
    fit(whole, epochs=2, shuffle=False)
    for _ in range(2):
        fit(parts, epochs=1, shuffle=False)
    fit(anew, epochs=1, shuffle=False)
    compiled(anew)
    fit(anew, epochs=1, shuffle=False)
    assert same(whole, parts) and not same(whole, anew)


def test_the_optimizer_goes_on_with_other_kinds_of_targets():
    whole, parts = compiled(), compiled()
    fit(whole, y=np.eye(CLASSES)[Y], epochs=2, shuffle=False)
    fit(parts, y=np.eye(CLASSES)[Y], epochs=1, shuffle=False)
    fit(parts, y=Y, epochs=1, shuffle=False)
    for a, b in zip(whole.get_weights(), parts.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_train_on_batch_is_a_step():
    steps, epochs = compiled(), compiled()
    history = fit(epochs, epochs=1, shuffle=False)
    for start in range(0, COUNT, 16):
        logs = steps.train_on_batch(X[start : start + 16], Y[start : start + 16])
        assert logs["loss"] == pytest.approx(history.steps[0][start // 16], rel=1e-6)
    assert same(steps, epochs)


def test_layers_that_are_not_trainable_stay():
    model = compiled()
    model.build([(None, FEATURES)])
    fit(model)
    before = model.get_weights()
    model.layers[0].trainable = False
    fit(model)
    after = model.get_weights()
    changed = [not np.array_equal(a, b) for a, b in zip(after, before)]
    assert changed == [False, False, True, True]


def test_settings_by_object_name_and_json():
    objects = compiled(
        optimizer=functools.partial(nn.adam, beta1=0.8),
        loss=nn.losses.categorical_crossentropy,
        metrics=[nn.metrics.accuracy(), "top_k"],
        learning_rate=nn.schedules.linear(0.1, 0.0, 3),
        clip_norm=1.0,
    )
    config = objects.compile_config()
    described = network()
    described.compile(**config)
    assert described.compile_config() == config
    fit(objects), fit(described)
    assert same(objects, described)
    assert network().compile_config() is None


@pytest.mark.parametrize(
    "bad, message",
    [
        ({"loss": None}, "choose a loss"),
        ({"loss": "entropy"}, "no loss is called 'entropy'"),
        ({"optimizer": "sdg"}, "did you mean 'sgd'"),
        ({"learning_rate": -1}, "learning_rate=-1"),
        ({"learning_rate": float("nan")}, "learning_rate=nan"),
        ({"learning_rate": True}, "learning_rate=True"),
        ({"clip_norm": 0}, "clip_norm=0"),
        ({"clip_value": float("inf")}, "clip_value=inf"),
        ({"metrics": ["accuracy", "accuracy"]}, "two metrics are called 'accuracy'"),
        ({"loss": []}, "list of losses is empty"),
        ({"loss_weights": [-1]}, "loss_weights"),
        ({"optimizer": lambda g, p, learning_rate: {}, "learning_rate": None}, "no learning rate"),
    ],
)
def test_settings_that_are_none(bad, message):
    with pytest.raises(ConfigError, match=message):
        compiled(**bad)


@pytest.mark.parametrize(
    "bad, message",
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 2.5}, "batch_size=2.5"),
        ({"batch_size": 71}, "batch_size=71: there are only 70 examples to train on"),
        (
            {"batch_size": 60, "validation_split": 0.2},
            "only 56 examples to train on, 14 are for validation",
        ),
        ({"epochs": -1}, "epochs=-1"),
        ({"verbose": "loud"}, "verbose='loud'"),
        ({"validation_split": 1.0}, "validation_split=1.0"),
        ({"validation_split": "half"}, "validation_split='half'"),
        ({"validation_split": 0.5, "validation_data": (X, Y)}, "not both"),
        ({"validation_data": X}, "a pair"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 0.5}, "seed=0.5"),
        ({"callbacks": [nn.EarlyStopping]}, r"did you mean EarlyStopping\(\)"),
        ({"callbacks": [3]}, "neither a Callback nor a function"),
        ({"resume": True}, "no Checkpoint is among the callbacks"),
    ],
)
def test_arguments_that_are_none(bad, message):
    model = compiled()
    with pytest.raises(ConfigError, match=message):
        fit(model, **bad)
    assert model.history is None


def test_what_must_come_first():
    with pytest.raises(ConfigError, match="fit: compile the model first"):
        fit(network())
    with pytest.raises(ConfigError, match="evaluate: compile the model first"):
        network().evaluate(X, Y)
    with pytest.raises(ConfigError, match="no parameters yet"):
        network().predict(X)


def test_no_epochs_do_nothing():
    model = compiled()
    assert len(fit(model, epochs=0)) == 0


def test_evaluate_can_print(capsys):
    result = PREDICTING.evaluate(X, Y, verbose=1)
    assert capsys.readouterr().out.startswith(f"loss {result['loss']:.4f}  accuracy ")


def test_threads_evaluate_at_the_same_time():
    model = compiled(network(hidden=64), metrics=["accuracy"])
    x, y = np.tile(X, (20, 1)), np.tile(Y, 20)
    expected = model.evaluate(x, y, batch_size=16)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: model.evaluate(x, y, batch_size=16), range(40)))
    assert found == [expected] * 40


def test_evaluation_needs_no_gradients_and_disturbs_no_training():
    class Blind(nn.Layer):
        """Without a gradient that training could use."""

        def output(self, x, forward):
            return T.round(x)

    alone = nn.Sequential([Blind(), nn.Dense(CLASSES, activation="softmax")], 0, input_shape=5)
    alone = compiled(alone)
    alone.evaluate(X, Y)
    assert alone._program is None
    one, two = compiled(network(0.3)), compiled(network(0.3))
    for model in (one, two):
        for k in range(3):
            fit(model, epochs=1, seed=k)
            if model is two:
                weighted = model.evaluate(X, Y, sample_weight=np.full(COUNT, 2.0))
                plain = model.evaluate(X, np.eye(CLASSES)[Y])
                assert weighted["loss"] == pytest.approx(2 * plain["loss"], rel=1e-5)
    assert same(one, two)


@pytest.mark.parametrize("setting", [{"floatX": "float64"}, {"mode": "reference"}])
def test_other_modes(setting):
    usual = compiled(network(0.3))
    fit(usual, validation_split=0.2, sample_weight=np.arange(COUNT))
    with symnet.config.change(**setting):
        other = compiled(network(0.3))
        history = fit(other, validation_split=0.2, sample_weight=np.arange(COUNT))
        wanted = "float64" if "floatX" in setting else "float32"
        assert other.predict(X).dtype == other.get_weights()[0].dtype == wanted
    if "mode" in setting:  # other bits of uniform draws for float64 make another dropout
        for name, values in usual.history.logs.items():
            np.testing.assert_allclose(history.logs[name], values, rtol=1e-4)


def test_weights_of_training_or_of_validation_alone():
    weights = RNG.uniform(0.5, 2, 20)
    model = compiled()
    history = fit(model, X[:50], Y[:50], validation_data=(X[50:], Y[50:], weights))
    result = model.evaluate(X[50:], Y[50:], sample_weight=weights)
    assert history.logs["val_loss"][-1] == result["loss"]
    one = compiled()
    history = fit(one, X[:50], Y[:50], validation_data=(X[50:], Y[50:]), class_weight={1: 3})
    assert history.logs["val_loss"][-1] == pytest.approx(one.evaluate(X[50:], Y[50:])["loss"])


def test_weights_of_a_validation_split():
    """Those of examples count in validation, too; those of classes do not."""
    weights = RNG.uniform(0.5, 2, COUNT)
    held = slice(56, None)
    model = compiled()
    history = fit(model, validation_split=0.2, sample_weight=weights, class_weight={0: 5})
    result = model.evaluate(X[held], Y[held], sample_weight=weights[held])
    assert history.logs["val_loss"][-1] == pytest.approx(result["loss"], rel=1e-6)
    both = compiled()
    factors = weights * np.array([5, 1, 1])[Y]
    fit(both, X[:56], Y[:56], sample_weight=factors[:56])
    for a, b in zip(model.get_weights(), both.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_copies_and_pickles():
    model = compiled(network(0.3))
    fit(model)
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert same(model, copied) and np.array_equal(copied.predict(X), model.predict(X))
        assert copied.history.logs == model.history.logs
        fit(copied)
        assert not same(model, copied)


@pytest.mark.parametrize("call", ["fit", "train_on_batch"])
@pytest.mark.parametrize("targets", [Y, np.eye(CLASSES)[Y]])
def test_a_model_is_trained_by_one_call_at_a_time(call, targets):
    class Again(nn.Callback):
        def on_epoch_end(self, epoch, logs):
            with pytest.raises(ConfigError, match="is being trained"):
                getattr(self.model, call)(X, targets)

    model, other = compiled(), compiled()
    fit(model, callbacks=[Again()])
    fit(other)
    assert same(model, other)
    getattr(model, call)(X, targets)  # afterwards, one may


def test_after_training_nothing_holds_the_data():
    X, y = np.ones((203, 7), "float32"), np.ones((203, 2), "float32")
    model = nn.Sequential([nn.Dense(2)])
    model.compile(loss="mean_squared_error")
    before = sys.getrefcount(X), sys.getrefcount(y)
    model.fit(X, y, verbose=0)
    gc.collect()
    assert (sys.getrefcount(X), sys.getrefcount(y)) == before
    model.fit(X, y, verbose=0)  # with the function that let go
