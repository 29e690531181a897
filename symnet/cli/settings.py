"""What `symnet mnist` trains, and how."""

from dataclasses import dataclass

from symnet import nn
from symnet.nn import schedules

CLASSES = 10
MODELS = ("mlp", "logistic")
# at the start of a line that falls to 0; of the last two the rules' own
LEARNING_RATES = {
    "sgd": 1.0, "momentum": 0.2, "nesterov": 0.2, "adagrad": 0.02, "adadelta": 1.0,
    "rmsprop": 0.001, "adam": 0.001, "adamw": 0.001,
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """The options of a run. The learning rate falls along a line, to nothing after `epochs`."""

    model: str = "mlp"
    hidden: int = 1000
    optimizer: str = "momentum"
    learning_rate: float = LEARNING_RATES["momentum"]
    epochs: int = 10
    batch_size: int = 128
    dropout: float = 0.0
    seed: int = 0

    def network(self, pixels: int) -> str:
        """In short: 784-1000-10."""
        sizes = [pixels, CLASSES] if self.model == "logistic" else [pixels, self.hidden, CLASSES]
        return "-".join(map(str, sizes))


def build(settings: Settings, shape: tuple[int, ...]) -> nn.Sequential:
    """The network for images of bytes of this shape, compiled: a hidden layer of rectified linear
    units and a softmax on top; logistic regression is the softmax alone."""
    layers: list[nn.Layer] = [nn.Rescaling(1 / 255, name="scale"), nn.Flatten(name="flat")]
    if settings.model == "mlp":
        layers.append(
            nn.Dense(
                settings.hidden, activation="relu", kernel_initializer="he_uniform", name="hidden"
            )
        )
    if settings.dropout:
        layers.append(nn.Dropout(settings.dropout, name="dropout"))
    layers.append(nn.Dense(CLASSES, activation="softmax", name="output"))
    model = nn.Sequential(layers, seed=settings.seed, input_shape=shape)
    model.compile(
        settings.optimizer,
        "categorical_crossentropy",
        ["accuracy"],
        learning_rate=schedules.linear(settings.learning_rate, 0.0, settings.epochs),
    )
    return model
