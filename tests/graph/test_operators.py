from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from rdusim.graph import ops
from rdusim.graph.build import GraphBuilder
from rdusim.graph.evaluate import evaluate
from rdusim.graph.load import load_graph
from rdusim.graph.ops import SPECS, bytes_in, bytes_out, flops, indexed, macs, points
from rdusim.graph.types import Compute, OperatorGraph, Phase, Role, RunShape

ONE = RunShape(phase=Phase.PREFILL, batch=1, query_tokens=1, context_tokens=1, dtype="fp32")
EXTENTS = {"b": 2, "s": 3, "k": 4, "n": 5, "h": 2, "v": 7, "p": 6, "c": 9}


def single(kind: str, inputs: list[tuple[str, str]], out: str, **attributes: int | float | str) -> OperatorGraph:
    """A graph of one operator `block/op` on inputs (name, labels)."""
    builder = GraphBuilder("one", ONE, EXTENTS)
    values = [builder.input(name, dims, "int32" if name == "index" else "fp32") for name, dims in inputs]
    with builder.block("block"):
        builder.op(kind, "op", values, out, role=Role.OUTPUT, attributes=attributes)
    return builder.finish()


def test_every_family_file_is_in_the_table() -> None:
    folder = Path(ops.__file__).parent
    families = {path.stem for path in folder.glob("*.py")} - {"__init__", "spec"}
    found = {kind for family in families for kind in import_module(f"rdusim.graph.ops.{family}").SPECS}
    assert found == set(SPECS)
    assert all(spec.kind == kind for kind, spec in SPECS.items())


def test_only_simd_operators_have_pipeline_operations() -> None:
    for spec in SPECS.values():
        assert (spec.points_ops + spec.tail_ops > 0) == (spec.compute is Compute.SIMD), spec.kind
        assert spec.aten or spec.compute is Compute.COLLECTIVE, spec.kind


def test_importing_the_table_does_not_need_numpy() -> None:
    import subprocess
    import sys

    code = "import sys, rdusim.graph.load; sys.exit('numpy' in sys.modules or 'yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0


@pytest.mark.parametrize(
    ("graph", "expected"),
    # macs, flops, points, bytes in, bytes out; fp32
    [
        (single("matmul", [("x", "b s k"), ("w", "k n")], "b s n"), (120, 240, 120, 4 * (24 + 20), 4 * 30)),
        (single("mul", [("x", "b s k"), ("y", "k")], "b s k"), (0, 24, 24, 4 * (24 + 4), 4 * 24)),
        (single("softmax", [("x", "b k")], "b k", axis="k"), (0, 32, 8, 32, 32)),
        (single("mean", [("x", "b k")], "b", count=4), (0, 8, 8, 32, 8)),
        (single("transpose", [("x", "b k")], "k b"), (0, 0, 8, 32, 32)),
        (single("slice", [("x", "b k")], "b h", axis="k", start=2), (0, 0, 4, 16, 16)),
        (single("embedding", [("t", "v k"), ("index", "b s")], "b s k"), (0, 0, 24, 4 * 24 + 4 * 6, 4 * 24)),
        (single("kv_append", [("x", "b p"), ("y", "b s")], "b c", concat="c"), (0, 0, 18, 24, 24)),
    ],
    ids=lambda value: value.operators[0].kind if isinstance(value, OperatorGraph) else "",
)
def test_sizes_are_those_counted_by_hand(graph: OperatorGraph, expected: tuple[int, ...]) -> None:
    (operator,) = graph.operators
    sizes = macs(operator), flops(operator), points(operator), bytes_in(operator, graph), bytes_out(operator, graph)
    assert sizes == expected


def test_what_must_stay_whole_is_said_by_the_operator() -> None:
    softmax = single("softmax", [("x", "b k")], "b k", axis="k").operators[0]
    half = single("slice", [("x", "b k")], "b h", axis="k").operators[0]
    assert SPECS["softmax"].whole(softmax) == ("k",)
    assert set(SPECS["slice"].whole(half)) == {"k", "h"}
    assert indexed(half) == ("k",)
    assert SPECS["matmul"].whole(single("matmul", [("x", "b k"), ("w", "k n")], "b n").operators[0]) == ()


def test_moves_mean_what_numpy_means() -> None:
    rng = np.random.default_rng(0)
    x, y, table = rng.normal(size=(2, 4)), rng.normal(size=(2, 2)), rng.normal(size=(7, 4))
    cases = [
        (single("transpose", [("x", "b k")], "k b"), {"x": x}, x.T),
        (single("slice", [("x", "b k")], "h b", axis="k", start=1), {"x": x}, x[:, 1:3].T),
        (single("slice", [("x", "b k")], "b", axis="k", start=3), {"x": x}, x[:, 3]),
        (single("slice", [("x", "b k")], "b h", axis="k", start=1, step=2), {"x": x}, x[:, 1::2]),
        (single("expand", [("x", "b k")], "b s k"), {"x": x}, np.stack([x] * 3, axis=1)),
        (single("cat", [("x", "b h"), ("y", "b h")], "b k", concat="k"), {"x": y, "y": 2 * y}, np.hstack([y, 2 * y])),
        (single("stack", [("x", "b k"), ("y", "b k")], "b h k", axis="h"), {"x": x, "y": -x}, np.stack([x, -x], 1)),
        (single("pad", [("x", "b h")], "b k", axis="k"), {"x": y}, np.pad(y, ((0, 0), (0, 2)))),
        (
            single("embedding", [("t", "v k"), ("index", "b")], "b k"),
            {"t": table, "index": np.array([5, 1])},
            table[[5, 1]],
        ),
        (
            single("take", [("t", "v k"), ("index", "b")], "b"),
            {"t": table, "index": np.array([27, 4])},
            table.ravel()[[27, 4]],
        ),
    ]
    for graph, inputs, expected in cases:
        np.testing.assert_array_equal(evaluate(graph, inputs)["block/op"], expected, graph.operators[0].kind)


def test_means_of_shards_add_up_to_the_mean() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 8))
    mean = single("mean", [("x", "b k")], "b", count=8)
    parts = [evaluate(mean, {"x": half})["block/op"] for half in (x[:, :4], x[:, 4:])]
    np.testing.assert_allclose(sum(parts), x.mean(axis=1))


def test_shards_of_an_embedding_table_read_and_write_no_more_than_the_rows() -> None:
    shape = RunShape(phase=Phase.DECODE, batch=1, query_tokens=1, context_tokens=8)
    graph = load_graph("llama-2-7b", shape)
    embedding = graph.by_name["embedding/embed_tokens"]
    assert bytes_in(embedding, graph) == 4096 * 2 + 4
    assert SPECS["embedding"].contraction == "sum"
    assert indexed(embedding) == ("v",)


def test_the_monarch_example_has_the_flops_and_bytes_of_the_paper() -> None:
    # MICRO'24 Table I with facts/sn40l.md: 537.9 MFLOP; 52 transfers of 256 KiB without the Scale operand, 60 with it.
    graph = load_graph("monarch-fft", RunShape(phase=Phase.PREFILL, batch=1, query_tokens=1, context_tokens=1))
    work = sum(flops(operator) for operator in graph.operators)
    moved = sum(bytes_in(operator, graph) + bytes_out(operator, graph) for operator in graph.operators)
    assert work == pytest.approx(537.9e6, rel=1e-4)
    assert moved == 60 * 256 * 1024
    assert work / (moved - graph.tensors["Scale"].bytes) == pytest.approx(39.5, abs=0.05)
