"""symnet's docstrings are plain text; this makes reStructuredText of them.

    mean(x)     a name in backticks is a link where it has an entry in the reference, else code
    axis        lines with a gap after their first words are a list of definitions, as these

An indented paragraph is code. Lines that begin with `*`, `-` or a number are a list. `Errors:` at
the start of a paragraph is set off, and names of exceptions are links. Everything else means what
it says: asterisks multiply.
"""

import ast
import re
from collections.abc import Iterator, Mapping

_DEFINITION = re.compile(r"(\S+(?: \S+)*?)(?: {2,})(\S.*)")
_ITEM = re.compile(r"([*-]|\d+\.) +\S")
_LABEL = re.compile(r"(Errors|Raises|Returns|Example|Source):? ")
_BOX = re.compile("[│├└─┌┐]")


def to_rest(text: str, links: Mapping[str, str]) -> list[str]:
    """The lines of reStructuredText for a docstring without its common indentation.

    `links` maps a name as docstrings write it to the full name of its entry.
    """
    lines: list[str] = []
    for chunk in _chunks(text):
        if lines:
            lines.append("")
        if chunk[0].startswith(" ") or _BOX.search("".join(chunk)):
            lines += _code(chunk)
        elif _ITEM.match(chunk[0]):
            lines += [_item(line, links) for line in chunk]
        else:
            start = _definitions_from(chunk)
            if start:
                lines += _paragraph(chunk[:start], links)
                if chunk[start:]:
                    lines.append("")
            lines += _definitions(chunk[start:], links)
    return lines


def _chunks(text: str) -> Iterator[list[str]]:
    """Paragraphs; indented ones that follow each other are one."""
    found: list[list[str]] = []
    for paragraph in re.split(r"\n[ \t]*\n", text.strip("\n")):
        lines = [line.rstrip() for line in paragraph.split("\n") if line.strip()]
        if not lines or lines == ["::"]:
            continue
        if lines[0].startswith(" ") and found and found[-1][0].startswith(" "):
            found[-1] += ["", *lines]
        else:
            found.append(lines)
    return iter(found)


def _code(chunk: list[str]) -> list[str]:
    margin = min(len(line) - len(line.lstrip()) for line in chunk if line)
    body = [line[margin:] for line in chunk]
    try:
        ast.parse("\n".join(body))
        language = "python"
    except SyntaxError:
        language = "text"
    return [f".. code-block:: {language}", "", *(f"   {line}".rstrip() for line in body)]


def _item(line: str, links: Mapping[str, str]) -> str:
    match = re.match(r"( *)((?:[*-]|\d+\.) +)?(.*)", line)
    assert match is not None  # every part may be empty
    return match[1] + (match[2] or "") + inline(match[3], links)


def _definitions_from(chunk: list[str]) -> int:
    """The line from which on a paragraph is a list of definitions; its length if it is none."""
    for start, line in enumerate(chunk):
        rest = chunk[start:]
        if line.startswith(" ") or not _DEFINITION.fullmatch(line):
            continue
        if all(later.startswith(" ") or _DEFINITION.fullmatch(later) for later in rest):
            return start
    return len(chunk)


def _definitions(chunk: list[str], links: Mapping[str, str]) -> list[str]:
    lines = []
    for line in chunk:
        match = None if line.startswith(" ") else _DEFINITION.fullmatch(line)
        if match is None:
            lines.append(f"   {inline(line.strip(), links)}")
        else:
            lines += [f"``{match[1].replace('`', '')}``", f"   {inline(match[2], links)}"]
    return lines


def _paragraph(chunk: list[str], links: Mapping[str, str]) -> list[str]:
    text = "\n".join(line.strip() for line in chunk)
    if text.endswith("::"):
        text = text[:-1]
    label = _LABEL.match(text)
    if label is None:
        return inline(text, links).split("\n")
    return f"**{label[1]}:** {inline(text[label.end() :], links)}".split("\n")


def inline(text: str, links: Mapping[str, str]) -> str:
    """A stretch of text with its names as links or code, and nothing else marked up."""
    parts = re.split(r"(``.+?``|`[^`]+`)", text, flags=re.DOTALL)
    return "".join(_name(p, links) if p[:1] == "`" != p else _plain(p, links) for p in parts)


def _name(quoted: str, links: Mapping[str, str]) -> str:
    name = quoted.strip("`").replace("\n", " ")
    full = links.get(name.removesuffix("()"))
    return f":py:obj:`{name} <{full}>`" if full else f"``{name}``"


def _plain(text: str, links: Mapping[str, str]) -> str:
    escaped = re.sub(r"([\\*|`_])", r"\\\1", text)

    def link(match: re.Match[str]) -> str:
        full = links.get(match[0])
        return f":py:obj:`{match[0]} <{full}>`" if full else match[0]

    return re.sub(r"\b[A-Z][A-Za-z]+Error\b", link, escaped)
