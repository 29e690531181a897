from symnet.graph import TensorType
from symnet.graph.export import to_networkx
from symnet.graph.variables import make_shared
from symnet.ops.arithmetic import add, mul


def test_attributes_and_edges():
    x, w = (
        TensorType("float32", (None, 3))("x"),
        make_shared([[1.0, 2.0, 3.0]], name="w", shape=(1, 3)),
    )
    inner = add(x, 1.0)
    out = mul(
        inner,
        inner,
    )
    graph = to_networkx([out, w])
    kinds = sorted(data["kind"] for _, data in graph.nodes(data=True))
    assert kinds == ["apply", "apply", "constant", "input", "result", "result", "shared"]
    assert graph.nodes[x]["shape"] == (None, 3) and graph.nodes[x]["name"] == "x"
    assert graph.nodes[out]["output"] and not graph.nodes[inner]["output"]
    positions = [data["position"] for data in graph.get_edge_data(inner, out.owner).values()]
    assert positions == [0, 1]
    assert "test_export" in graph.nodes[out.owner]["origin"]
