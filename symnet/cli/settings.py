"""What `symnet mnist` trains, and how."""

from dataclasses import dataclass

from symnet import nn
from symnet.nn import schedules

CLASSES = 10
MODELS = ("mlp", "logistic")
# at the start of a line that falls to 0
LEARNING_RATES = {
    "sgd": 1.0, "momentum": 0.2, "nesterov": 0.2, "adagrad": 0.02, "adadelta": 1.0,
    "rmsprop": 0.001, "adam": 0.001, "adamw": 0.001,
}  # fmt: skip
# What dropout needs to pay within some 25 epochs, measured on MNIST: long steps, of a limited norm.
DROPOUT_RATES = {"momentum": 0.4, "nesterov": 0.4}
DROPOUT_CLIP = 0.25
PIXELS = 0.4  # so many times as often as a hidden unit a pixel is left out
GREY = 0.13  # the mean of MNIST's pixels


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
    device: str = "cpu"

    def network(self, pixels: int) -> str:
        """In short: 784-1000-10."""
        sizes = [pixels, CLASSES] if self.model == "logistic" else [pixels, self.hidden, CLASSES]
        return "-".join(map(str, sizes))


def usual_rate(optimizer: str, dropout: float) -> float:
    """The learning rate of who gives none."""
    return (DROPOUT_RATES if dropout else {}).get(optimizer, LEARNING_RATES[optimizer])


def build(settings: Settings, shape: tuple[int, ...]) -> nn.Sequential:
    """The network for images of bytes of this shape, compiled: a hidden layer of rectified linear
    units and a softmax on top; logistic regression is the softmax alone.

    Dropout: Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting,
    JMLR 15, 2014, who leave out half of the hidden units and a fifth of the inputs.
    """
    share = settings.dropout
    # a pixel that is left out is as grey as pixels are on average
    scale = nn.Rescaling(1 / 255, -GREY if share else 0.0, name="scale")
    layers: list[nn.Layer] = [scale, nn.Flatten(name="flat")]
    if share:
        layers.append(nn.Dropout(PIXELS * share, name="dropout_of_pixels"))
    if settings.model == "mlp":
        layers.append(
            nn.Dense(
                settings.hidden, activation="relu", kernel_initializer="he_uniform", name="hidden"
            )
        )
    if share:
        layers.append(nn.Dropout(share, name="dropout"))
    layers.append(nn.Dense(CLASSES, activation="softmax", name="output"))
    model = nn.Sequential(layers, seed=settings.seed, input_shape=shape)
    model.compile(
        settings.optimizer,
        "categorical_crossentropy",
        ["accuracy"],
        learning_rate=schedules.linear(settings.learning_rate, 0.0, settings.epochs),
        clip_norm=DROPOUT_CLIP if share else None,
    )
    return model
