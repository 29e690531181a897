"""What the Sphinx extension makes of docstrings and pages; that no public name is left out."""

import importlib
import importlib.util
import sys
import types
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
EXTENSIONS = ROOT / "docs" / "_extensions"
PUBLIC = (
    "symnet",
    "symnet.data",
    "symnet.errors",
    "symnet.nn",
    "symnet.tensor",
    "symnet.tensor.nnet",
    "symnet.testing",
)


def extension(name):
    spec = importlib.util.spec_from_file_location(name, EXTENSIONS / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


docstrings = extension("docstrings")
pages = extension("pages")
LINKS = {"grad": "symnet.grad", "ShapeError": "symnet.errors.ShapeError"}


def rest(text):
    return "\n".join(docstrings.to_rest(text, LINKS))


def test_plain_text_stays_what_it_is():
    assert rest("x**2 * y, |x| and m_ of `x*y`.") == r"x\*\*2 \* y, \|x\| and m\_ of ``x*y``."


def test_names_with_an_entry_are_links():
    assert rest("As `grad`; may raise ShapeError, or `OtherError`.") == (
        "As :py:obj:`grad <symnet.grad>`; may raise "
        ":py:obj:`ShapeError <symnet.errors.ShapeError>`, or ``OtherError``."
    )


def test_columns_are_definitions():
    text = "Fits.\n\nx        data\nstrict, axis   as in `grad`,\n               or not"
    assert rest(text) == (
        "Fits.\n\n``x``\n   data\n``strict, axis``\n   as in :py:obj:`grad <symnet.grad>`,\n"
        "   or not"
    )


def test_definitions_may_follow_a_sentence():
    assert rest("The fields:\na  one\nb  two") == "The fields:\n\n``a``\n   one\n``b``\n   two"


def test_indented_paragraphs_are_code():
    assert rest("So::\n\n    f(x) * 2\n\n    g(y)") == (
        "So:\n\n.. code-block:: python\n\n   f(x) * 2\n\n   g(y)"
    )
    assert rest("So:\n\n    p' = p * q").startswith("So:\n\n.. code-block:: text\n")


def test_lists_and_labels():
    assert rest("* a*b\n  more\n* c") == "* a\\*b\n  more\n* c"
    assert rest("Errors: ShapeError.").startswith("**Errors:** :py:obj:`ShapeError <")


def test_navigation_is_made_of_the_lists():
    text = "# T\n\n## Guides\n\n* [A](a.md): x\n* [B](sub/b.md)\n\n## Other\n\n[C](c.md) is text.\n"
    made = pages.with_navigation(text)
    assert "```{toctree}\n:hidden:\n:caption: Guides\n\na\nsub/b\n```" in made
    assert made.count("toctree") == 1


def described(name):
    """The objects behind a module's public names, by full name."""
    module = importlib.import_module(name)
    return {
        f"{name}.{one}": getattr(module, one)
        for one in pages.public(module)
        if not isinstance(getattr(module, one), types.ModuleType)
        and not one.startswith("__")
        and not pages._LETTERED.fullmatch(one)
    }


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_has_an_entry(module):
    known = {id(entry.value) for entry in pages.reference_entries()}
    missing = [name for name, value in described(module).items() if id(value) not in known]
    assert missing == []


def test_no_entry_stands_twice():
    twice = [n for n, k in Counter(e.full for e in pages.reference_entries()).items() if k > 1]
    assert twice == []


def test_every_entry_has_a_docstring():
    bare = [e.full for e in pages.reference_entries() if e.kind != "data" and not e.value.__doc__]
    assert bare == []
