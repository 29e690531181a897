import networkx
import pytest

import symnet
from symnet.errors import TypeMismatchError
from symnet.graph import TensorType
from symnet.graph.export import to_networkx
from symnet.graph.variables import make_shared
from symnet.ops.arithmetic import add, mul

x = TensorType("float32", (None, 3))("x")
w = make_shared([[1.0, 2.0, 3.0]], name="w", shape=(1, 3))
inner = add(x, 1.0)
out = mul(inner, inner)


def test_attributes_and_edges():
    graph = to_networkx([out, w], objects=True)
    kinds = sorted(data["kind"] for _, data in graph.nodes(data=True))
    assert kinds == ["apply", "apply", "constant", "input", "result", "result", "shared"]
    assert graph.nodes[x]["shape"] == "?, 3" and graph.nodes[x]["name"] == "x"
    assert graph.nodes[out]["output"] and not graph.nodes[inner]["output"]
    positions = [data["position"] for data in graph.get_edge_data(inner, out.owner).values()]
    assert positions == [0, 1]
    assert "test_export" in graph.nodes[out.owner]["origin"]


def test_files_hold_the_same_graph():
    graph = to_networkx([out, w])
    text = "\n".join(networkx.generate_graphml(graph))
    again = networkx.parse_graphml(text, node_type=int, force_multigraph=True)
    assert dict(again.nodes(data=True)) == dict(graph.nodes(data=True))
    assert sorted(again.edges(data="position")) == sorted(graph.edges(data="position"))
    objects = to_networkx([out, w], objects=True)
    assert networkx.is_isomorphic(networkx.DiGraph(graph), networkx.DiGraph(objects))


def test_compiled_functions_and_what_has_no_graph():
    names = [n for _, n in to_networkx(symnet.function([x], {"out": out})).nodes(data="name")]
    assert "x" in names
    with pytest.raises(TypeMismatchError):
        to_networkx(3)
