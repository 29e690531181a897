"""`mnist()`: where it looks, what it trusts, and what it says."""

import gzip
import http.server
import os
import pathlib
import struct
import threading

import numpy as np
import pytest

from symnet.data import DownloadError, digits, download, mnist, synthetic, synthetic_digits
from symnet.errors import DataError

NAMED = os.environ.get("SYMNET_DATA")
NAMES = [file.name for file in digits._FILES]


def encode(array):
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return header + array.tobytes()


@pytest.fixture
def contents():
    """A small set in the four files' form: name -> bytes."""
    train, train_labels = synthetic_digits(30)
    test, test_labels = synthetic_digits(20, seed=1)
    return dict(zip(NAMES, map(encode, (train, train_labels, test, test_labels))))


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    """An empty cache, nothing named, no network."""
    monkeypatch.setenv("SYMNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SYMNET_DATA", raising=False)
    monkeypatch.setenv("SYMNET_OFFLINE", "1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def known(contents, monkeypatch):
    """The small set takes the place of MNIST: its sizes and digests are the expected ones."""
    import hashlib

    files = [
        file._replace(
            size=len(contents[file.name]),
            sha256=hashlib.sha256(contents[file.name]).hexdigest(),
        )
        for file in digits._FILES
    ]
    monkeypatch.setattr(digits, "_FILES", tuple(files))
    return contents


def fill(folder, contents, compress=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        if compress:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


def assert_is(result, contents, source="idx"):
    assert result.source == source
    for name, array in zip(NAMES, result[:4]):
        assert encode(array) == contents[name]


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("inner", ["", "mnist"])
def test_named_folder(tmp_path, monkeypatch, contents, compress, inner, capfd):
    fill(tmp_path / "named" / inner, contents, compress)
    assert_is(mnist(tmp_path / "named"), contents)
    monkeypatch.setenv("SYMNET_DATA", str(tmp_path / "named"))
    assert_is(mnist(), contents)
    assert capfd.readouterr() == ("", "")


def test_flat(tmp_path, contents):
    result = mnist(fill(tmp_path / "named", contents))
    flat = result.flat()
    assert flat.train_x.shape == (30, 784) and flat.train_x.dtype == np.float32
    assert flat.test_y.dtype == np.int64 and flat.test_y.tolist() == result.test_labels.tolist()
    expected = np.float32(result.test_images.reshape(20, -1)) / np.float32(255)
    np.testing.assert_array_equal(flat.test_x, expected)
    assert result.flat("float64").train_x.dtype == np.float64 and flat.train_x.max() == 1


def test_swapped_images_and_labels(tmp_path, contents):
    a, b = NAMES[:2]
    contents[a], contents[b] = contents[b], contents[a]
    with pytest.raises(DataError, match=f"{a}: .*found 0x00000801 .*expected 0x00000803"):
        mnist(fill(tmp_path / "named", contents))


def test_swapped_training_and_test_labels(tmp_path, contents):
    a, b = NAMES[1], NAMES[3]
    contents[a], contents[b] = contents[b], contents[a]
    with pytest.raises(DataError, match=f"{NAMES[0]} holds 30 images but .*{a} holds 20 labels"):
        mnist(fill(tmp_path / "named", contents))


def test_swapped_training_and_test_sets(tmp_path):
    sets = [np.zeros((n, *s), np.uint8) for n in (10000, 60000) for s in ((28, 28), ())]
    with pytest.raises(DataError, match="training and test files are swapped"):
        mnist(fill(tmp_path / "named", dict(zip(NAMES, map(encode, sets)))))


@pytest.mark.parametrize(
    ("k", "array", "message"),
    [
        (0, np.zeros((30, 27, 28), np.uint8), r"images of \(27, 28\) pixels, expected \(28, 28\)"),
        (3, np.r_[np.zeros(19, "u1"), np.uint8(10)], "label 10 at position 19, expected labels"),
    ],
)
def test_content_that_is_not_digits(tmp_path, contents, k, array, message):
    contents[NAMES[k]] = encode(array)
    with pytest.raises(DataError, match=f"{NAMES[k]}: {message}"):
        mnist(fill(tmp_path / "named", contents))


def test_incomplete_folder(tmp_path, monkeypatch, contents):
    del contents[NAMES[2]]
    monkeypatch.setenv("SYMNET_DATA", str(fill(tmp_path / "named", contents)))
    with pytest.raises(DataError, match=f"named: incomplete: {NAMES[2]} .* is missing"):
        mnist()


def test_empty_folder_given_by_argument(tmp_path):
    with pytest.raises(DataError, match="no MNIST files"):
        mnist(tmp_path)


def test_synthetic_says_so(capfd, tmp_path, monkeypatch):
    monkeypatch.setenv("SYMNET_DATA", str(tmp_path))
    result = mnist(synthetic_sizes=(50, 40))
    out, err = capfd.readouterr()
    assert result.source == "synthetic"
    assert "NOT MNIST" in err and "downloads are switched off" in err and out == ""
    assert f"SYMNET_DATA={tmp_path} holds no MNIST files" in " ".join(err.split())
    assert all(len(line) < 100 for line in err.splitlines() if str(tmp_path) not in line)
    for got, expected in zip(result[:4], synthetic(50, 40)[:4]):
        np.testing.assert_array_equal(got, expected)
    assert not (result.train_images[:40] == result.test_images).all(axis=(1, 2)).any()


def said(capfd):
    """Standard error on one line."""
    return " ".join(capfd.readouterr().err.split())


class Server:
    """A mirror on 127.0.0.1. `paths` maps a path to its body, `asked` logs the requests."""

    def __init__(self):
        self.paths, self.asked = {}, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                body = outer.paths.get(self.path)
                if body is None:
                    self.send_error(404)
                    return
                cut = self.path.startswith("/cut/")
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[:-5] if cut else body)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def serve(self, folder, contents):
        self.paths |= {f"/{folder}/{k}.gz": gzip.compress(v) for k, v in contents.items()}
        return f"{self.url}/{folder}"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv("SYMNET_OFFLINE")
    server = Server()
    yield server
    server.server.shutdown()
    server.server.server_close()


def test_download_fills_the_cache(server, known, tmp_path, capfd):
    mirror = server.serve("good", known)
    assert_is(mnist(mirrors=[mirror]), known)
    assert len(server.asked) == 4
    assert sorted(os.listdir(tmp_path / "cache" / "data" / "mnist")) == sorted(NAMES)
    assert_is(mnist(mirrors=[mirror]), known)
    assert_is(mnist(download=False), known)
    assert len(server.asked) == 4, "the second time nothing is fetched"
    assert capfd.readouterr() == ("", ""), "no bar where there is no terminal"


def test_bad_mirrors_are_passed_over(server, known):
    damaged = {k: v[:-1] + bytes([v[-1] ^ 1]) for k, v in known.items()}
    long = {k: v + b"more" for k, v in known.items()}
    mirrors = [
        server.serve("damaged", damaged),
        server.serve("long", long),
        server.serve("cut", known),
        f"{server.url}/absent",
        "http://127.0.0.1:9",
        "nonsense",
        server.serve("good", known),
    ]
    server.paths[f"/good/{NAMES[0]}.gz"] = gzip.compress(known[NAMES[0]])
    assert_is(mnist(mirrors=mirrors), known)


def test_failures_are_listed(server, known, tmp_path):
    damaged = server.serve("damaged", {NAMES[1]: known[NAMES[1]][::-1]})
    cut = server.serve("cut", {NAMES[1]: known[NAMES[1]]})
    file = digits._FILES[1]
    with pytest.raises(DownloadError) as caught:
        download.fetch(
            file.name, [damaged, cut, f"{server.url}/none"], size=file.size, sha256=file.sha256
        )
    message = str(caught.value)
    assert "damaged" in message and "SHA-256" in message and file.sha256 in message
    assert "/cut/" in message and "the connection ended after" in message
    assert "/none/" in message and "Not Found" in message


def test_slow_mirror_is_given_up(server, known):
    mirror = server.serve("good", known)
    file = digits._FILES[0]
    with pytest.raises(DownloadError, match="not complete after -1 seconds"):
        download.fetch(file.name, [mirror], size=file.size, sha256=file.sha256, deadline=-1)


def test_corrupt_cache_file_is_replaced(server, known, tmp_path):
    cache = fill(tmp_path / "cache" / "data" / "mnist", known)
    (cache / NAMES[0]).write_bytes(known[NAMES[0]][:-1])
    (cache / NAMES[3]).write_bytes(gzip.compress(b"else"))
    assert_is(mnist(mirrors=[server.serve("good", known)]), known)
    assert sorted(server.asked) == sorted(f"/good/{NAMES[k]}.gz" for k in (0, 3))
    assert (cache / NAMES[0]).read_bytes() == known[NAMES[0]]


def test_corrupt_cache_file_without_network(known, tmp_path, capfd):
    cache = fill(tmp_path / "cache" / "data" / "mnist", known)
    (cache / NAMES[0]).write_bytes(b"")
    assert mnist(synthetic_sizes=(5, 5)).source == "synthetic"
    assert f"{NAMES[0]}: found 0 bytes, expected" in said(capfd)


def test_cache_that_cannot_be_written(server, known, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SYMNET_CACHE", str(tmp_path / "file"))
    assert_is(mnist(mirrors=[server.serve("good", known)]), known)


def test_store_leaves_nothing_behind_when_it_fails(tmp_path):
    (tmp_path / "target").mkdir()
    assert not download.store(tmp_path / "target", b"content")
    assert os.listdir(tmp_path) == ["target"]


def test_progress_bar_on_a_terminal(server, known, monkeypatch):
    import io

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    assert_is(mnist(mirrors=[server.serve("good", known)]), known)
    assert NAMES[0] in screen.getvalue()


def test_the_real_files():
    """Digests and sizes are those of MNIST itself, where it is at hand."""
    if not NAMED or not digits._find(pathlib.Path(NAMED)):
        pytest.skip("SYMNET_DATA names no folder with MNIST")
    result = mnist(NAMED)
    assert result.train_images.shape == (60000, 28, 28) and result.test_labels.shape == (10000,)
    for path, file in zip(digits._find(pathlib.Path(NAMED)), digits._FILES):
        content = digits.read_content(path)
        download.check_content(content, path, size=file.size, sha256=file.sha256)
