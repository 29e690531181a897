"""Fetching a gzipped file from the first mirror that has it, checked and stored atomically."""

import contextlib
import hashlib
import http.client
import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from symnet.data.idx import gunzip
from symnet.errors import DataError

TIMEOUT = 6.0  # seconds without an answer or without a byte
DEADLINE = 120.0  # seconds for one file, however steadily it drips
_BLOCK = 1 << 16


class DownloadError(DataError):
    """No mirror delivered the file; the message says what each of them answered."""


def fetch(
    name: str,
    mirrors: Sequence[str],
    *,
    size: int,
    sha256: str,
    timeout: float = TIMEOUT,
    deadline: float = DEADLINE,
) -> bytes:
    """The uncompressed content of `<mirror>/<name>.gz`, of `size` bytes and digest `sha256`.

    The mirrors are tried in turn; one that fails, or whose file differs, is passed over. Raises
    `DownloadError` when none is left.
    """
    failures = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{name}.gz"
        try:
            content = gunzip(_get(url, 2 * size, timeout, deadline), url, limit=size)
            check_content(content, url, size=size, sha256=sha256)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = str(getattr(error, "reason", "") or error)
            failures.append(reason if url in reason else f"{url}: {reason}")
        else:
            return content
    raise DownloadError(
        f"{name} could not be downloaded: " + ("; ".join(failures) or "no mirrors given")
    )


def check_content(content: bytes, name: object, *, size: int, sha256: str) -> None:
    """Raise `DataError` unless the bytes have this size and this SHA-256 digest."""
    if len(content) != size:
        raise DataError(f"{name}: found {len(content)} bytes, expected {size}")
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DataError(f"{name}: corrupt: SHA-256 of the content is {found}, expected {sha256}")


def store(path: Path, content: bytes) -> bool:
    """Write the file whole or not at all; False if the folder does not let us."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except OSError:
        return False
    else:
        temporary = None
        return True
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _get(url: str, limit: int, timeout: float, deadline: float) -> bytes:
    """The body of a response of at most `limit` bytes."""
    request = urllib.request.Request(url, headers={"User-Agent": "symnet"})
    end = time.monotonic() + deadline
    body = bytearray()
    with urllib.request.urlopen(request, timeout=timeout) as response:
        length = int(response.headers.get("Content-Length") or 0)
        with _progress(url.rpartition("/")[2], length) as advance:
            while block := response.read1(_BLOCK):
                body += block
                advance(len(block))
                if len(body) > limit:
                    raise DataError(f"{url}: longer than {limit} bytes")
                if time.monotonic() > end:
                    raise DataError(f"{url}: not complete after {deadline:g} seconds")
    if length and len(body) != length:
        raise DataError(f"{url}: the connection ended after {len(body)} of {length} bytes")
    return bytes(body)


@contextlib.contextmanager
def _progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error if that is a terminal, a line without rich; yields what
    advances it."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    try:
        # rich takes 50 ms to import, and is not there without the extra [cli]
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            DownloadColumn,
            Progress,
            TimeRemainingColumn,
        )
    except ImportError:
        print(f"downloading {label}", file=sys.stderr, flush=True)
        yield lambda count: None
        return

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total or None)
        yield lambda count: bar.advance(task, count)
