"""Sphinx: `sphinx-build -W -n docs docs/_build` makes the site from the pages in this folder.

Every page is Markdown that reads well without Sphinx, too. What plain Markdown cannot say (the
navigation, the API reference) is added by `_extensions/pages.py` while building.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_extensions"), str(HERE.parent)]

import symnet  # noqa: E402

project = "symnet"
author = "the symnet developers"
copyright = author
version = release = symnet.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "pages"]
exclude_patterns = ["_build", "_static"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "symnet"
html_static_path = ["_static"]
html_css_files = ["symnet.css"]
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
pygments_style, pygments_dark_style = "friendly", "github-dark"

nitpicky = True
# types in signatures: those of other projects, and of the compiler's inside, have no page here
nitpick_ignore_regex = [(r"py:class", r".*")]
default_role = "literal"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False
autodoc_class_signature = "mixed"
toc_object_entries_show_parents = "hide"
