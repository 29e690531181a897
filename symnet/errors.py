"""Every exception that symnet raises on purpose.

::

    SymnetError
    ├── TypeMismatchError (TypeError)          wrong dtype, number of dimensions, or kind of object
    ├── ShapeError (ValueError)                sizes that do not fit, when built or when run
    ├── IndexOutOfBoundsError (IndexError)     an index or label outside its axis
    ├── GradientError
    │   ├── NonScalarCostError (TypeError)     grad of something that is not one number
    │   ├── DisconnectedInputError (ValueError)  cost does not depend on a wrt
    │   └── GradientMismatchError (AssertionError)  verify_grad found a wrong derivative
    ├── FunctionError
    │   ├── MissingInputError (TypeError)      a graph input nobody provides
    │   ├── UnusedInputError (ValueError)      an input the outputs do not need
    │   ├── DuplicateInputError (ValueError)   the same input twice, or given twice in a call
    │   └── UpdateError (TypeError)            an update of something that cannot be updated
    ├── AssertionFailedError (AssertionError)  a user's Assert, or a debug-mode comparison
    ├── DataError (ValueError)                 a data file that is truncated, swapped or not ours
    ├── ConfigError (ValueError)               an unknown or malformed setting
    ├── TrainingError (ArithmeticError)        training met NaN or infinite numbers
    └── CompilerError                          a bug in symnet: an internal check failed
        └── BackendError                       no compiler, no BLAS, or the machine refused
            └── DeviceError                    a GPU: there is none, or it failed
                ├── OutOfMemoryError (MemoryError)  memory does not hold what a call needs
                ├── DeviceLostError            it no longer answers; what it held is gone
                └── RecordingError             a step that cannot be recorded

Messages name the op, what is wrong, the shapes and dtypes met, and the user's line that built the
expression. `SymnetError.__str__` is the whole message; there is no hidden state.
"""


class SymnetError(Exception):
    """Base of all of symnet's exceptions."""


class TypeMismatchError(SymnetError, TypeError):
    """A dtype, number of dimensions, or kind of object that the operation does not take."""


class ShapeError(SymnetError, ValueError):
    """Sizes that do not fit each other, found when building or when running."""


class IndexOutOfBoundsError(SymnetError, IndexError):
    """An index, or a class label, outside the axis it indexes."""


class GradientError(SymnetError):
    """A gradient that cannot be taken."""


class NonScalarCostError(GradientError, TypeError):
    """The cost given to `grad` is not a 0-dimensional floating-point expression."""


class DisconnectedInputError(GradientError, ValueError):
    """The cost does not depend, differentiably, on a variable in `wrt`."""


class GradientMismatchError(GradientError, AssertionError):
    """A symbolic derivative differs from the numerical one."""


class FunctionError(SymnetError):
    """`symnet.function` or a call of a compiled function got arguments it cannot use."""


class MissingInputError(FunctionError, TypeError):
    """An input of the graph has no value."""


class UnusedInputError(FunctionError, ValueError):
    """An input is not used by any output or update."""


class DuplicateInputError(FunctionError, ValueError):
    """The same input was named twice."""


class UpdateError(FunctionError, TypeError):
    """An update whose target or whose new value is not fit for it."""


class AssertionFailedError(SymnetError, AssertionError):
    """A user's assertion failed, or debug mode found two back ends that differ."""


class DataError(SymnetError, ValueError):
    """A data file is truncated, of another kind, or corrupt."""


class ConfigError(SymnetError, ValueError):
    """A setting is unknown or its value is malformed."""


class TrainingError(SymnetError, ArithmeticError):
    """Training met numbers that are not finite, and stopped before the step that made them.

    epoch, step  where, both counted from 1; step is None where it is not known
    layer        name of the first layer with such numbers, or None
    """

    def __init__(
        self, message: str, epoch: int = 0, step: int | None = None, layer: str | None = None
    ):
        super().__init__(message)
        self.epoch, self.step, self.layer = epoch, step, layer


class CompilerError(SymnetError):
    """An internal check failed: a bug in symnet, never the user's."""


class BackendError(CompilerError):
    """The back end could not be set up on this machine."""


class DeviceError(BackendError):
    """A device that is not the host's processor cannot be used, or failed."""


class OutOfMemoryError(DeviceError, MemoryError):
    """A device's memory, or the host's, does not hold what a call needs. Shared variables are as
    before it."""


class DeviceLostError(DeviceError):
    """A device no longer answers, and values that were on it alone are lost."""


class RecordingError(DeviceError):
    """A program's steps cannot be recorded on a device; they are ordered one by one then."""
