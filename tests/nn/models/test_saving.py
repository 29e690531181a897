"""Model files: round trips, and what damaged, foreign and malicious files get."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import symnet
import symnet.tensor as T
from symnet import nn
from symnet.errors import ConfigError, DataError, SymnetError, TypeMismatchError

safetensors = pytest.importorskip("safetensors.numpy")


class Scale(nn.Layer):
    def __init__(self, start=1.0):
        super().__init__()
        self.start = start

    def build(self, shape):
        self.factor = self.parameter("factor", shape[-1:], lambda *a, **k: np.full(*a[:1], 2.0))
        self.count = self.state_variable("count", ())

    def output(self, x, forward):
        return x * self.factor * self.start


class Block(nn.Layer):
    def __init__(self, units):
        super().__init__()
        self.inner = nn.Dense(units)

    def build(self, shape):
        self.late = Scale()

    def output(self, x, forward):
        return self.late(self.inner(x))


class Whole(nn.Layer):
    """A layer that holds networks: one that is built when it is made, one that is not."""

    def __init__(self, features):
        super().__init__()
        x = nn.Input(features)
        self.early = nn.Model(x, nn.Dense(3)(x))
        self.later = nn.Sequential([nn.Dense(2), nn.Dense(2)])

    def output(self, x, forward):
        return self.later(self.early(x))


def simple():
    return nn.Sequential(
        [nn.Rescaling(1 / 255), nn.Flatten(), nn.Dense(3, "relu", name="code"), nn.Dropout(0.5),
         nn.Dense(2, "softmax", kernel_regularizer=nn.l2(1e-3))],
        seed=0, input_shape=(2, 2),
    )  # fmt: skip


def nested():
    inner = nn.Sequential([nn.Dense(3), nn.Activation("tanh")])
    return nn.Sequential([nn.Dense(4), inner, nn.Dense(3)], seed=0, input_shape=(2, 2), name="all")


def twice():
    layer = nn.Dense(2, "tanh")
    return nn.Sequential([nn.Input((2, 2), name="pixels"), layer, layer])


def branched():
    x = nn.Input((2, 2), name="x")
    h = nn.Flatten()(x)
    layer = nn.Dense(4, "tanh", seed=1)
    a, b = layer(h), layer(layer(h))
    inner = nn.Sequential([nn.Dense(2), nn.Dense(2)])
    return nn.Model(x, [nn.Add()([a, b]), inner(nn.Concatenate()([a, h])), x], name="net")


def own():
    return nn.Sequential([nn.Flatten(), Scale(0.5), Block(3)], input_shape=(2, 2))


def whole():
    return nn.Sequential([nn.Flatten(), Whole(4), nn.Dense(2)], input_shape=(2, 2))


def frozen():
    model = nested()
    model.layers[1].trainable = False
    return model


def expressions():
    """Ordinary expressions between the layers, of every kind that a file can hold."""
    x = nn.Input((2, 2), name="x")
    flat = x.reshape((x.shape[0], 4))
    h = nn.Dense(3, seed=0)(flat) + flat[:, 1:]
    h = T.where(h > 0, h, 0.1 * h) * np.array([1, np.inf, -0.5], "float32") ** 0
    pooled = T.stack([h.max(axis=1), h.mean(axis=1)], axis=1)
    inner = nn.Model(z := nn.Input(2), T.nnet.softmax(z) * z)(pooled)
    gram = T.batched_dot(x, x.dimshuffle(0, 2, 1)).sum(axis=2)
    best = T.argmax(gram, axis=1).astype("float32")
    scores = T.nnet.log_softmax(T.concatenate([inner, gram], axis=1)) - T.logsumexp(gram)
    return nn.Model(x, [scores, best, T.dot(flat, T.ones((4, 1)) * 2), h[:, ::-1]])


MODELS = [simple, nested, twice, branched, own, whole, frozen, expressions]
X = np.random.default_rng(0).normal(size=(5, 2, 2)).astype("float32")


def outputs(model):
    return symnet.function(model.inputs, model.outputs, mode="reference")(X)


def rewritten(path, change=None, values=None):
    """Write the file again with other metadata or values."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + size]).get("__metadata__", {})
    arrays = safetensors.load(content) if values is None else values
    if change is not None:
        metadata = change(metadata)
    path.write_bytes(safetensors.save(arrays, metadata))


