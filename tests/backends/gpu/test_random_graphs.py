"""Random programs with the emulated device as one more column, compiled in every mode."""

import emulating
import numpy as np
import pytest

from symnet.backends.gpu import host
from symnet.backends.gpu.link import link
from symnet.errors import AssertionFailedError
from symnet.rewrite import optimise
from symnet.schedule.buffers import NotNative, plan
from symnet.schedule.shapes import NotASize
from symnet.testing import random_graph
from symnet.testing.comparison import MODES, check_program, run_program

SEEDS = range(100)
PER_CHUNK = 10
COLUMNS = [name for name, mode in MODES.items() if mode.backend == "compiled"]


def sources(seed, mode):
    built = random_graph(seed).build()
    roots = [*built.outputs, *(v for _, v in built.updates)]
    results, _ = optimise(roots, level=mode.rewrite, native_half_products=True)
    count = len(built.outputs)
    updates = list(zip([s for s, _ in built.updates], results[count:]))
    try:
        program, _ = plan(built.inputs, results[:count], updates, reuse=mode.reuse, fuse=mode.fuse)
    except (NotNative, NotASize):
        return []  # several programs with Python between them
    return link(program).sources


@pytest.fixture(scope="module")
def built_together():
    """All kernels of a process's chunk are built in few units: one by one would take minutes."""

    def build(seeds):
        host.prepare(s for seed in seeds for name in COLUMNS for s in sources(seed, MODES[name]))

    return build


@pytest.mark.parametrize("chunk", range(len(SEEDS) // PER_CHUNK))
def test_modes_agree(chunk, on_device, built_together):
    seeds = SEEDS[chunk * PER_CHUNK : (chunk + 1) * PER_CHUNK]
    built_together(seeds)
    for seed in seeds:
        try:
            with np.errstate(all="ignore"):
                check_program(random_graph(seed), COLUMNS)
        except AssertionFailedError as error:
            raise AssertionFailedError(f"random_graph({seed}): {error}") from None


@pytest.mark.parametrize("chunk", range(4))
def test_circumstances_do_not_matter(chunk, on_device, built_together):
    """From the last block and thread to the first, in an arena or not: the same bits."""
    seeds = SEEDS[chunk * PER_CHUNK : (chunk + 1) * PER_CHUNK]
    built_together(seeds)
    for seed in seeds:
        program = random_graph(seed)
        results = []
        for circumstances in ({"apart": True}, {"downwards": True}, {}):
            with emulating.device(**circumstances):
                results.append(run_program(program, MODES["compiled"]))
        for found in zip(*([*r[0], *r[1]] for r in results), strict=True):
            assert len({a.tobytes() for a in found}) == 1, f"random_graph({seed})"
