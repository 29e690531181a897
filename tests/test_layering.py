"""Who may import whom (docs/design, D4), what `import symnet` costs, what `__all__` says."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Each room may import itself and the rooms to its left. Rooms on one line do not see each other.
ORDER = [
    ["errors", "version"],
    ["config"],
    ["graph"],
    ["ops"],
    ["tensor"],
    ["rewrite"],
    ["autodiff"],
    ["schedule"],
    ["kernels"],
    ["backends"],
    ["function"],
    ["nn", "data"],
    ["testing", "sklearn"],
    ["cli"],
]
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}
# may import anything: the benchmarks, the package itself, and its modules of Theano's names
FREE = {"benchmarks", "symnet", "gradient", "printing"}
HEAVY = [
    "numba", "networkx", "scipy", "matplotlib", "llvmlite", "rich", "cupy", "tqdm", "sklearn",
    "pandas", "torch", "jax",
]  # fmt: skip


def sources():
    for folder in (ROOT / "symnet", ROOT / "kernels"):
        yield from sorted(folder.rglob("*.py"))


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[0] == "kernels":
        return "kernels"
    return "symnet" if parts[1] in ("__init__", "__main__") else parts[1]


def imported(node: ast.AST) -> list[str]:
    """The symnet modules that an import statement names, without the leading package."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        if node.module == "symnet":
            names = [f"symnet.{alias.name}" for alias in node.names]
        else:
            names = [node.module or ""]
    else:
        return []
    return [n.partition(".")[2] for n in names if n.split(".")[0] == "symnet"]


def breaches(text: str, room: str) -> list[str]:
    """What a module of `room` with this text imports although it must not."""
    tree = ast.parse(text)
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for node in ast.walk(function)
    }
    found = []
    for node in ast.walk(tree):
        for module in imported(node):
            target = module.split(".")[0]
            if room not in FREE:
                allowed = target == room or LEVEL.get(target, 99) < LEVEL[room]
                if not allowed:
                    found.append(f"line {node.lineno}: {room} imports {target or 'symnet'}")
            if id(node) in inside and room not in ("cli", "benchmarks"):
                found.append(f"line {node.lineno}: function-local import of symnet.{module}")
    return found


@pytest.mark.parametrize("path", list(sources()), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path):
    assert breaches(path.read_text(), room_of(path)) == []


@pytest.mark.parametrize(
    "text",
    [
        "import symnet.tensor",
        "from symnet import tensor",
        "from symnet.tensor.variable import TensorVariable",
        "import symnet",
        "def f():\n    from symnet.graph import Op",
        "class A:\n    def f(self):\n        import symnet.errors",
    ],
)
def test_breaches_are_seen(text):
    assert breaches(text, "ops")


def test_every_room_has_its_place():
    rooms = {room_of(path) for path in sources()}
    assert rooms <= set(LEVEL) | FREE


def test_import_is_light():
    if not (ROOT / "symnet" / "__init__.py").exists():
        pytest.skip("the package has no public names yet")
    code = f"import sys, symnet; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def packages():
    for path in sources():
        parts = path.relative_to(ROOT).with_suffix("").parts
        if "cli" in parts or parts[-1] == "__main__":
            continue
        if parts[0] == "kernels":
            parts = ("symnet", *parts)
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("name", sorted(set(packages())))
def test_all_names_exist(name):
    """`__all__` is sorted out by hand, so it is checked: each name is there, none twice. In the
    packages that users import from, every public name that is visible is listed."""
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        if (error.name or "").split(".")[0] != "symnet":
            pytest.skip(f"needs {error.name}")
        raise
    listed = getattr(module, "__all__", None)
    if listed is None:
        return
    assert len(set(listed)) == len(listed)
    assert [n for n in listed if not hasattr(module, n)] == []
    if name in ("symnet", "symnet.tensor", "symnet.graph", "symnet.autodiff", "symnet.testing"):
        visible = {
            n
            for n, v in vars(module).items()
            if n[0] != "_"
            and not isinstance(v, type(sys))
            and str(getattr(v, "__module__", "symnet")).startswith("symnet")
        }
        assert visible <= set(listed)


def test_only_the_gpu_back_end_names_cuda():
    """In names that code uses; devices and packages are called by strings."""
    own = ROOT / "symnet" / "backends" / "gpu"
    words = ("cuda", "cupy", "cublas", "nvrtc")

    def names(tree):
        for node in ast.walk(tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                yield from (alias.name for alias in node.names)
                yield getattr(node, "module", None) or ""
            for field in ("id", "attr", "name", "arg"):
                value = getattr(node, field, None)
                if isinstance(value, str):
                    yield value

    found = {
        (str(path.relative_to(ROOT)), name)
        for path in sources()
        if own not in path.parents
        for name in names(ast.parse(path.read_text()))
        if any(word in name.lower() for word in words)
    }
    assert found <= {("symnet/cli/info.py", "CUDA_PACKAGES")}  # what a person is told to install
