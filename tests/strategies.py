"""Random small operator graphs and random small machines, for laws that hold for all of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from hypothesis import strategies as st

from rdusim.arch.load import load_arch
from rdusim.arch.types import Arch
from rdusim.graph.build import GraphBuilder, Value
from rdusim.graph.check import check_graph
from rdusim.graph.types import OperatorGraph, Phase, Role, RunShape
from rdusim.units import Bytes, BytesPerSecond, Cycles, Hertz, Seconds

toy = cache(lambda: load_arch("toy"))

EXTENTS = (1, 2, 3, 8, 16, 24, 64, 96)
UNARY = ("relu", "exp", "silu", "neg")
ANY_SHAPE = RunShape(phase=Phase.PREFILL, batch=1, query_tokens=1, context_tokens=1)


@dataclass(slots=True)
class _Drawing:
    """A graph in the making: all values are matrices, each axis with a label that means one extent."""

    draw: st.DrawFn
    builder: GraphBuilder
    extents: dict[str, int]
    count: int = 0

    def label(self, extent: int) -> str:
        self.count += 1
        self.extents[f"l{self.count}"] = extent
        return f"l{self.count}"

    def name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def operator(self, values: list[Value]) -> Value:
        """One more operator on values made so far; the newest are the likeliest."""
        x = self.draw(st.sampled_from([*values, values[-1], values[-1]]))
        make = self.draw(
            st.sampled_from(
                [
                    self._linear, self._product, self._mlp, self._unary, self._binary, self._softmax, self._transpose,
                    self._scale, self._sum,
                ]
            )
        )  # fmt: skip
        return make(x, values)

    def linear(self, x: Value, extent: int, parallel: bool) -> Value:
        row, col = x.dims
        new = self.label(extent)
        return self.builder.linear(
            self.name("linear"), x, f"{col} {new}", f"{row} {new}", parallel=(new,) if parallel else ()
        )

    def _linear(self, x: Value, values: list[Value]) -> Value:
        extent = self.draw(st.sampled_from(EXTENTS))
        return self.linear(x, extent, parallel=extent % 4 == 0 and self.draw(st.booleans()))

    def _mlp(self, x: Value, values: list[Value]) -> Value:
        """Wide and back: sharded, it owes an all-reduce."""
        wide = self.linear(x, self.draw(st.sampled_from([8, 16, 64, 96])), parallel=True)
        return self.linear(self._unary(wide, values), self.extents[x.dims[1]], parallel=False)

    def _product(self, x: Value, values: list[Value]) -> Value:
        """x times the transpose of something as long as its rows: scores of an attention."""
        row, col = x.dims
        fitting = [y for y in values if self.extents[y.dims[1]] == self.extents[col]]
        y = self.draw(st.sampled_from(fitting))
        other = self.label(self.extents[y.dims[0]])
        return self.builder.op("matmul", self.name("product"), [x, y.labelled(f"{other} {col}")], f"{row} {other}")

    def _unary(self, x: Value, values: list[Value]) -> Value:
        return self.builder.op(self.draw(st.sampled_from(UNARY)), self.name("unary"), [x])

    def _binary(self, x: Value, values: list[Value]) -> Value:
        shape = [self.extents[label] for label in x.dims]
        fitting = [y for y in values if [self.extents[label] for label in y.dims] == shape]
        y = self.draw(st.sampled_from(fitting))
        return self.builder.op("add", self.name("add"), [x, y.labelled(" ".join(x.dims))])

    def _softmax(self, x: Value, values: list[Value]) -> Value:
        return self.builder.op("softmax", self.name("softmax"), [x], attributes={"axis": x.dims[1]})

    def _transpose(self, x: Value, values: list[Value]) -> Value:
        row, col = x.dims
        return self.builder.op("transpose", self.name("transpose"), [x], f"{col} {row}")

    def _scale(self, x: Value, values: list[Value]) -> Value:
        """Times a weight for each column, as a norm ends."""
        return self.builder.op("mul", self.name("mul"), [x, self.builder.weight(self.name("scale"), x.dims[1])])

    def _sum(self, x: Value, values: list[Value]) -> Value:
        """Minus the sum of its row."""
        total = self.builder.op("sum", self.name("sum"), [x], x.dims[0])
        return self.builder.op("sub", self.name("sub"), [x, total])


@st.composite
def graphs(draw: st.DrawFn, most: int = 6) -> OperatorGraph:
    """A block in front, often one that repeats (its result is carried into the next repeat), and a block behind."""
    extents: dict[str, int] = {}
    builder = GraphBuilder("random", ANY_SHAPE, extents)
    making = _Drawing(draw, builder, extents)
    rows, width = draw(st.sampled_from(EXTENTS)), draw(st.sampled_from(EXTENTS))
    x = builder.input("x", f"{making.label(rows)} {making.label(width)}", "bf16")
    with builder.block("front"):
        made = [x]
        for _ in range(draw(st.integers(2, most))):
            made.append(making.operator(made))
    if draw(st.booleans()):
        with builder.block("layer", repeats=draw(st.integers(2, 4))) as carried:
            enter = made[-1]
            layer = [enter]
            for _ in range(draw(st.integers(1, most))):
                layer.append(making.operator(layer))
            leave = making.linear(layer[-1], extents[enter.dims[1]], parallel=False)
            if extents[leave.dims[0]] != extents[enter.dims[0]]:  # back to the rows it came with
                narrow = making.linear(_turned(making, leave), extents[enter.dims[0]], parallel=False)
                leave = _turned(making, narrow)
            leave = builder.op("add", making.name("residual"), [enter, leave.labelled(" ".join(enter.dims))])
            carried[leave.tensor] = enter.tensor
        made = [leave]
    with builder.block("back"):
        made.append(builder.op("relu", "last", [made[-1]]))
        for _ in range(draw(st.integers(0, most // 2))):
            made.append(making.operator(made))
    found = _with_outputs(builder.finish())
    check_graph(found)
    return found


def _turned(making: _Drawing, x: Value) -> Value:
    return making._transpose(x, [])


def _with_outputs(graph: OperatorGraph) -> OperatorGraph:
    """What nobody reads leaves the graph."""
    carried = {tensor for block in graph.blocks for tensor in block.carried}
    tensors = {
        name: replace(tensor, role=Role.OUTPUT)
        if name in graph.producer and name not in graph.consumers and name not in carried
        else tensor
        for name, tensor in graph.tensors.items()
    }
    return replace(graph, tensors=tensors)


@st.composite
def machines(draw: st.DrawFn) -> Arch:
    """The toy machine with other sizes and rates, so that each unit is the bottleneck at times."""
    arch, socket = toy(), toy().socket
    scale = st.sampled_from([0.1, 0.5, 1.0, 3.0, 20.0])
    tile = replace(
        socket.tile,
        rows=draw(st.integers(4, 8)),
        cols=draw(st.integers(4, 8)),
        agcus=draw(st.integers(2, 6)),
        pcu=replace(socket.tile.pcu, stages=draw(st.integers(1, 6)), tail_latency=Cycles(draw(st.integers(0, 20)))),
        pmu=replace(
            socket.tile.pmu,
            capacity=Bytes(draw(st.sampled_from([16, 64, 256])) * 1024),
            latency=Cycles(draw(st.integers(0, 10))),
        ),
        rdn=replace(socket.tile.rdn, hop_cycles=Cycles(draw(st.integers(1, 4))), vector_links=draw(st.integers(1, 2))),
    )
    memory = tuple(
        replace(
            tier,
            bandwidth=BytesPerSecond(tier.bandwidth * draw(scale)),
            latency=Seconds(tier.latency * draw(scale)),
            timing=replace(tier.timing, refresh_time=Seconds(draw(st.sampled_from([0.0, 50e-9])))),
        )
        for tier in socket.memory
    )
    socket = replace(
        socket,
        clock=Hertz(socket.clock * draw(st.sampled_from([0.5, 1.0, 2.0]))),
        dies=draw(st.integers(1, 2)),
        tiles_per_die=draw(st.integers(1, 2)),
        placeable=draw(st.sampled_from([0.9, 1.0])),
        tile=tile,
        memory=memory,
    )
    link = replace(
        arch.system.link,
        bandwidth=BytesPerSecond(arch.system.link.bandwidth * draw(scale)),
        latency=Seconds(arch.system.link.latency * draw(scale)),
    )
    sockets = draw(st.sampled_from([1, 2, 4]))
    return replace(arch, socket=socket, system=replace(arch.system, sockets=sockets, link=link))
