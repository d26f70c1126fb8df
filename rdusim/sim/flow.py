"""Rates of a section's loads and stores: what each could have alone, and the fair share of what they share.

Streams that run with the tiles share tiers, AGCUs, TLN and the die-to-die link for the whole section: `rate` is their
weighted max-min fair share, weighted by their bytes per tile, so that all of them keep the same pace; one part alone
moves with the `burst` rate, and the graph of the section sees to it that the sum fits. Operands that are loaded once
share what the tiles, at the pace that stages and memories can keep, leave of their tier; each AGCU serves its own in
the order of their use. docs/model.md, "Shared bandwidth".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rdusim.arch.types import Arch, MemoryTier
from rdusim.kernel.resource import max_min_rates
from rdusim.kernel.serve import serve
from rdusim.mapping.doors import agcu_bytes, link_bytes
from rdusim.mapping.needs import stages_before
from rdusim.mapping.types import Allocation, Route
from rdusim.program.types import MemoryStream, Section, Stage
from rdusim.sim.access import efficiency_of, written_share
from rdusim.sim.causes import AGCU, DIE, PMU, RDN, TLN
from rdusim.timing import agcu, dram, rdn, tln
from rdusim.units import Cycles


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A load or store. `rate`: bytes per cycle that it keeps up, and what limits it; `burst`: that one part moves with.

    `latency`: cycles to the first byte.
    """

    stream: MemoryStream
    tier: str
    written: bool
    rate: float
    burst: float
    limit: str
    latency: Cycles
    tier_rate: float  # of the whole tier, for this stream's pattern
    left_rate: float  # of the tier, beside the streams that run with the tiles
    doors: Mapping[int, float]  # AGCU (its switch) -> bytes of one tile that it carries
    door_rate: float  # of one AGCU
    beyond: float  # what PMUs, networks and links allow the whole stream


def flows(
    section: Section, routes: Mapping[str, Route], allocations: Mapping[str, Allocation], arch: Arch, pace: float
) -> tuple[Flow, ...]:
    """Every load and store of a section, with its rate. `pace`: cycles per tile of its slowest stage."""
    stages = {stage.name: stage for stage in section.stages}
    tiers = {tier.name: tier for tier in arch.socket.memory}
    mixed = written_share(section)
    directed = [*((load, False) for load in section.loads), *((store, True) for store in section.stores)]
    alone = []
    for stream, written in directed:
        tier = tiers[allocations[stream.buffer].tier]
        share = efficiency_of(stream, section, tier, mixed if stream.tiles > 1 else 0.0).total
        rate = tier.bandwidth * share / arch.socket.clock
        alone.append(_alone(stream, written, routes[stream.name], tier, stages, arch, rate))
    if section.tiles == 1:
        return tuple(alone)
    tiled = [index for index, flow in enumerate(alone) if flow.stream.tiles > 1]
    pace = max(pace, _memory_pace(alone, section.tiles), _latency_pace(alone))
    once = 1.0 - len(tiled) / len(alone) if alone else 0.0
    result = list(alone)
    taken: dict[str, float] = {}  # share of a tier's time that the tiles take at the section's pace
    for index, (rate, limit) in zip(tiled, _fair([alone[at] for at in tiled], section, routes, arch), strict=True):
        flow = alone[index]
        result[index] = replace(flow, rate=rate, limit=limit)
        paced = flow.stream.bytes / section.tiles / pace if pace > 0.0 else rate
        taken[flow.tier] = taken.get(flow.tier, 0.0) + min(rate, paced) / flow.tier_rate
    for index, flow in enumerate(alone):
        if flow.stream.tiles == 1:
            # At least their part in number: before the tiles run, memory serves whoever asks.
            left = flow.tier_rate * max(1.0 - taken.get(flow.tier, 0.0), once)
            limit = flow.limit if flow.rate <= left else flow.tier
            result[index] = replace(flow, rate=min(flow.rate, left), limit=limit, left_rate=left)
    return tuple(result)


def _memory_pace(alone: Sequence[Flow], tiles: int) -> float:
    """Cycles per tile that the busiest tier needs for everything it moves."""
    busy: dict[str, float] = {}
    for flow in alone:
        busy[flow.tier] = busy.get(flow.tier, 0.0) + flow.stream.bytes / flow.tier_rate
    return max(busy.values(), default=0.0) / tiles


