"""What the pipeline holds after a step, as plain JSON values: `after_lower`, `after_map`, `after_simulate`.

Times are seconds, sizes bytes, rates bytes per second; all of one socket. docs/cli.md lists the keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from rdusim.errors import OptionError, Problem
from rdusim.mapping.mesh import mesh_of
from rdusim.report.export import Json, to_json
from rdusim.report.links import link_name
from rdusim.report.memory_use import memory_use
from rdusim.report.stalls import NOT_RECORDED, records_waits, waits

if TYPE_CHECKING:
    from rdusim.arch.types import Arch, Pmu
    from rdusim.mapping.mesh import Mesh
    from rdusim.mapping.types import MappedSection, Mapping, Placement, Site, SramRange
    from rdusim.program.types import MemoryStream, Program, Section, Stage
    from rdusim.report.memory_use import TierUse
    from rdusim.sim.trace import SectionTiming, StageTiming, StreamTiming, Trace

Object = dict[str, Json]


def section_names(program: Program, wanted: str | None) -> tuple[str, ...]:
    """All sections of a program, or the one that is wanted. Raises OptionError for a name that is none of them."""
    names = tuple(section.name for section in program.sections)
    if wanted is None:
        return names
    if wanted in names:
        return (wanted,)
    near = get_close_matches(wanted, names, n=1)
    known = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    hint = f"did you mean {near[0]}?" if near else f"there are {known}"
    raise OptionError(Problem(field="--section", message=f"there is no section {wanted!r}", hint=hint))


def after_lower(program: Program, section: str | None = None) -> Object:
    """Sections with their stages, widths, tile shapes, streams, loads and stores."""
    names = section_names(program, section)
    return {
        "program": program.name,
        "parallelism": to_json(program.parallelism),
        "kernel_launches": program.kernel_launches,
        "sections": [_lowered(each) for each in program.sections if each.name in names],
    }


def _lowered(section: Section) -> Object:
    return {
        "name": section.name,
        "repeats": section.repeats,
        "tiles": section.tiles,
        "pcus": section.pcus,
        "pmus": section.pmus,
        "flops": section.flops,
        "stages": [_stage(stage) for stage in section.stages],
        "streams": [to_json(stream) for stream in section.streams],
        "loads": [_memory_stream(stream) for stream in section.loads],
        "stores": [_memory_stream(stream) for stream in section.stores],
    }


def _stage(stage: Stage) -> Object:
    """All but the work, which is the timing model's view of the operators."""
    values = to_json(stage)
    assert isinstance(values, dict)
    return {key: value for key, value in values.items() if key != "work"}


def _memory_stream(stream: MemoryStream) -> Object:
    values = to_json(stream)
    assert isinstance(values, dict)
    return values | {"bytes": stream.bytes}


def after_map(mapping: Mapping, arch: Arch, section: str | None = None) -> Object:
    """Where stages sit, how streams travel, where buffers lie in memory, and the launch schedule."""
    names = section_names(mapping.program, section)
    sections = [each for each in mapping.sections if each.section.name in names]
    mesh, pmu = mesh_of(arch.socket), arch.socket.tile.pmu
    return {
        "program": mapping.program.name,
        "sections": [_mapped(each, mesh, pmu) for each in sections],
        "allocations": _allocations(mapping, [each.section for each in sections] if section else None),
        "peak_bytes": to_json(mapping.peak_bytes),
        "memory": [_tier(use, mapping) for use in memory_use(mapping, arch) if use.placed],
        "launches": [
            _launch(mapping, index)
            for index, launch in enumerate(mapping.launches)
            if _section_of(mapping, index) in names
        ],
    }


def _mapped(mapped: MappedSection, mesh: Mesh, pmu: Pmu) -> Object:
    busiest = {"busiest_link": link_name(mapped.busiest_link, mesh)} if mapped.busiest_link >= 0 else {}
    return {
        "name": mapped.section.name,
        "link_load_bytes": mapped.link_load,
        **busiest,
        "claimed_cycles": mapped.claimed,
        "slowdown": mapped.slowdown,
        "placements": [_placement(each) for each in mapped.placements],
        "routes": [
            {
                "stream": route.stream,
                "hops": route.hops,
                "links": len(route.links),
                "busiest_link_tile_bytes": max(route.tile_load, default=0.0),
                "die_crossing_bytes": route.die_crossing_bytes,
                "tln_bytes": route.tln_bytes,
                "sequenced": route.sequenced,
            }
            for route in mapped.routes.values()
        ],
        "buffers": [_buffer(each, pmu) for ranges in mapped.sram.values() for each in ranges],
    }


