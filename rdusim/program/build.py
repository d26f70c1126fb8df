"""A chosen plan becomes a section: whole widths, PMUs, tile shapes, streams and their buffers, AGCU contexts."""

from __future__ import annotations

from collections.abc import Sequence

from rdusim.arch.types import Pcu
from rdusim.graph.ops import flops
from rdusim.graph.types import Compute
from rdusim.program.budget import Budget
from rdusim.program.plan import Plan, agcu_streams, contiguous, pmus_for, stage_flows
from rdusim.program.sketch import Sketch
from rdusim.program.types import MemoryStream, Section, Stage, Stream
from rdusim.program.width import exact
from rdusim.timing import pcu as pcu_timing
from rdusim.timing.work import SystolicWork
from rdusim.units import Bytes


def build(sketch: Sketch, chosen: Plan, name: str, budget: Budget, share: float = 1.0) -> Section:
    """The section of a plan, with `share` of the PCUs a compiler can fill."""
    tile = budget.arch.socket.tile

    def pmus(widths: Sequence[float]) -> list[int]:
        return pmus_for(chosen.sram, widths, chosen.demands, chosen.streams, chosen.loads, chosen.first, chosen.cut.tiles, budget)

    def fits(widths: Sequence[int]) -> bool:
        return sum(pmus(widths)) <= budget.pmus

    pcus = max(round(budget.pcus * share), sum(each.least for each in chosen.demands))
    widths = exact(chosen.demands, chosen.cut.tiles, pcus, tile.pcu, fits)
    assert widths is not None, f"section {name}: the plan's widths fitted, whole ones must too"
    names = stage_names(sketch, chosen)
    stages = tuple(
        _stage(sketch, chosen, group, names[group], width, memory)
        for group, width, memory in zip(range(chosen.first, chosen.end), widths, pmus(widths), strict=True)
    )
    return Section(
        name=name,
        stages=stages,
        streams=_streams(chosen, names, widths, tile.pcu),
        loads=_loads(chosen, names, budget),
        stores=_stores(sketch, chosen, names, budget),
        tiles=chosen.cut.tiles,
        repeats=sketch.block.repeats,
        flops=float(sum(flops(operator) for operator in sketch.operators(chosen.first, chosen.end))),
        carried=sketch.block.carried,
    )


def stage_names(sketch: Sketch, chosen: Plan) -> dict[int, str]:
    """A stage is named after the operator that says best what it does."""
    return {group: sketch.groups[group].name for group in range(chosen.first, chosen.end)}


def _stage(sketch: Sketch, chosen: Plan, group: int, name: str, pcus: int, pmus: int) -> Stage:
    found = sketch.groups[group]
    return Stage(
        name=name,
        operators=tuple(operator.name for operator in found.operators),
        compute=found.compute,
        tile_shape=sketch.tile_shape(group, chosen.cut),
        tiles=chosen.cut.of(stage_flows(sketch, group)),
        pcus=pcus,
        pmus=pmus,
        work=sketch.work(group, chosen.cut),
        collective=sketch.collective(group, chosen.cut) if found.compute is Compute.COLLECTIVE else None,
        sram=Bytes(chosen.sram[group - chosen.first]),
    )


def _streams(chosen: Plan, names: dict[int, str], widths: Sequence[int], pcu: Pcu) -> tuple[Stream, ...]:
    made = []
    for stream in chosen.streams:
        target = stream.edge.target - chosen.first
        work, width = chosen.demands[target].work, max(1, widths[target])
        multicast = stream.edge.multicast and not stream.edge.resident
        parts, resends = 1, 1
        if multicast and work and isinstance(work[0], SystolicWork):
            parts = min(width, pcu_timing.operand_streams(work[0], width, pcu)[0])
            resends = pcu_timing.resends(work[0], width, pcu)
        made.append(
          Stream(
            name=f"{stream.edge.root}>{names[stream.edge.target]}{' kept' if stream.edge.resident else ''}",
            tensor=stream.edge.root,
            source=names[stream.edge.source],
            target=names[stream.edge.target],
            tile_bytes=Bytes(stream.tile_bytes),
            tiles=stream.tiles,
            depth=stream.depth,
            multicast=multicast,
            parts=parts,
            resends=resends,
            resident=stream.edge.resident,
          )
        )
    return tuple(made)


def _loads(chosen: Plan, names: dict[int, str], budget: Budget) -> tuple[MemoryStream, ...]:
    """Loads in the order of their use; each with the AGCUs that let it run at the memory's full rate."""
    ordered = sorted(chosen.loads, key=lambda load: load.edge.target)
    contexts = agcu_streams([(load.tile_bytes * load.tiles, contiguous(load)) for load in ordered], budget)
    return tuple(
        MemoryStream(
            name=f"load {load.edge.root}>{names[load.edge.target]}{' kept' if load.edge.resident else ''}",
            buffer=load.edge.root,
            stage=names[load.edge.target],
            tile_bytes=Bytes(load.tile_bytes),
            tiles=load.tiles,
            prefetch=Bytes(load.prefetch),
            agcus=agcus,
            contiguous=Bytes(contiguous(load)),
            gathered=load.edge.gathered,
        )
        for load, agcus in zip(ordered, contexts, strict=True)
    )


def _stores(sketch: Sketch, chosen: Plan, names: dict[int, str], budget: Budget) -> tuple[MemoryStream, ...]:
    made = []
    for group in sketch.groups[chosen.first : chosen.end]:
        tiles = chosen.cut.of(stage_flows(sketch, group.index))
        for tensor in group.made:
            if tensor in chosen.stored:
                made.append((tensor, group.index, -(-int(sketch.graph.tensors[tensor].bytes) // tiles), tiles))
    contexts = agcu_streams([(size * tiles, size) for _, _, size, tiles in made], budget)
    return tuple(
        MemoryStream(
            name=f"store {tensor}",
            buffer=tensor,
            stage=names[group],
            tile_bytes=Bytes(size),
            tiles=tiles,
            prefetch=Bytes(size * min(2, tiles)),
            agcus=agcus,
            contiguous=Bytes(max(1, size)),
        )
        for (tensor, group, size, tiles), agcus in zip(made, contexts, strict=True)
    )
