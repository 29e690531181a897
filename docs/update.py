"""Run the programs in the documentation; bring printouts and pictures up to date.

    python docs/update.py              all pages and the README
    python docs/update.py docs/a.md    these pages
    python docs/update.py --fresh ...  also printouts that differ only in what may vary

The ```python blocks of a page are one program, run in order in a fresh process, and with them the
commands in ```sh run blocks. A ```text block that follows one holds what that block prints. In a
```text varies block only the words and the layout must stay: numbers differ from run to run, and
lines may change places.

A picture `![...](_static/hour/curves.png)` is the file `curves.png` that the page's program writes
into its working folder.

tests/docs runs every page and fails where a printout is out of date, or a picture is not drawn.
"""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_FENCE = re.compile(r"^```(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
_PICTURE = re.compile(r"!\[[^\]]*\]\((\S+)\)")
_MARK = "#### end of block"
SCRIPT = "example.py"  # how printouts name the page's program


class PageError(Exception):
    """A block of a page fails, a printout has no block above it, or a picture is not drawn."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its info string, its text, and where the text lies in the page."""

    info: str
    text: str
    start: int
    end: int


def pages() -> list[Path]:
    """The README and every page that holds a Python block."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in found if program(blocks(page.read_text("utf-8")))]


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(m[1].strip(), m[2], m.start(2), m.end(2)) for m in _FENCE.finditer(text)]


def program(found: list[Block]) -> list[Block]:
    """The blocks that are run."""
    return [block for block in found if block.info in ("python", "sh run")]


def python(block: Block) -> str:
    """The block as Python; commands find `symnet` also where it is not installed."""
    if block.info == "python":
        return block.text.rstrip()
    script = f'symnet() {{ "{sys.executable}" -m symnet "$@"; }}\n{block.text}'
    return f"import subprocess\nsubprocess.run({script!r}, shell=True, check=True)"


@dataclass(frozen=True)
class Outcome:
    """What each Python block of a page prints, and the pictures that they draw, by name."""

    printed: list[str]
    pictures: dict[str, bytes]


def run(found: list[Block], variables: dict[str, str] | None = None) -> Outcome:
    """Run a page in a fresh process in an empty folder.

    Errors: PageError with the traceback.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / SCRIPT
        # line numbers in printouts are those of the blocks one after the other, with marks between
        end = f"print({_MARK!r}, flush=True)"
        parts = [f"{python(block)}\n\n{end}\n\n" for block in program(found)]
        script.write_text("".join(parts), "utf-8")
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        settings = {"PYTHONPATH": path, "MPLBACKEND": "agg", "SYMNET_OFFLINE": "1"}
        done = subprocess.run(
            [sys.executable, "-W", "error", SCRIPT],
            cwd=folder,
            env={**os.environ, **settings, **(variables or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode:
            raise PageError(f"{done.stdout[-2000:]}\n{done.stderr}")
        printed = done.stdout.replace(str(script.resolve()), SCRIPT).replace(str(script), SCRIPT)
        drawn = {picture.name: picture.read_bytes() for picture in Path(folder).glob("*.png")}
    return Outcome([part.lstrip("\n") for part in printed.split(f"{_MARK}\n")[:-1]], drawn)


def updated(
    text: str, variables: dict[str, str] | None = None, fresh: bool = False
) -> tuple[str, dict[str, bytes]]:
    """The page with current printouts, and its pictures by the address they have in the page.

    A printout that `agrees` stays as it is, unless all shall be `fresh`.
    """
    found = blocks(text)
    outcome = run(found, variables)
    printed = iter(outcome.printed)
    current: str | None = None
    pieces: list[str] = []
    position = 0
    for block in found:
        if block in program([block]):
            current = next(printed)
        elif block.info.split()[:1] == ["text"]:
            if current is None:
                raise PageError(f"nothing above prints\n{block.text}")
            if fresh or not agrees(block, current):
                pieces += [text[position : block.start], current.rstrip("\n") + "\n"]
                position = block.end
            current = None
    return "".join(pieces) + text[position:], _pictures(text, outcome.pictures)


def _pictures(text: str, drawn: dict[str, bytes]) -> dict[str, bytes]:
    found = {}
    for address in _PICTURE.findall(_FENCE.sub("", text)):
        name = Path(address).name
        if name not in drawn:
            raise PageError(f"the page shows {address} and writes no {name}")
        found[address] = drawn[name]
    return found


def agrees(block: Block, printed: str) -> bool:
    """Whether a printout is the one in the page, up to what its info string lets vary."""
    if block.info == "text varies":
        return _shape(block.text) == _shape(printed)
    return block.text.strip() == printed.strip()


def _shape(text: str) -> list[str]:
    """The lines without numbers and widths, in an order of their own."""
    return sorted(" ".join(re.sub(r"[\d.]+", "0", line).split()) for line in text.splitlines())


def main() -> int:
    fresh = "--fresh" in sys.argv[1:]
    wanted = [Path(name).resolve() for name in sys.argv[1:] if name != "--fresh"] or pages()
    for page in wanted:
        before = page.read_text("utf-8")
        after, pictures = updated(before, fresh=fresh)
        page.write_text(after, "utf-8")
        for address, content in pictures.items():
            path = page.parent / address
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        state = "current" if before == after else "updated"
        drawn = f", {len(pictures)} pictures" if pictures else ""
        print(f"{page.relative_to(ROOT)}: {state}{drawn}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