def _buffer(lies: SramRange, pmu: Pmu) -> Object:
    """A copy of a flow's buffer in each PMU of its stage, and the first and last bank that it touches there."""
    bank = pmu.capacity // pmu.banks
    values = to_json(lies)
    assert isinstance(values, dict)
    return values | {"banks": [lies.offset // bank, max(lies.offset, lies.offset + lies.size - 1) // bank]}


def _placement(placement: Placement) -> Object:
    """Units per tile of the socket, and the rectangle around them there: first and last row, first and last column."""
    sites = (*placement.pcus, *placement.pmus)
    return {
        "stage": placement.stage,
        "pcus": len(placement.pcus),
        "pmus": len(placement.pmus),
        "tiles": [
            _box(tile, [site for site in sites if site.tile == tile]) for tile in sorted({site.tile for site in sites})
        ],
    }


def _box(tile: int, sites: Sequence[Site]) -> Object:
    rows, cols = [site.row for site in sites], [site.col for site in sites]
    return {"tile": tile, "units": len(sites), "rows": [min(rows), max(rows)], "cols": [min(cols), max(cols)]}


def _allocations(mapping: Mapping, sections: Iterable[Section] | None) -> list[Json]:
    """Ranges of memory, by tier and address; of the sections' own buffers if some were chosen."""
    used = {stream.buffer for section in sections or () for stream in (*section.loads, *section.stores)}
    roles = {buffer.name: buffer.role for buffer in mapping.program.buffers}
    chosen = [
        (each, roles.get(name), len(place.pieces) > 1)
        for name, place in mapping.allocations.items()
        if sections is None or name in used
        for each in place.pieces
    ]
    return [
        {
            "buffer": each.buffer,
            "role": role,
            "tier": each.tier,
            "offset": each.offset,
            "size": each.size,
            **({"first_repeat": each.first, "repeats": each.repeats} if split else {}),
        }
        for each, role, split in sorted(chosen, key=lambda of: (of[0].tier, of[0].offset))
    ]


def _tier(use: TierUse, mapping: Mapping) -> Object:
    """A tier over the program: bytes alive and highest address in every section, holes at the peak, reuse."""
    return {
        "tier": use.tier,
        "capacity_bytes": use.capacity,
        "peak_bytes": use.peak,
        "highest_address": use.extent,
        "hole_bytes_at_peak": use.hole_bytes,
        "bytes_at_reused_addresses": use.reused_bytes,
        "over_sections": [
            {"section": section.name, "alive_bytes": alive, "highest_address": top}
            for section, alive, top in zip(mapping.program.sections, use.alive, use.top, strict=True)
        ],
    }


def _section_of(mapping: Mapping, launch: int) -> str:
    return mapping.program.sections[mapping.launches[launch].section].name


def _launch(mapping: Mapping, index: int) -> Object:
    values = to_json(mapping.launches[index])
    assert isinstance(values, dict)
    return values | {"section": _section_of(mapping, index)}


def after_simulate(trace: Trace, program: Program, section: str | None = None) -> Object:
    """Per section the bounds and causes; per stage interval, busy, start, end and bound; per memory stream its rate."""
    names = section_names(program, section)
    return {
        "program": program.name,
        "engine": trace.engine,
        "total_seconds": trace.cycles / trace.clock,
        **({} if records_waits(trace.engine) else {"waits": NOT_RECORDED}),
        "sections": [_timed(each, trace) for each in trace.sections if each.name in names],
    }


def _timed(timing: SectionTiming, trace: Trace) -> Object:
    clock, execution = trace.clock, timing.execution_cycles

    def waited(each: StageTiming | StreamTiming) -> Object:
        return waits(each, execution, clock) if records_waits(trace.engine) else {}

    return {
        "name": timing.name,
        "repeats": timing.repeats,
        "seconds": timing.cycles / clock,
        "execution_seconds": timing.execution_cycles / clock,
        "launch_seconds": timing.launch_cycles / clock,
        "streaming_seconds": timing.streaming_cycles / clock,
        "bottleneck": timing.bottleneck,
        "bound_seconds": {resource: cycles / clock for resource, cycles in timing.bounds.items()},
        "breakdown_seconds": {cause: cycles / clock for cause, cycles in timing.breakdown.items()},
        "stages": [_stage_timing(stage, clock) | waited(stage) for stage in timing.stages],
        "streams": [_stream_timing(stream, clock) | waited(stream) for stream in timing.streams],
    }


def _stage_timing(stage: StageTiming, clock: float) -> Object:
    return {
        "name": stage.name,
        "interval_seconds": stage.interval / clock,
        "busy_seconds": stage.busy / clock,
        "start_seconds": stage.start / clock,
        "end_seconds": stage.end / clock,
        "bound": stage.bound,
    }


def _stream_timing(stream: StreamTiming, clock: float) -> Object:
    return {
        "name": stream.name,
        "tier": stream.tier,
        "written": stream.written,
        "bytes": stream.bytes,
        "bytes_per_second": stream.rate * clock,
        "start_seconds": stream.start / clock,
        "end_seconds": stream.end / clock,
        "bound": stream.bound,
    }