def _latency_pace(alone: Sequence[Flow]) -> float:
    """Cycles per tile that loads need whose space is too small to ask for the next part in time."""
    paces = (
        (flow.latency + flow.stream.tile_bytes / flow.burst) / max(1, flow.stream.prefetch // flow.stream.tile_bytes)
        for flow in alone
        if flow.stream.tiles > 1 and flow.stream.tile_bytes and not flow.written
    )
    return max(paces, default=0.0)


def in_order(loads: Sequence[Flow], section: Section) -> list[tuple[float, float]]:
    """Begin and end of loads that are issued together, in cycles after the first request's latency.

    Every AGCU serves its own parts in the order of their use (`kernel.serve`), whatever tier they come from: those of a
    slow one hold up what is behind them. Each part moves at most at the rate of the AGCU's outstanding requests and of
    what limits the load itself. What the space in front of a stage does not hold is asked for when the stage begins,
    after the operands of all stages before it; until then it takes nothing from the others.
    """
    count, before = len(loads), stages_before(section)
    orders: dict[int, list[tuple[int, float]]] = {}
    after: dict[int, list[int]] = {}
    for index, flow in enumerate(loads):
        held = min(1.0, flow.stream.prefetch / max(1, flow.stream.tile_bytes))
        if by := flow.stream.after:  # what is gathered by an index that a stage makes waits for its operands too
            after[index] = [at for at, each in enumerate(loads) if each.stream.stage in before[by] | {by}]
        for switch, size in flow.doors.items():
            parts = [(index, size * held), (index + count, size * (1.0 - held))]
            orders.setdefault(switch, []).extend(part for part in parts if part[1] > 0.0)
        if held < 1.0:
            earlier = [at for at, other in enumerate(loads) if other.stream.stage in before[flow.stream.stage]]
            after[index + count] = [*earlier, *(at + count for at in earlier)]

    def wants(switch: int, job: int) -> tuple[float, float]:
        flow = loads[job % count]
        own = flow.beyond * flow.doors[switch] / max(1, flow.stream.tile_bytes)
        return min(flow.door_rate, own), 1.0 / flow.left_rate

    tiers = {job: loads[job % count].tier for job in range(2 * count)}
    times = serve(orders, wants, tiers, after)
    nothing = (0.0, 0.0)
    return [
        (times.get(index, nothing)[0], max(times.get(job, nothing)[1] for job in (index, index + count)))
        for index in range(count)
    ]


def _alone(
    stream: MemoryStream,
    written: bool,
    route: Route,
    tier: MemoryTier,
    stages: Mapping[str, Stage],
    arch: Arch,
    memory: float,
) -> Flow:
    socket = arch.socket
    latency = Cycles(dram.latency(tier, socket.clock) + tln.latency(socket, route.die_crossing_bytes > 0))
    pmu = socket.tile.pmu
    stage = stages[stream.stage]
    port = pmu.read_bytes_per_cycle if written else pmu.write_bytes_per_cycle
    doors, door_rate = agcu_bytes(route, socket), agcu.rate(latency, stream.contiguous, socket.tile.agcu)
    limits = {
        tier.name: memory,
        AGCU: stream.tile_bytes / max(doors.values(), default=1.0) * door_rate,
        PMU: max(1, stage.pmus) * float(port),
        TLN: stream.tile_bytes / max(1e-9, tln.tln_cycles(route.tln_bytes or 1e-9, socket.tln, socket.dies)),
    }
    if route.die_crossing_bytes > 0:
        limits[DIE] = stream.tile_bytes / tln.die_to_die_cycles(route.die_crossing_bytes, socket.die_to_die)
    if (most := link_bytes(route, socket)) > 0.0:
        carried = float(rdn.link_cycles(most, socket.tile.rdn)) / socket.tile.rdn.vector_links
        limits[RDN] = stream.tile_bytes / carried
    limit = min(limits, key=lambda name: limits[name])
    return Flow(
        stream=stream,
        tier=tier.name,
        written=written,
        rate=limits[limit],
        burst=limits[limit],
        limit=limit,
        latency=latency,
        tier_rate=memory,
        left_rate=memory,
        doors=doors,
        door_rate=door_rate,
        beyond=min(rate for name, rate in limits.items() if name not in (tier.name, AGCU)),
    )


def _fair(shared: Sequence[Flow], section: Section, routes: Mapping[str, Route], arch: Arch) -> list[tuple[float, str]]:
    """Weighted max-min fair rates of the streams that run with the tiles."""
    if not shared:
        return []
    socket = arch.socket
    tiers = sorted({flow.tier for flow in shared})
    names = [*tiers, AGCU, TLN, DIE]
    slowest = {tier: min(flow.tier_rate for flow in shared if flow.tier == tier) for tier in tiers}
    door = min(agcu.rate(flow.latency, flow.stream.contiguous, socket.tile.agcu) for flow in shared)
    capacities = [
        *(slowest[tier] for tier in tiers),
        socket.agcus * door,
        float(socket.tln.bytes_per_cycle * socket.dies),
        2.0 * socket.die_to_die.bytes_per_cycle,
    ]
    usage = []
    for flow in shared:
        route, size = routes[flow.stream.name], max(1, flow.stream.tile_bytes)
        usage.append(
            [
                (tiers.index(flow.tier), 1.0),
                (len(tiers), 1.0),
                (len(tiers) + 1, route.tln_bytes / size),
                (len(tiers) + 2, route.die_crossing_bytes / size),
            ]
        )
    weights = [max(1.0, flow.stream.bytes / section.tiles) for flow in shared]
    shares = max_min_rates(weights, usage, capacities, [flow.rate for flow in shared])
    return [
        (float(rate), names[limit] if limit >= 0 else flow.limit)
        for rate, limit, flow in zip(shares.rates, shares.limits, shared, strict=True)
    ]