# ---- round trips


@pytest.mark.parametrize("make", MODELS)
def test_what_is_saved_comes_back(make, tmp_path):
    model = make()
    for k, v in enumerate(model.named_variables().values()):
        v.set_value(v.get_value() + np.float32(0.1 * k))
    path = tmp_path / "m.safetensors"
    model.save(path)
    again = nn.load(path, layers=[Scale, Block, Whole])
    assert type(again) is type(model)
    for a, b in zip(outputs(model), outputs(again)):
        assert np.array_equal(a, b)
    assert again.summary() == model.summary()
    assert [p.name for p in again.parameters] == [p.name for p in model.parameters]
    assert [v.name for v in again.inputs] == [v.name for v in model.inputs]
    assert len(again.state) == len(model.state)
    again.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_the_file_is_safetensors_with_a_description(tmp_path):
    simple().save(tmp_path / "m")
    content = (tmp_path / "m").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert set(header) == {
        "__metadata__", "code.kernel", "code.bias", "dense.kernel", "dense.bias",
    }  # fmt: skip
    metadata = header["__metadata__"]
    assert (metadata["format"], metadata["version"]) == ("symnet.model", "1")
    assert "training" not in metadata
    description = json.loads(metadata["model"])
    assert [layer["class"] for layer in description["layers"]] == [
        "Rescaling", "Flatten", "Dense", "Dropout", "Dense",
    ]  # fmt: skip


def test_a_model_comes_back_compiled(tmp_path):
    model = simple()
    model.compile(optimizer="momentum", loss="mse", metrics=["accuracy"], learning_rate=0.125)
    model.save(tmp_path / "m")
    again = nn.load(tmp_path / "m")
    assert again.compile_config() == model.compile_config()
    model.compile(loss=lambda p, t: (p - t) ** 2)  # no file can hold this
    model.save(tmp_path / "m")
    assert nn.load(tmp_path / "m").compile_config() is None


@pytest.mark.parametrize("make", [simple, branched])
def test_weights_alone(make, tmp_path):
    one, other = make(), make()
    for v in one.parameters:
        v.set_value(v.get_value() + 1)
    one.save_weights(tmp_path / "w")
    other.load_weights(tmp_path / "w")
    for a, b in zip(outputs(one), outputs(other)):
        assert np.array_equal(a, b)
    with pytest.raises(DataError, match="parameters alone, no architecture"):
        nn.load(tmp_path / "w")
    one.save(tmp_path / "m")
    other.load_weights(tmp_path / "m")  # a whole model's file will do


LAYERS = st.lists(
    st.one_of(
        st.builds(nn.Dense, st.integers(1, 4), st.sampled_from([None, "relu", "softmax", "elu"]),
                  st.booleans()),
        st.builds(nn.Activation, st.sampled_from(["tanh", "softplus", "hard_sigmoid"])),
        st.builds(nn.Rescaling, st.floats(-2, 2, width=32), st.floats(-2, 2, width=32)),
        st.builds(nn.Dropout, st.floats(0, 0.9)),
        st.builds(nn.Flatten), st.builds(nn.Reshape, st.sampled_from([(-1, 1), (1, -1)])),
    ),
    max_size=4,
)  # fmt: skip


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(before=LAYERS, inside=LAYERS, after=LAYERS)
def test_networks_of_any_layers_come_back(before, inside, after, tmp_path):
    layers = [*before, *([nn.Sequential(inside)] if inside else []), *after, nn.Dense(1)]
    model = nn.Sequential(layers, seed=1, input_shape=(2, 2))
    model.save(tmp_path / "m")
    again = nn.load(tmp_path / "m")
    for a, b in zip(outputs(model), outputs(again)):
        assert np.array_equal(a, b, equal_nan=True)
    assert again.describe() == model.describe() and again.summary() == model.summary()
    assert model.count_params() == sum(w.size for w in model.get_weights())


# ---- what cannot be saved


