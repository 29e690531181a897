"""DOT text, read again with a small parser of the part of the language that is used."""

import re

import pytest

import symnet
import symnet.tensor as T
from symnet.errors import TypeMismatchError

_STRING = r'"((?:[^"\\]|\\.)*)"'


def parse(text):
    """(labels by node, edges, titles of frames with the nodes in them)."""
    assert text.startswith("digraph symnet {\n") and text.endswith("}\n")
    bare = re.sub(_STRING, '""', text)
    assert bare.count("{") == bare.count("}") and bare.count("[") == bare.count("]")
    labels, edges, frames = {}, [], {}
    frame = None
    for line in text.splitlines()[1:-1]:
        line = line.strip()
        if line.startswith("subgraph"):
            frame = []
        elif line == "}":
            frame = None
        elif frame is not None and line.startswith("label="):
            frames[re.match(f"label={_STRING}", line)[1]] = frame
        elif edge := re.match(r"(\w+) -> (\w+)", line):
            edges.append(edge.groups())
        elif node := re.match(rf"([vn]\d+|out\d+) \[.*?label={_STRING}", line):
            labels[node[1]] = node[2]
            if frame is not None:
                frame.append(node[1])
    return labels, edges, frames


def test_every_node_and_edge_is_drawn():
    x, w = T.matrix("x"), symnet.shared([[1.0]], name="w")
    out = T.exp(T.dot(x, w)) * 2
    labels, edges, _ = parse(symnet.to_graphviz(out))
    names = {label.split("\\n")[0] for label in labels.values()}
    assert names == {"x", "w", "dot", "exp", "mul", "2.", "output"} | ({"dimshuffle{x,x}"} & names)
    kinds = {v: k for k, v in labels.items()}
    product = kinds["dot"]
    assert ((kinds["x\\nfloat32(?, ?)"], product) in edges) and ((product, kinds["exp"]) in edges)
    assert {end for pair in edges for end in pair} == set(labels)


def test_a_shared_part_is_drawn_once_and_a_constant_at_each_use():
    x = T.vector("x")
    inner = T.exp(x)
    labels, _, _ = parse(symnet.to_graphviz((inner + 1) * (inner * 1)))
    assert list(labels.values()).count("exp") == 1
    assert sum(label == "1." or label == "[1.]" for label in labels.values()) == 2


def test_names_that_need_quoting():
    x = T.vector('a "name" \\ with\nevery <thing>')
    text = symnet.to_graphviz(x * 2)
    labels, _, _ = parse(text)
    assert 'a \\"name\\" \\\\ with\\nevery <thing>\\nfloat32(?)' in labels.values()


def test_outputs_of_functions_and_titles():
    x = T.vector("x")
    f = symnet.function([x], {"a": x + 1, "b": T.exp(x)})
    labels, _, _ = parse(symnet.to_graphviz(f))
    assert {k for k in labels if k.startswith("out")} == {"out0", "out1"}
    labels, _, _ = parse(symnet.to_graphviz(f, titles=["one", "two"]))
    assert labels["out0"].startswith("one") and labels["out1"].startswith("two")


def test_types_may_be_left_out():
    x = T.matrix("x")
    out = T.exp(T.exp(x))
    assert "float32(?, ?)" in symnet.to_graphviz(out).split("->", 2)[2]
    plain = [row for row in symnet.to_graphviz(out, types=False).splitlines() if "->" in row]
    assert plain and not any("float32" in row for row in plain)


def test_explanations_frame_the_nodes_of_a_step():
    x = T.matrix("x")
    w = symnet.shared([[1.0]], name="w")
    f = symnet.function([x], T.tanh(T.dot(x, w) + 1), updates={w: w * 2})
    labels, _, frames = parse(f.explain().dot())
    by_title = {title: {labels[n] for n in members} for title, members in frames.items()}
    assert by_title["step 0: gemm"] == {"dot"}
    (mapped,) = [names for names in by_title.values() if "tanh" in names]
    assert {"tanh", "add"} <= mapped
    assert any(label.startswith("new w") for label in labels.values())


def test_what_has_no_graph():
    with pytest.raises(TypeMismatchError):
        symnet.to_graphviz(3)
