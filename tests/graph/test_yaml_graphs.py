from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rdusim.errors import GraphError
from rdusim.graph.check import find_faults
from rdusim.graph.evaluate import evaluate
from rdusim.graph.fft_conv import flash_fft_conv, tables
from rdusim.graph.load import load_graph
from rdusim.graph.types import Access, Block, Operand, Operator, OperatorGraph, Phase, Role, RunShape, TensorType

ONE = RunShape(phase=Phase.PREFILL, batch=1, query_tokens=1, context_tokens=1, dtype="fp32")
HEAD = """schema: rdusim-graph/1
name: test
tensors:
  x: {role: input, shape: [batch, 4]}
  w: {role: weight, shape: [4, 8]}
operators:
"""


def load(folder: Path, text: str, shape: RunShape = ONE) -> OperatorGraph:
    path = folder / "graph.yaml"
    path.write_text(text)
    return load_graph(path, shape)


def errors(folder: Path, text: str, shape: RunShape = ONE) -> list[str]:
    with pytest.raises(GraphError) as caught:
        load(folder, text, shape)
    return [str(problem).removeprefix(f"{folder}/graph.yaml:") for problem in caught.value.problems]


def test_a_flash_fft_convolution_is_a_causal_convolution(tmp_path: Path) -> None:
    sizes = (4, 6, 5)
    graph, points = load(tmp_path, flash_fft_conv(sizes)), 120
    rng = np.random.default_rng(0)
    signal, kernel = rng.normal(size=points), rng.normal(size=points)
    result = evaluate(graph, {**tables(sizes, kernel), "u": signal.reshape(2, 6, 5, 2)})["y"]
    np.testing.assert_allclose(result.ravel(), np.convolve(signal, kernel)[:points], atol=1e-12)
    assert len(graph.operators) == 117


def test_the_shipped_convolution_is_the_generated_one_of_a_million_points() -> None:
    path = Path(__file__).parents[2] / "graphs/flash-fft-conv.yaml"
    assert path.read_text() == flash_fft_conv((128, 128, 64))
    graph = load_graph("flash-fft-conv", ONE)
    assert len(graph.operators) == 117  # MICRO'24 Fig. 11: 117 unfused kernels to one
    assert graph.tensors["u"].elements == graph.tensors["y"].elements == 1048576


def test_shapes_and_roles_are_inferred(tmp_path: Path) -> None:
    text = HEAD + "  up: {do: 'linear x[b,k], w[k,n] -> h[b,n]', parallel: [n]}\n  act: silu h[b,n] -> y[b,n]\n"
    shape = RunShape(phase=Phase.DECODE, batch=3, query_tokens=1, context_tokens=1)
    graph = load(tmp_path, text, shape)
    assert graph.tensors["h"] == TensorType(shape=(3, 8), dtype="bf16", role=Role.ACTIVATION)
    assert graph.tensors["y"].role is Role.OUTPUT
    assert graph.parameters == 32
    assert (graph.batch, graph.tokens) == (3, 3)
    up = graph.by_name["up"]
    assert [operand.access for operand in up.inputs] == [Access.STREAMED, Access.RESIDENT]
    assert (dict(up.dims), up.parallel) == ({"b": 3, "k": 4, "n": 8}, ("n",))


def test_access_can_be_said_and_blocks_repeat(tmp_path: Path) -> None:
    text = HEAD.replace("[4, 8]", "[4, 4]") + (
        "  mix: matmul x[b,k]@resident, w[k,n]@streamed -> h[b,n]\n"
        "  act: mul h[b,n], x[b,n] -> y[b,n]\n"
        "blocks:\n  layer: {operators: [mix, act], repeat: 3, carried: {y: x}}\n"
    )
    graph = load(tmp_path, text)
    assert [operand.access for operand in graph.by_name["mix"].inputs] == [Access.RESIDENT, Access.STREAMED]
    assert graph.parameters == 3 * 16
    x, w = np.ones((1, 4)), np.random.default_rng(0).normal(size=(3, 4, 4))
    expected = x
    for layer in range(3):
        expected = (expected @ w[layer]) * expected
    np.testing.assert_allclose(evaluate(graph, {"x": x, "w": w})["y"], expected)


def test_all_mistakes_of_a_file_are_told_with_line_and_column(tmp_path: Path) -> None:
    text = (
        "schema: rdusim-graph/1\n"
        "nmae: test\n"
        "dtype: bf61\n"
        "tensors:\n"
        "  x: {role: input, shape: [0, 4]}\n"
        "  w: {role: wieght, shape: [4, 8]}\n"
        "  w: {role: weight, shape: [4, 8]}\n"
        "  v: {role: weight}\n"
        "operators:\n"
        "  a: matmull x[b,k], w[k,n] -> y[b,n]\n"
        "  b: matmul x[b,k] w[k,n] -> z[b,n]\n"
        "  c: relu q[b] -> r[b]\n"
    )
    found = errors(tmp_path, text)
    assert [problem.split(": ")[0] for problem in found] == [
        "2:1", "3:8", "5:28", "6:13", "7:3", "8:6", "10:6", "11:6", "12:6"
    ]  # fmt: skip
    assert "key 'nmae' is not known (did you mean 'name'?)" in found[0]
    assert "kind 'matmull' is not known (did you mean 'matmul'?)" in found[6]
    assert "a comma is missing before 'w[k,n]'" in found[7]
    assert "key 'w' is there twice" in found[4]
    assert "'0' is not a size" in found[2]
    assert "did you mean 'weight'?" in found[3]
    assert "tensor 'q' does not exist" in found[8]


