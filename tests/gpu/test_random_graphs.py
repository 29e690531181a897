"""Random programs on the GPU, compiled in every mode, against the interpreter."""

import hardware
import numpy as np
import pytest

from symnet.errors import AssertionFailedError
from symnet.testing import random_graph
from symnet.testing.comparison import MODES, check_program

hardware.needed()

SEEDS = 48
PER_CHUNK = 6
COLUMNS = [name for name, mode in MODES.items() if mode.backend == "compiled"]


@pytest.mark.parametrize("chunk", range(SEEDS // PER_CHUNK))
def test_modes_agree(chunk, gpu):
    for seed in range(chunk * PER_CHUNK, (chunk + 1) * PER_CHUNK):
        try:
            with np.errstate(all="ignore"):
                check_program(random_graph(seed), COLUMNS)
        except AssertionFailedError as error:
            raise AssertionFailedError(f"random_graph({seed}): {error}") from None