def test_what_no_file_can_hold_is_refused_and_nothing_written(tmp_path):
    x = nn.Input(2)
    shared = nn.Sequential([nn.Dense(2)])
    models = [
        (nn.Sequential([nn.Lambda(lambda a: a)], input_shape=2), "subclass of nn.Layer"),
        (nn.Sequential([nn.Dense(2, lambda a: a)], input_shape=2), "activation"),
        (nn.Model(x, x * symnet.shared(2.0, "s")), r"(?s)s: float32\(\), .*outside the layers"),
        (nn.Model(x, T.grad_clip(x, 0, 1)), r"no file can hold, built at .*save_weights"),
        (nn.Sequential([Scale(np.ones(2))], input_shape=2), "start="),
        (nn.Sequential([shared, nn.Sequential([shared.layers[0]])], input_shape=2), "two networks"),
        (nn.Sequential([nn.Dense(2)]), "no parameters yet"),
    ]
    for model, text in models:
        with pytest.raises(ConfigError, match=text):
            model.save(tmp_path / "m")
    assert list(tmp_path.iterdir()) == []
    models[2][0].save_weights(tmp_path / "w")  # the way out that the message names
    with pytest.raises(ConfigError, match="no parameters yet"):
        models[-1][0].load_weights(tmp_path / "w")


def test_a_full_disk_leaves_the_old_file(tmp_path):
    """A limit on the size of files fails a write in the middle, as a full disk does."""
    program = """
        import resource, sys
        from symnet import nn
        path = sys.argv[1]
        nn.Sequential([nn.Dense(3)], input_shape=2).save(path)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            nn.Sequential([nn.Dense(100)], input_shape=100).save(path)
        except OSError as problem:
            print(problem.filename == path, len(nn.load(path).parameters))
    """
    pytest.importorskip("resource")
    path = tmp_path / "m.safetensors"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(path)],
        cwd=Path(symnet.__file__).parents[1], capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.split() == ["True", "2"], done.stderr
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(OSError, match="no_such"):
        simple().save(tmp_path / "no_such" / "m")
    with pytest.raises(OSError, match="no_such"):
        nn.load(tmp_path / "no_such")


# ---- what cannot be read


def unchanged_by(path, text):
    """load and load_weights refuse a file, and the model stays as it was."""
    model = simple()
    before = model.get_weights()
    for read in (nn.load, model.load_weights):
        with pytest.raises(DataError, match=text) as caught:
            read(path)
        assert str(path) in str(caught.value)
    assert all(map(np.array_equal, before, model.get_weights()))


def with_key(key, value):
    return lambda metadata: {**metadata, key: value}


def without(key):
    return lambda metadata: {k: v for k, v in metadata.items() if k != key}


@pytest.mark.parametrize(
    "change, text",
    [
        (with_key("version", "2"), "version '2'; this symnet reads version '1'"),
        (without("version"), "version None"),
        (with_key("format", "pt"), "no symnet model: its format is 'pt'"),
        (without("format"), "not stated"),
        (with_key("model", "{"), "its 'model' is no JSON"),
        (with_key("model", "[" * 100_000), "its 'model' is no JSON"),
        (with_key("training", "nothing"), "its 'training' is no JSON"),
    ],
)
def test_foreign_files(change, text, tmp_path):
    path = tmp_path / "m"
    simple().save(path)
    rewritten(path, change)
    unchanged_by(path, text)


def test_every_truncation_is_seen(tmp_path):
    path = tmp_path / "m"
    simple().save(path)
    content = path.read_bytes()
    for size in [0, 1, 7, 8, 9, *range(10, len(content), 97), len(content) - 1]:
        path.write_bytes(content[:size])
        unchanged_by(path, "no whole safetensors file")


def test_other_kinds_of_files(tmp_path):
    import pickle

    path = tmp_path / "m"
    for content in (b"PK\x03\x04 a zip", pickle.dumps(print), b"\x89HDF\r\n", b"text" * 50):
        path.write_bytes(content)
        unchanged_by(path, "no whole safetensors file")


VALUES = {
    "code.kernel": np.ones((4, 3), "float32"), "code.bias": np.ones(3, "float32"),
    "dense.kernel": np.ones((3, 2), "float32"), "dense.bias": np.ones(2, "float32"),
}  # fmt: skip