@pytest.mark.parametrize(
    ("operators", "message"),
    [
        ("  {}\n", "6:12: operators: graph 'test' is empty: it has no operators"),
        (
            "  a: relu h[b,n] -> y[b,n]\n  m: matmul x[b,k], w[k,n] -> h[b,n]\n",
            "7:6: operators.a: tensor 'h' is used before operator 'm' makes it (move it behind 'm')",
        ),
        (
            "  a: add x[b,k], q[b,k] -> p[b,k]\n  c: relu p[b,k] -> q[b,k]\n",
            "7:6: operators.a: operators wait for each other in a cycle: a -> c -> a",
        ),
        (
            "  m: matmul x[b,k], w[n,k] -> h[b,n]\n",
            "7:6: operators.m: shapes do not fit: label 'k' is 4, but 8 in w",
        ),
        (
            "  m: matmul x[b,k,j], w[k,n] -> h[b,n]\n",
            "7:6: operators.m: x[b,k,j] names 3 axes, the tensor has 2: [1, 4]",
        ),
        ("  m: matmul x[b,k] -> h[b,k]\n", "7:6: operators.m: matmul takes 2 inputs, not 1"),
        ("  m: add x[b,k] -> h[b,k]\n", "7:6: operators.m: add of one input needs the attribute 'scalar'"),
        ("  m: softmax x[b,k] -> h[b,k]\n", "7:6: operators.m: softmax needs the attribute 'axis'"),
        ("  m: relu x[b,k] -> w[b,k]\n", "5:6: tensors.w: has role weight, but an operator makes it"),
        ("  m: {do: 'relu x[b,k] -> y[b,k]', parallel: [z]}\n", "parallel label 'z' is no dimension of this operator"),
        ("  m: expand x[b,k] -> y[b,r,k]\n", "label 'r' of y has no extent (write dims: {r: ...} beside do)"),
        ("  m: relu x[b,b] -> y[b]\n", "x[b,b] names a label twice"),
        ("  m: relu x[b,k]@cached -> y[b,k]\n", "@cached is not known"),
        ("  m: relu x[b,k]\n", "is not of the form 'kind tensor[labels], tensor[labels] -> result[labels]'"),
    ],
)
def test_one_mistake_is_one_clear_message(operators: str, message: str, tmp_path: Path) -> None:
    (found,) = errors(tmp_path, HEAD + operators if "{}" not in operators else HEAD[:-1] + " {}\n")
    assert message in found


def test_broken_yaml_and_a_wrong_schema_are_told(tmp_path: Path) -> None:
    assert errors(tmp_path, "schema: [1\nname: x\n")[0].startswith("2:")
    assert "'rdusim-graph/2' is not a schema" in errors(tmp_path, "schema: rdusim-graph/2\n")[0]
    assert "the file is empty" in errors(tmp_path, "")[0]


def test_fixed_shapes_refuse_a_batch(tmp_path: Path) -> None:
    shape = RunShape(phase=Phase.PREFILL, batch=4, query_tokens=1, context_tokens=1)
    text = HEAD.replace("batch", "2") + "  act: relu x[b,k] -> y[b,k]\n"
    assert "fixed: it cannot run at batch 4" in errors(tmp_path, text, shape)[0]
    assert "fixed" not in str(load_graph("toy-mlp", shape))


def test_faults_of_a_graph_made_in_code_are_found() -> None:
    tensor = TensorType(shape=(4,), dtype="bf16")
    operator = Operator(
        name="a", kind="relu", dims={"k": 4},
        inputs=(Operand(tensor="x", dims=("k",)),), outputs=(Operand(tensor="y", dims=("k",)),),
    )  # fmt: skip
    block = Block(name="one", operators=("a", "b"), repeats=0, carried={"y": "z"})
    graph = OperatorGraph(name="g", operators=(operator, operator), tensors={"x": tensor, "y": tensor}, blocks=(block,))
    messages = [fault.message for fault in find_faults(graph)]
    assert messages == [
        "two operators have this name",
        "tensor 'y' is made twice",
        "the blocks do not hold every operator once and in order",
        "block 'one' repeats 0 times",
        "block 'one' carries y to z: no such tensor",
    ]
    assert "is empty" in find_faults(OperatorGraph(name="g", operators=(), tensors={}, blocks=()))[0].message
