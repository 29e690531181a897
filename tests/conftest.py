"""What all tests need; and what the test processes counted is added up at the end of the run."""

import signal

import pytest

_counted: list[dict] = []


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_counts():
    """Tests press Ctrl-C, which is ignored in what a shell starts in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """A process of pytest-xdist has ended."""
    _counted.append(getattr(node, "workeroutput", {}).get("emulated_gpu", {}))


def pytest_terminal_summary(terminalreporter, config):
    found = [c for c in (*_counted, getattr(config, "emulated_gpu", {})) if c]
    if not found:
        return
    kernels = {name for c in found for name in c["kernels"]}
    tests, calls, expressions = (
        sum(c[k] for c in found) for k in ("tests", "calls", "expressions")
    )
    terminalreporter.write_line(
        f"emulated GPU: {tests} tests of other rooms passed on it, {calls} calls of functions, "
        f"{expressions} expressions, {len(kernels)} kernels"
    )
    for architecture in found[0]["compiled"]:
        compiled = {name for c in found for name in c["compiled"][architecture]}
        terminalreporter.write_line(
            f"NVRTC, sm_{architecture}: {len(compiled)} of {len(kernels)} kernels compile"
        )
