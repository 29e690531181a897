"""The HTML page: well-formed, self-contained, complete, and nothing in it is executed by chance."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

import symnet
import symnet.tensor as T


def trained():
    x, y = T.matrix("x"), T.lvector("y")
    W = symnet.shared(np.ones((4, 3), "float32"), name="W")
    p = T.nnet.softmax(T.dot(x, W))
    cost = T.nnet.categorical_crossentropy(p, y).mean()
    f = symnet.function([x, y], cost, updates={W: W - 0.1 * symnet.grad(cost, W)}, name="train")
    return f.explain(np.ones((5, 4), "float32"), np.zeros(5, "int64"))


@pytest.fixture(scope="module")
def explained():
    return trained()


@pytest.fixture(scope="module")
def tree(explained):
    return as_tree(explained.html())


def as_tree(page):
    """The page as XML: attributes quoted, tags closed, entities escaped."""
    return ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>\n"))


def text_of(element):
    return "".join(element.itertext())


def body_of(tree):
    return text_of(tree.find("body/div"))


def test_it_is_one_file_without_network(explained, tree):
    page = explained.html()
    assert not re.search(r"(?:src|href)\s*=\s*['\"](?!#)", page)
    assert "http" not in page and "@import" not in page and "url(" not in page
    assert [e.tag for e in tree] == ["head", "body"]


def test_tags_are_known_to_html(explained):
    class Checker(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open = []

        def handle_starttag(self, tag, attrs):
            self.open.append(tag)

        def handle_startendtag(self, tag, attrs):
            assert tag in ("meta", "br"), f"<{tag}/> is not closed in HTML"

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

    checker = Checker()
    checker.feed(explained.html())
    assert checker.open == []


def test_links_lead_somewhere_and_ids_are_unique(tree):
    ids = [e.get("id") for e in tree.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    links = {e.get("href")[1:] for e in tree.iter("a")}
    assert links and links <= set(ids)


def test_everything_the_text_says_is_on_the_page(explained, tree):
    body = body_of(tree)
    for line in explained.lines:
        assert line.origin.text in body
    for step in explained.steps:
        for result in step.results:
            assert result in body
    for kernel in explained.kernels:
        assert kernel.source.strip() in body
        assert kernel.machine.short in body
    for phase in explained.rules:
        for rule in phase.rules:
            assert rule.rule in body
            for use in rule.uses:
                assert use.before in body and use.after in body
    assert explained.written in body and explained.rewritten in body
    for plan in explained.memory:
        for b in plan.buffers:
            assert f"buf{b.number}" in body


def test_text_is_escaped():
    x = T.vector("<script>alert('x')</script>")
    f = symnet.function([x], T.where(x < 1, x, 0), name="a <b> & 'c'")  # & < > in the line
    page = f.explain(np.ones(3, "float32")).html()
    assert "<script>alert" not in page
    body = body_of(as_tree(page))
    assert "<script>alert('x')</script>" in body and "a <b> & 'c'" in body
    assert "x < 1" in body


def test_it_is_written_to_a_file(tmp_path, explained):
    path = tmp_path / "page.html"
    text = explained.html(path)
    assert path.read_text("utf-8") == text


def test_notebooks_get_the_same_without_a_frame(explained):
    fragment = explained._repr_html_()
    assert "<html" not in fragment and "<body" not in fragment
    assert fragment in explained.html()
    selectors = re.findall(r"(?:^|[}\n])\s*([^{}@]+)\{", fragment.split("</style>")[0])
    for selector in selectors:
        for one in selector.replace("<style>", "").split(","):
            assert one.strip().startswith(".sx"), one


def test_two_pages_in_one_notebook_do_not_meet(explained):
    other = symnet.function([], T.constant(np.ones(3)) * 2).explain()
    ids = [
        {e.get("id") for e in as_tree(page.html()).iter() if e.get("id")}
        for page in (explained, other)
    ]
    assert not ids[0] & ids[1]


def test_functions_that_compile_nothing_and_such_that_never_ran():
    x = T.vector("x")
    for mode in ("reference", "compiled"):
        body = body_of(as_tree(symnet.function([x], T.exp(x), mode=mode).explain().html()))
        assert "exp" in body and ("kernel" in body) == (mode == "compiled")


def test_bars_show_the_shares_of_the_time(explained, tree):
    total = sum(step.seconds for step in explained.steps)
    rows = [e for e in tree.iter("div") if e.get("class") == "step"]
    assert len(rows) == len(explained.steps)
    for step, row in zip(explained.steps, rows):
        (bar,) = row.iter("i")
        assert bar.get("style") == f"width:{step.seconds / total:.1%}"