@pytest.mark.parametrize(
    "values, text",
    [
        ({k: v for k, v in VALUES.items() if k != "code.bias"}, "code.bias"),
        ({**VALUES, "more.kernel": np.ones(2, "float32")}, "more.kernel"),
        ({**VALUES, "code.kernel": np.ones((4, 4), "float32")}, r"code.kernel.*\(4, 4\)"),
        ({**VALUES, "code.kernel": np.ones((4, 3), "float64")}, r"code.kernel.*float64"),
        ({**VALUES, "dense.bias": np.ones((), "float32")}, "dense.bias"),
        ({}, "code.bias|code.kernel"),
    ],
)
def test_parameters_that_do_not_fit(values, text, tmp_path):
    path = tmp_path / "m"
    simple().save(path)
    rewritten(path, values=values)
    unchanged_by(path, text)


def described(change):
    """A change of the architecture."""

    def changed(metadata):
        description = json.loads(metadata["model"])
        change(description)
        return {**metadata, "model": json.dumps(description)}

    return changed


def test_layers_nobody_knows(tmp_path):
    path = tmp_path / "m"
    own().save(path)
    with pytest.raises(DataError, match=r"layer scale is of class 'Scale'.*layers=\[\.\.\.\]"):
        nn.load(path)
    with pytest.raises(DataError, match="'Block'"):
        nn.load(path, layers=[Scale])
    with pytest.raises(TypeMismatchError, match="subclasses of"):
        nn.load(path, layers=[Scale()])
    for name in ("os.system", "Layer", "Forward", "__import__", "Sequential", "Lambda"):
        simple().save(path)
        rewritten(path, described(lambda d, name=name: d["layers"][2].update({"class": name})))
        with pytest.raises(DataError):
            nn.load(path)


def test_settings_are_checked(tmp_path):
    for change, text in [
        (lambda d: d["layers"][2]["config"].update(units=0), "units=0"),
        (lambda d: d["layers"][2]["config"].update(units=10**15), "code.kernel"),
        (lambda d: d["layers"][2]["config"].update(no_such=1), "no_such"),
        (lambda d: d["layers"][2]["config"].update(activation="exec"), "exec"),
        (lambda d: d["layers"][3]["config"].update(rate=2), "rate=2"),
        (lambda d: d["input"].update(shape=[-1, 2]), "-1"),
        (lambda d: d["input"].update(dtype="object"), "object"),
        (lambda d: d["layers"][4].update(name="code"), "have one name"),
        (lambda d: d["layers"][4].update(name="../x"), "is no name"),
        (lambda d: d.update(order=[0, -1]), "-1"),
        (lambda d: d.update(order=[0, 77]), "not one of a model"),
        (lambda d: d.pop("layers"), "not one of a model"),
        (lambda d: d.update({"class": "Dense"}), "class 'Dense'"),
    ]:
        path = tmp_path / "m"
        simple().save(path)
        rewritten(path, described(change))
        with pytest.raises(DataError, match=text):
            nn.load(path)


def test_training_settings_are_checked(tmp_path):
    path = tmp_path / "m"
    for value in ({"loss": "system"}, {"no_such": 1}, [1], "text", {"optimizer": {"name": 3}}):
        simple().save(path)
        rewritten(path, with_key("training", json.dumps(value)))
        with pytest.raises(DataError):
            nn.load(path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 5) | st.just(1e300) | st.sampled_from(
        ["", "x", "Dense", "relu", "input", "call", "code", "float64"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["class", "name", "layers", "config", "units"]), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


def places(thing, path=()):
    """The paths to everything inside a description."""
    found = [path] if path else []
    items = thing.items() if isinstance(thing, dict) else enumerate(thing)
    for key, value in items:
        if isinstance(value, (dict, list)):
            found += places(value, (*path, key))
        else:
            found.append((*path, key))
    return found


@pytest.mark.parametrize("make", [simple, branched, expressions])
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_changed_description_gives_a_model_or_a_data_error(make, data, tmp_path):
    path = tmp_path / "m"
    make().save(path)

    def change(description):
        *way, last = data.draw(st.sampled_from(places(description)))
        target = description
        for key in way:
            target = target[key]
        target[last] = data.draw(json_values)

    rewritten(path, described(change))
    try:
        assert nn.load(path).built
    except DataError as error:
        assert isinstance(error, SymnetError) and str(path) in str(error)
