"""What Sphinx adds to the Markdown pages: navigation, and the API reference.

    the first lists of links     in `index.md` and `reference/index.md` become the navigation
    <!-- api: MODULE -->         becomes the entries of a module's public names
    <!-- api: MODULE from A B -->  only of those that MODULE imports from A, B or below
    <!-- api: MODULE.CLASS -->   becomes the entry of a class with all its methods
    <!-- api: MODULE.CLASS own -->  with those that it does not inherit
    <!-- keys: MODULE.TABLE -->  becomes the names of NumPy's functions that are a dict's keys
    <!-- page: PATH -->          becomes the page PATH of another folder of the repository

Docstrings are plain text (`docstrings.py`).
"""

import ast
import contextlib
import functools
import importlib
import inspect
import re
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from docstrings import to_rest

DOCS = Path(__file__).resolve().parent.parent
ROOT = DOCS.parent
_API = re.compile(r"^<!-- api: (\S+)(?: from ([^>]*?)|( own))? -->$", re.MULTILINE)
_KEYS = re.compile(r"^<!-- keys: (\S+)\.(\w+) -->$", re.MULTILINE)
_PAGE = re.compile(r"^<!-- page: (\S+) -->$", re.MULTILINE)
_LISTS = re.compile(r"^(?:[*-]|\d+\.) .*\n", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#:]+)\.md\)")
_CONTENTS = ("index", "reference/index")
# inputs of one dtype: 90 names for what reference/tensor.md says in a table
_LETTERED = re.compile(r"[bwilfd](scalar|vector|matri|row|col|tensor[345])(x|ces|s)?")


class Entry(NamedTuple):
    """A documented name: the kind of entry, its full name, the object, and its other names."""

    kind: str
    full: str
    value: Any
    aliases: list[str]


# ---- which names there are


def module_of(name: str) -> types.ModuleType | None:
    """The module of this name; None if it is no module. Errors: ImportError for one that needs a
    package which is not there."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if name.startswith(str(error.name)):
            return None
        raise


def public(module: types.ModuleType) -> list[str]:
    """`__all__`, or the classes and functions that the module itself defines."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return list(listed)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]


@functools.cache
def imports(name: str) -> dict[str, str]:
    """Where a module imports each of its names from, by its source text."""
    module = module_of(name)
    assert module is not None and module.__file__ is not None
    return {
        alias.asname or alias.name: node.module
        for node in ast.walk(ast.parse(Path(module.__file__).read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }


def entries(target: str, sources: str | None = None) -> list[Entry]:
    """The entries that an api comment stands for, in the order of the source."""
    module = module_of(target)
    if module is None:  # a class
        owner, _, name = target.rpartition(".")
        return [Entry("class", target, getattr(module_of(owner), name), [])]
    names = public(module)
    if sources is not None:
        wanted = tuple(sources.split())
        origins = imports(target)
        order = list(origins)
        names = [n for n in names if any(below(origins.get(n, ""), w) for w in wanted)]
        names.sort(key=order.index)
    same: dict[int, list[str]] = {}
    for name in names:
        value = getattr(module, name)
        if not (inspect.ismodule(value) or name.startswith("__") or _LETTERED.fullmatch(name)):
            same.setdefault(id(value), []).append(name)
    found = []
    for aliases in same.values():
        value = getattr(module, aliases[0])
        own = getattr(value, "__name__", "")  # comes first
        aliases.sort(key=lambda name: (name != own.rstrip("_"), name != own))
        found.append(Entry(kind_of(value), f"{target}.{aliases[0]}", value, aliases[1:]))
    return found


def below(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def kind_of(value: Any) -> str:
    if inspect.isclass(value):
        return "exception" if issubclass(value, BaseException) else "class"
    return "function" if inspect.isroutine(value) else "data"


def reference_entries() -> Iterator[Entry]:
    """Every entry of the reference, page by page."""
    for page in sorted((DOCS / "reference").glob("*.md")):
        for match in _API.finditer(page.read_text("utf-8")):
            with contextlib.suppress(ImportError):
                yield from entries(match[1], match[2])


@functools.cache
def places() -> dict[str, Any]:
    """Every name that has a place in the reference, methods too, and the object behind it."""
    found: dict[str, Any] = {}
    for entry in reference_entries():
        found[entry.full] = entry.value
        if entry.kind == "class":
            for method, value in vars(entry.value).items():
                if not method.startswith("_") and inspect.isroutine(value) and value.__doc__:
                    found[f"{entry.full}.{method}"] = value
    return found


@functools.cache
def links() -> dict[str, str]:
    """How any docstring may write a documented name, and the name of its entry."""
    found: dict[str, str] = {}
    for full in places():
        found[full] = found[full.removeprefix("symnet.")] = full
    for entry in reference_entries():
        owner, _, name = entry.full.rpartition(".")
        for alias in (name, *entry.aliases):
            found.setdefault(f"{owner}.{alias}", entry.full)
            if owner == "symnet.tensor":
                found.setdefault(f"T.{alias}", entry.full)
        # short names of what cannot be taken for a variable
        if entry.kind in ("class", "exception") and name[0].isupper():
            found.setdefault(name, entry.full)
            for full in places():
                if full.startswith(f"{entry.full}."):
                    found.setdefault(full.removeprefix(f"{owner}."), full)
    # what stands at its own place may be known under a shorter name
    at = {id(value): full for full, value in places().items()}
    for short in ("nn", "data"):
        module = importlib.import_module(f"symnet.{short}")
        for name in public(module):
            if full := at.get(id(getattr(module, name))):
                found.setdefault(f"{short}.{name}", full)
    return found | {name: f"symnet.{name}" for name in ("grad", "verify_grad")}


def links_from(place: str, value: Any) -> dict[str, str]:
    """`links`, as the docstring of `value` at `place` means them: members and neighbours by their
    last name, and arguments not at all."""
    owner = place.rpartition(".")[0]
    near = {
        full.rpartition(".")[2]: full
        for scope in (owner, place)
        for full in places()
        if full.rpartition(".")[0] == scope
    }
    own = {place.rpartition(".")[2], *arguments(value)}
    return {name: full for name, full in (links() | near).items() if name not in own}


def arguments(value: Any) -> list[str]:
    try:
        return list(
            inspect.signature(value.__init__ if inspect.isclass(value) else value).parameters
        )
    except (TypeError, ValueError):
        return []


# ---- from comments to directives


def expanded(text: str, docname: str) -> str:
    """The page as Sphinx reads it."""
    if page := _PAGE.search(text):
        path = ROOT / page[1]
        return f"<!-- {page[1]} -->\n{path.read_text('utf-8')}"
    if docname in _CONTENTS:
        text = with_navigation(text)
    text = _KEYS.sub(lambda match: numpy_names(*match.groups()), text)
    return _API.sub(lambda match: reference_or_reason(*match.groups()), text)


def reference_or_reason(target: str, sources: str | None, own: str | None) -> str:
    try:
        return reference(target, sources, own)
    except ImportError as error:
        return f"This site was made without the entries: {error}."


def numpy_names(module: str, table: str) -> str:
    keys = getattr(importlib.import_module(module), table)
    named = [
        f"`{(getattr(key, '__module__', None) or 'numpy').replace('numpy', 'np')}.{key.__name__}`"
        for key in keys  # ufuncs do not say where they are
    ]
    return ", ".join(sorted(named)) + "."


def with_navigation(text: str) -> str:
    """A hidden table of contents after each list of links, under the heading before it."""
    parts = re.split(r"(?=^## )", text, flags=re.MULTILINE)
    for k, part in enumerate(parts):
        if found := _LINK.findall("".join(_LISTS.findall(part))):
            heading = re.match(r"## (.*)", part)
            caption = f":caption: {heading[1]}\n" if heading else ""
            listed = "\n".join(found)
            parts[k] = f"{part.rstrip()}\n\n```{{toctree}}\n:hidden:\n{caption}\n{listed}\n```\n\n"
    return "".join(parts)


def reference(target: str, sources: str | None = None, own: str | None = None) -> str:
    lines: list[str] = []
    if sources is None and module_of(target) is not None:
        lines += [f".. py:module:: {target}", ""]
    for name in sources.split() if sources else [target]:
        module = module_of(name)
        text = inspect.getdoc(module) or "" if module is not None else ""
        if sources:  # the page's heading says what the first line does
            text = text.partition("\n\n")[2]
        lines += [*to_rest(text, links_from(f"{name}.", None)), ""]
    for entry in entries(target, sources):
        lines += [*directive(entry, methods=module_of(target) is None and not own), ""]
    body = "\n".join(lines)
    return f"````{{eval-rst}}\n{body}\n````"


def directive(entry: Entry, methods: bool) -> list[str]:
    """The lines of an entry. `methods`: with those that a class inherits."""
    short = entry.full.rpartition(".")[2]
    named = ", ".join(f"``{name}``" for name in entry.aliases)
    also = ["", f"   Also: {named}."] if named else []
    if entry.kind == "data" and callable(entry.value):  # an op that serves as a function
        function = getattr(importlib.import_module("symnet.tensor"), short)
        text = to_rest(inspect.getdoc(function) or "", links_from(entry.full, function))
        signature = ", ".join(arguments(function))
        heading = f".. py:function:: {entry.full}({signature})"
        return [heading, "", *(f"   {line}" for line in text), *also]
    if entry.kind == "data":
        return [f".. py:data:: {entry.full}"]
    lines = [f".. auto{entry.kind}:: {entry.full}"]
    if entry.kind == "class":
        lines += ["   :members:"]
        if methods:
            lines += ["   :inherited-members: object"]
    return lines + also


def read(app: Any, docname: str, content: list[str]) -> None:
    content[0] = expanded(content[0], docname)


def plain_docstring(
    app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]
) -> None:
    text = "\n".join(lines)
    if text.startswith("Alias for field number"):  # of a named tuple
        text = ""
    lines[:] = [*to_rest(text, links_from(name, value)), ""]


def short_signature(
    app: Any, what: str, name: str, value: Any, options: Any, signature: Any, result: Any
) -> tuple[Any, Any]:
    """`Any` says nothing to a reader, and where a class stands need not be said in full."""
    if what == "class" and re.match(r"\(\*args\b.*\*\*kwargs\b", signature or ""):
        # of a __new__ that serves all subclasses
        from sphinx.util import inspect as sphinx  # noqa: PLC0415 (tests may lack it)

        found = sphinx.signature(value.__init__, bound_method=True)
        signature = sphinx.stringify_signature(found, unqualified_typehints=True)
    if signature is not None:
        signature = re.sub(
            r"(\w+): ~?(?:typing\.)?Any( = )?",
            lambda match: match[1] + ("=" if match[2] else ""),
            signature,
        )
    if result in ("Any", "~typing.Any", "None"):
        result = None
    return signature, result


def skipped(app: Any, what: str, name: str, value: Any, skip: bool, options: Any) -> bool | None:
    """scikit-learn gives estimators methods that say in its own markup which metadata they take."""
    return True if re.fullmatch(r"set_\w+_request", name) else None


def setup(app: Any) -> dict[str, Any]:
    hooks: dict[str, Callable[..., Any]] = {
        "source-read": read,
        "autodoc-process-docstring": plain_docstring,
        "autodoc-process-signature": short_signature,
        "autodoc-skip-member": skipped,
    }
    for event, hook in hooks.items():
        app.connect(event, hook)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
