"""The table of a model."""

from symnet import nn

WANTED = """\
Sequential digits
-------------------------------------------------------------
layer       class      output shape  parameters  flops/example
-------------------------------------------------------------
input       Input      (?, 28, 28)
rescaling   Rescaling  (?, 28, 28)            0            784
flatten     Flatten    (?, 784)               0              0
dense       Dense      (?, 1000)        785,000      1,570,000
dropout     Dropout    (?, 1000)              0              0
dense_1     Dense      (?, 10)           10,010         20,020
-------------------------------------------------------------
795,010 parameters, 3.03 MiB; 1,590,804 flops per example"""


def test_a_row_per_layer_and_totals():
    model = nn.Sequential(
        [nn.Rescaling(1 / 255), nn.Flatten(), nn.Dense(1000, "relu"), nn.Dropout(0.5),
         nn.Dense(10, "softmax")],
        input_shape=(28, 28), name="digits",
    )  # fmt: skip
    assert [line.split() for line in model.summary().splitlines()] == [
        line.split() for line in WANTED.splitlines()
    ]
    assert model.count_params() == 795_010


def test_what_is_shared_is_counted_once_and_what_is_fixed_is_marked():
    x = nn.Input(4)
    layer, last = nn.Dense(4), nn.Dense(2)
    last.trainable = False
    model = nn.Model(x, last(layer(layer(x))))
    rows = [line.split() for line in model.summary().splitlines()]
    assert [row[4:] for row in rows if row[:2] == ["dense", "Dense"]] == [
        ["20", "36"], ["shared", "36"],
    ]  # fmt: skip
    assert ["dense_1", "Dense", "(?,", "2)", "10", "(fixed)", "18"] in rows
    assert model.summary().splitlines()[-1] == (
        "30 parameters (20 trained, 10 not), 120 bytes; 90 flops per example"
    )


def test_networks_in_networks_are_one_row():
    inner = nn.Sequential([nn.Dense(3), nn.Dense(2)])
    model = nn.Sequential([inner, nn.Dense(2)], input_shape=4)
    rows = [line.split() for line in model.summary().splitlines()]
    flops = 3 * 9 + 2 * 7
    assert ["sequential", "Sequential", "(?,", "2)", str(15 + 8), str(flops)] in rows
    assert model.flops([], ()) == flops + 2 * 5


def test_several_inputs_and_outputs():
    class Halves(nn.Layer):
        def output(self, x, forward):
            return x[:, :2], x[:, 2:]

    x = nn.Input(4, name="x")
    a, b = Halves()(x)
    model = nn.Model(x, [a, b])
    assert "(?, 2), (?, 2)" in model.summary()
    assert [v.name for v in model.outputs] == ["halves", "halves_1"]
