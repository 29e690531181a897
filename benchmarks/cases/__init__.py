"""What is measured. Every case is a `Case` record; its family module has data and true values.

A case of kind "loop" runs in workers that stay alive: a peer's program for the family is set up,
checked against the reference, and timed in interleaved rounds. Kind "fresh" starts a new worker
for every measurement (compile times), with empty caches unless the variant says `cold: False`.
Kind "memory" reads the peak of a new worker's resident memory. Kind "startup" measures whole
processes.
"""

import importlib
from dataclasses import dataclass, field
from types import ModuleType


@dataclass(frozen=True)
class Variant:
    """One way of running a case: parameters that differ, and environment of the process.

    `small` are parameters that make it tiny, where only its correctness matters.
    """

    parameters: dict = field(default_factory=dict)
    env: dict = field(default_factory=dict)
    small: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A case: `family` names the module here, and the programs of the peers that run it.

    `tolerance` bounds the relative error of the checked values. `alternating` and `threads` are
    wrappers around the family's program (`manners.py`).
    """

    name: str
    title: str
    family: str
    peers: tuple[str, ...]
    parameters: dict = field(default_factory=dict)
    variants: dict[str, Variant] = field(default_factory=lambda: {"": Variant()})
    tolerance: float = 1e-4
    kind: str = "loop"
    rounds: int | None = None  # at most so many
    group: str = ""  # the picture it is in, one of GROUPS
    least: int = 1  # iterations in a turn
    images: int | None = None  # in an iteration
    unit: str = "s"  # or "B"
    share: bool = False  # one process for all variants of a peer
    small: dict = field(default_factory=dict)  # parameters that make it tiny
    traffic: bool = False  # whether its module tells the bytes that an iteration moves

    @property
    def heading(self) -> str:
        """The title as a sentence."""
        return f"{self.title[0].upper()}{self.title[1:]}."

    @property
    def module(self) -> ModuleType:
        return importlib.import_module(f".{self.family}", __name__)

    def parameters_of(self, variant: str, *, small: bool = False) -> dict:
        """What a program of this variant is built with."""
        chosen = self.variants[variant]
        tiny = self.small | chosen.small if small else {}
        return self.parameters | chosen.parameters | tiny


_ALL = ("numpy-gemm", "numpy", "symnet", "torch", "torch-compiled", "jax", "pytensor")
GROUPS = {
    "training": "Time of a training step, or of an epoch of fit",
    "kernels": "Time of element-wise chains, rows and calls",
    "optimizers": "Time of an optimizer's step, a million parameters",
    "start": "Time to import, to start and to compile; peak memory",
}

_FEW = _ALL[:-1]  # PyTensor takes long to compile
_EAGER = ("numpy-gemm", "numpy", "symnet", "torch", "jax")
_STEP = (*_ALL, "keras", "sklearn")
_TIMEOUT = {"OPENBLAS_THREAD_TIMEOUT": "4"}
_CACHES = {"cold": Variant({"cold": True}), "warm": Variant({"cold": False})}
_MLP = {"sizes": [784, 1000, 10], "batch": 128}


def _rows(forwards: str, gradient: str, *sizes: tuple[int, int]) -> dict[str, Variant]:
    return {
        f"{prefix}{rows} x {columns}": Variant({"kind": kind, "rows": rows, "columns": columns})
        for prefix, kind in (("", forwards), ("gradient, ", gradient))
        for rows, columns in sizes
    }


_RULES = ("sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam", "adamw")

CASES = {
    case.name: case
    for case in (
        Case(
            "mlp-128",
            "SGD step of the MLP 784-1000-10, batch 128",
            "mlp",
            _STEP,
            {**_MLP, "examples": 60000},
            group="training",
        ),
        Case(
            "mlp-16",
            "SGD step of the MLP 784-100-10, batch 16",
            "mlp",
            _STEP,
            {"sizes": [784, 100, 10], "batch": 16, "examples": 60000},
            group="training",
        ),
        Case(
            "logistic",
            "SGD step of logistic regression, 784-10, batch 128",
            "mlp",
            _EAGER,
            {"sizes": [784, 10], "batch": 128, "examples": 60000},
            group="training",
        ),
        Case(
            "deep-mlp",
            "SGD step of an MLP with ten hidden layers of 256, batch 128",
            "mlp",
            _EAGER,
            {"sizes": [784, *[256] * 10, 10], "batch": 128, "examples": 6000},
            group="training",
        ),
        Case(
            "wide-mlp",
            "SGD step of the MLP 784-4096-4096-10, batch 128: 80 MB of parameters",
            "mlp",
            _EAGER,
            {"sizes": [784, 4096, 4096, 10], "batch": 128, "examples": 6000},
            group="training",
        ),
        Case(
            "autoencoder",
            "SGD step of the autoencoder 784-256-64-256-784, batch 128",
            "mlp",
            _FEW,
            {
                "sizes": [784, 256, 64, 256, 784],
                "batch": 128,
                "examples": 6000,
                "loss": "pixels",
                "rate": 1.0,
            },
            group="training",
        ),
        Case(
            "chain",
            "(tanh(x*z + 0.5) * exp(-x*x) + log1p(z)).sum() over 4M floats",
            "chain",
            _ALL[1:],
            {"size": 1 << 22},
            tolerance=1e-3,  # a running float32 sum errs by 1.5e-4; the table shows the errors
            group="kernels",
        ),
        Case(
            "chains",
            "the same over 100k floats, its value and gradients, and "
            "sqrt(x*x + z*z) * sigmoid(x) - 0.1*x over 4M floats",
            "chain",
            _FEW[1:],
            variants={
                "sum, 100k": Variant({"size": 100_000, "kind": "sum"}),
                "gradient": Variant({"size": 1 << 22, "kind": "gradient"}),
                "array": Variant({"size": 1 << 22, "kind": "array"}),
            },
            tolerance=1e-3,
            share=True,
            group="kernels",
        ),
        Case(
            "softmax",
            "softmax of every row, and the gradient of its mean cross-entropy",
            "rows",
            _FEW[1:],
            variants=_rows("softmax", "cross-entropy", (1 << 16, 10), (4096, 1000)),
            share=True,
            group="kernels",
        ),
        Case(
            "layer-norm",
            "layer normalisation of every row, and its gradients for input, scale and shift",
            "rows",
            _FEW[1:],
            variants=_rows("layer-norm", "layer-norm-gradient", (1 << 14, 64), (4096, 1000)),
            share=True,
            group="kernels",
        ),
        Case(
            "optimizers",
            "a step of each update rule on a million parameters, gradients given",
            "optimizers",
            _FEW[2:],
            variants={rule: Variant({"rule": rule}) for rule in _RULES},
            share=True,
            group="optimizers",
        ),
        Case(
            "fit",
            "an epoch of `fit` with 784-1000-10, batch 128: 55000 images in random order, with "
            "accuracy, and 5000 for validation",
            "fit",
            ("symnet", "torch", "torch-indexed", "keras", "sklearn"),
            {**_MLP, "examples": 55000, "held": 5000},
            rounds=4,
            least=2,
            images=55000,
            group="training",
        ),
        Case("call", "the cost of a call: x + 1 on four floats", "call", _ALL[1:], group="kernels"),
        Case(
            "new-batch",
            "first call with a new batch size, less a call with a known one (MLP 784-100-10)",
            "new_batch",
            ("symnet", "jax"),
            {"hidden": 100},
        ),
        Case(
            "import",
            "`import`, in a new process, NumPy's included",
            "startup",
            ("numpy", "symnet", "torch", "jax", "pytensor", "keras", "sklearn"),
            {"script": "import"},
            kind="startup",
            group="start",
        ),
        Case(
            "start",
            "process start to the first cost of the MLP 784-1000-10, less `import numpy`",
            "startup",
            ("symnet", "torch", "jax"),
            {"script": "mlp"},
            _CACHES,
            kind="startup",
            group="start",
        ),
        Case(
            "manners",
            "SGD step of mlp-128, alternating with a threaded NumPy gemm",
            "mlp",
            ("symnet", "torch", "jax"),
            {**_MLP, "examples": 6000},
            {
                "alone": Variant(),
                "alternating": Variant({"wrapper": "alternating"}),
                "alternating, timeout": Variant({"wrapper": "alternating"}, _TIMEOUT),
                "alone, timeout": Variant({}, _TIMEOUT),
            },
        ),
        *(
            Case(
                f"threads-{batch}",
                f"four functions (MLP 784-{hidden}-10, batch {batch}), called in turn by one "
                "Python thread or by four at once",
                "mlp",
                ("symnet", "torch", "jax"),
                {"sizes": [784, hidden, 10], "batch": batch, "examples": 6000},
                {
                    "one": Variant({"wrapper": "threads", "threads": 1}),
                    "four": Variant({"wrapper": "threads", "threads": 4}),
                },
            )
            for batch, hidden in ((128, 1000), (16, 100))
        ),
        Case(
            "compile-step",
            "build the training step of mlp-128 and make the first; imports and data not counted",
            "mlp",
            ("symnet", "torch-compiled", "jax"),
            {**_MLP, "examples": 1280, "wrapper": "building"},
            _CACHES,
            kind="fresh",
            rounds=2,
            group="start",
        ),
        Case(
            "memory-step",
            "peak memory of a process that trains mlp-128 on 6000 examples (19 MB)",
            "mlp",
            ("numpy", "symnet", "torch", "jax", "keras", "sklearn"),
            {**_MLP, "examples": 6000},
            kind="memory",
            unit="B",
            rounds=1,
            group="start",
        ),
        Case(
            "memory-chain",
            "peak memory of a process that computes `chain` (inputs: 34 MB)",
            "chain",
            ("numpy", "symnet", "torch", "jax"),
            {"size": 1 << 22},
            tolerance=1e-3,
            kind="memory",
            unit="B",
            rounds=1,
            group="start",
        ),
        Case(
            "compile",
            "build, differentiate, compile and call an MLP of n layers, nothing cached",
            "layers",
            ("symnet",),
            {"batch": 16, "width": 32},
            {f"{n} layers": Variant({"layers": n}) for n in (10, 30, 100, 300, 1000)},
            tolerance=1e-3,
            kind="fresh",
            rounds=3,
        ),
    )
}
