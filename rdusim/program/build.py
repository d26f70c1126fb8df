"""A chosen candidate becomes a section: whole widths, PMUs, tile shapes, streams and their buffers, AGCU contexts."""

from __future__ import annotations

from collections.abc import Sequence

from rdusim.arch.types import Pcu
from rdusim.graph.ops import flops
from rdusim.graph.types import Compute
from rdusim.program.budget import Budget
from rdusim.program.candidate import Candidate, PlannedStream
from rdusim.program.plan import load_contexts, pmus_for, store_contexts
from rdusim.program.types import MemoryStream, Section, Stage, Stream
from rdusim.program.width import exact
from rdusim.timing import pcu as pcu_timing
from rdusim.timing.work import SystolicWork
from rdusim.units import Bytes


def build(run: Candidate, name: str, budget: Budget, share: float = 1.0) -> Section:
    """The section of a candidate, with `share` of the PCUs a compiler can fill."""
    tile, sketch = budget.arch.socket.tile, run.sketch

    def fits(widths: Sequence[int]) -> bool:
        return sum(pmus_for(run, widths, budget)) <= budget.pmus

    pcus = max(round(budget.pcus * share), sum(each.least for each in run.demands))
    widths = exact(run.demands, run.cut.tiles, pcus, tile.pcu, fits)
    assert widths is not None, f"section {name}: the plan's widths fitted, whole ones must too"
    names = [sketch.groups[group].name for group in range(run.first, run.end)]
    return Section(
        name=name,
        stages=tuple(_stages(run, names, widths, pmus_for(run, widths, budget))),
        streams=tuple(_stream(run, stream, names, widths, tile.pcu) for stream in run.streams),
        loads=tuple(_loads(run, names, budget)),
        stores=tuple(_stores(run, names, budget)),
        tiles=run.cut.tiles,
        repeats=sketch.block.repeats,
        flops=float(sum(flops(operator) for operator in sketch.operators(run.first, run.end))),
        carried=sketch.block.carried,
        backwards=sketch.block.backwards,
        loops=tuple(parts for _, parts in run.cut.parts),
    )


def _stages(run: Candidate, names: Sequence[str], widths: Sequence[int], pmus: Sequence[int]) -> list[Stage]:
    sketch, cut = run.sketch, run.cut
    return [
        Stage(
            name=names[index],
            operators=tuple(operator.name for operator in group.operators),
            compute=group.compute,
            tile_shape=sketch.tile_shape(group.index, cut),
            tiles=cut.of(sketch.passing[group.index]),
            pcus=widths[index],
            pmus=pmus[index],
            work=sketch.work(group.index, cut),
            collective=sketch.collective(group.index, cut) if group.compute is Compute.COLLECTIVE else None,
            sram=Bytes(run.sram[index]),
            made=group.made,
            loops=cut.loops(sketch.passing[group.index]),
            labels={
                operator.name: cut.cuts(sketch.flows.operators[operator.name].labels.items())
                for operator in group.operators
            },
        )
        for index, group in enumerate(sketch.groups[run.first : run.end])
    ]


def _stream(run: Candidate, stream: PlannedStream, names: Sequence[str], widths: Sequence[int], pcu: Pcu) -> Stream:
    """A moving operand is multicast in parts: see `timing.pcu.operand_streams`."""
    edge, target = stream.edge, stream.edge.target - run.first
    work, width = run.demands[target].work, max(1, widths[target])
    multicast, parts, resends = edge.multicast and not edge.resident, 1, 1
    if multicast and work and isinstance(work[0], SystolicWork):
        parts = min(width, pcu_timing.operand_streams(work[0], width, pcu)[0])
        resends = pcu_timing.resends(work[0], width, pcu)
    return Stream(
        name=f"{edge.root}>{names[target]}{' kept' if edge.resident else ''}",
        tensor=edge.root,
        source=names[edge.source - run.first],
        target=names[target],
        tile_bytes=Bytes(stream.tile_bytes),
        tiles=stream.tiles,
        depth=stream.depth,
        multicast=multicast,
        parts=parts,
        resends=resends,
        resident=edge.resident,
        axes=run.cut.cuts(enumerate(run.sketch.flows.tensors[edge.root])),
        held=run.cut.loops(edge.held),
    )


def _loads(run: Candidate, names: Sequence[str], budget: Budget) -> list[MemoryStream]:
    """In the order of their use; each with the AGCUs that let it run at the memory's full rate."""
    return [
        MemoryStream(
            name=f"load {load.edge.root}>{names[load.edge.target - run.first]}{' kept' if load.edge.resident else ''}",
            buffer=load.edge.root,
            stage=names[load.edge.target - run.first],
            tile_bytes=Bytes(load.tile_bytes),
            tiles=load.tiles,
            prefetch=Bytes(load.prefetch),
            agcus=agcus,
            contiguous=Bytes(load.contiguous),
            gathered=load.edge.gathered,
            moving=load.moves,
            after=names[load.edge.index - run.first] if load.edge.index >= run.first else "",
            loops=run.cut.loops(load.flows),
            axes=run.cut.cuts(load.edge.axes),
        )
        for load, agcus in zip(run.loads, load_contexts(run, budget), strict=True)
    ]


def _stores(run: Candidate, names: Sequence[str], budget: Budget) -> list[MemoryStream]:
    return [
        MemoryStream(
            name=f"store {store.tensor}",
            buffer=run.sketch.block.updated.get(store.tensor, store.tensor),
            tensor=store.tensor,
            stage=names[store.stage - run.first],
            tile_bytes=Bytes(store.tile_bytes),
            tiles=store.tiles,
            prefetch=Bytes(store.tile_bytes * min(2, store.tiles)),
            agcus=agcus,
            contiguous=Bytes(max(1, store.tile_bytes)),
            loops=run.cut.loops(run.sketch.passing[store.stage]),
            axes=run.cut.cuts(enumerate(run.sketch.flows.tensors[store.tensor])),
        )
        for store, agcus in zip(run.stores, store_contexts(run, budget), strict=True)
    ]
