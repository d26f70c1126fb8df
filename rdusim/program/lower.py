"""From a model to a program: shard over sockets, cluster into stages, find the flows, fuse into sections."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from itertools import pairwise

from rdusim.arch.types import Arch
from rdusim.errors import LowerError, OptionError
from rdusim.graph.ops import SPECS, filled, flops
from rdusim.graph.types import Block, Compute, Operator, OperatorGraph
from rdusim.program.budget import Budget, budget_of
from rdusim.program.build import build
from rdusim.program.cluster import alone, cluster
from rdusim.program.distribute import distribute
from rdusim.program.fuse import LaunchCost, best_plan, fuse, too_large
from rdusim.program.plan import Plan, plan
from rdusim.program.shard import divisors_that_fit
from rdusim.program.sketch import Sketch, sketch
from rdusim.program.symbols import resident_bytes, symbols
from rdusim.program.tile import find_flows
from rdusim.program.types import Fusion, LowerOptions, Parallelism, Program, Section
from rdusim.timing import launch as launch_timing
from rdusim.timing.rdn import scalar_bandwidth

SHARES = tuple(2.0**-power for power in range(11))  # of the PCUs: a narrow section has a short program


def lower(graph: OperatorGraph, arch: Arch, options: LowerOptions | None = None) -> Program:
    """Lower `graph` onto one socket of `arch`, all sockets running their shard of it in step.

    Extents and bytes of the program are those of one socket, its `flops` those of all sockets together. Repeats of a
    block are one section with `repeats`.

    Raises LowerError for a model that no section can hold or that cannot be cut as asked, OptionError for options that
    contradict each other.
    """
    options = options or LowerOptions()
    parallelism = choose_parallelism(graph, arch, options)
    replicas = parallelism.dp if options.replica else 1
    local = distribute(graph, replace(parallelism, dp=1) if options.replica else parallelism)
    made = lower_local(local, arch, options, parallelism, model_flops(graph) * replicas)
    return replace(made, batch=graph.batch * replicas, tokens=graph.tokens * replicas)


def lower_local(
    local: OperatorGraph, arch: Arch, options: LowerOptions, parallelism: Parallelism, model: float
) -> Program:
    """Lower what one socket runs, collectives included. `model`: arithmetic operations, of all sockets together."""
    budget = budget_of(arch, resident_bytes(local))
    fusion = options.fusion
    launch = _launch_cost(arch, by_host=fusion is not Fusion.FUSED)
    barriers = _barriers(local, options.cut_after)
    sections: list[Section] = []
    blocks: list[Block] = []
    order: list[tuple[tuple[int, ...], int]] = []
    for block in local.blocks:
        made = _sections(local, block, budget, launch, barriers, fusion, options.least_tiles)
        order.append((tuple(range(len(sections), len(sections) + len(made))), block.repeats))
        sections.extend(made)
        blocks.extend([block] * len(made))
    return Program(
        name=local.name,
        sections=tuple(sections),
        order=tuple(order),
        buffers=symbols(local, sections, blocks),
        parallelism=parallelism,
        batch=local.batch,
        tokens=local.tokens,
        flops=model,
        fusion=fusion,
    )


def model_flops(graph: OperatorGraph) -> float:
    """Arithmetic operations that one run of the whole model needs, on all sockets together.

    What a training step computes again instead of storing it (attribute `again`) is done, but not counted. Of operators
    over an expert's slots the tokens count that are meant for them (attribute `filled`), whoever has slots to spare.
    """
    operators = ((block.repeats, graph.by_name[name]) for block in graph.blocks for name in block.operators)
    return float(sum(repeats * needed_flops(operator) for repeats, operator in operators))


def needed_flops(operator: Operator) -> float:
    """Arithmetic operations of an operator that count: see `model_flops`."""
    if operator.attributes.get("again"):
        return 0.0
    return float(round(flops(operator) * filled(operator)))


def choose_parallelism(graph: OperatorGraph, arch: Arch, options: LowerOptions) -> Parallelism:
    """What was asked for, checked; otherwise tensor parallelism over the most sockets that divide the model."""
    sockets = arch.system.sockets if options.sockets is None else options.sockets
    if options.parallelism is None:
        return Parallelism(tp=next(divisors_that_fit(graph, sockets)))
    if sockets % options.parallelism.sockets:
        raise OptionError(
            f"--parallel: {options.parallelism.sockets} ways do not divide {sockets} sockets: "
            f"choose one of {', '.join(str(ways) for ways in range(1, sockets + 1) if sockets % ways == 0)}"
        )
    return options.parallelism


def _sections(
    graph: OperatorGraph,
    block: Block,
    budget: Budget,
    launch: LaunchCost,
    barriers: frozenset[str],
    fusion: Fusion,
    least_tiles: int,
) -> list[Section]:
    """The kernels of a block."""
    unfused, by_module = fusion is Fusion.UNFUSED, fusion is Fusion.MODULES
    if by_module:
        barriers |= _module_ends(graph, block)
    operators = block.operators
    groups = alone(graph, operators) if unfused else cluster(graph, operators, barriers, by_module=by_module)
    flows = find_flows(graph, [graph.by_name[name] for name in block.operators])
    found = sketch(graph, block, groups, flows, least_tiles)
    if unfused:
        plans = tuple(_kernel(found, group.index, budget) for group in groups)
    else:
        ends = frozenset(group.index + 1 for group in groups if barriers & {op.name for op in group.operators})
        plans = fuse(found, budget, launch, ends)
    keeps_program = not unfused and block.repeats > 1 and len(plans) == 1
    made = []
    for number, chosen in enumerate(plans):
        whole = len(plans) == 1
        name = block.name if whole else groups[chosen.run.first].name if unfused else f"{block.name}.{number}"
        share = 1.0 if keeps_program else _share(found, chosen, budget, launch)
        narrowed = plan(found, chosen.run.first, chosen.run.end, chosen.run.cut, budget, share)
        made.append(build((narrowed or chosen).run, name, budget, share))
    return made


def _module_ends(graph: OperatorGraph, block: Block) -> frozenset[str]:
    """The last operator of each module that computes: what only moves goes with whoever reads it."""
    works = [
        graph.by_name[name] for name in block.operators if SPECS[graph.by_name[name].kind].compute is not Compute.MOVE
    ]
    return frozenset(one.name for one, after in pairwise(works) if one.call != after.call)


def _kernel(found: Sketch, group: int, budget: Budget) -> Plan:
    chosen = best_plan(found, group, group + 1, budget)
    if chosen is None:
        raise LowerError(too_large(found, group, budget))
    return chosen


def _share(found: Sketch, chosen: Plan, budget: Budget, launch: LaunchCost) -> float:
    """The share of the PCUs that pays: width shortens the section, and lengthens the program that each launch loads."""
    best, best_seconds = 1.0, float("inf")
    for share in SHARES:
        narrowed = plan(found, chosen.run.first, chosen.run.end, chosen.run.cut, budget, share)
        if narrowed is None:
            break
        seconds = launch(narrowed, True)
        if seconds < best_seconds:
            best, best_seconds = share, seconds
    return best


def _launch_cost(arch: Arch, by_host: bool) -> LaunchCost:
    """Time of a section with its launch, as it stands between two others."""

    scalars = scalar_bandwidth(arch.socket.tile.rdn, arch.socket.clock)

    def cost(section: Plan, loads_program: bool) -> float:
        units, streams = section.pcus + section.pmus, section.agcu_streams
        if by_host:
            time = launch_timing.host(units, streams, arch.launch, scalars, arch.system.host)
            return max(time.staged, section.seconds) + time.exposed
        return launch_timing.hardware(units, streams, loads_program, arch.launch, scalars).exposed + section.seconds

    return cost


def _barriers(graph: OperatorGraph, names: tuple[str, ...]) -> frozenset[str]:
    for name in names:
        if name not in graph.by_name:
            near = get_close_matches(name, graph.by_name, n=1)
            raise OptionError(f"--cut-after: no operator '{name}'" + (f": did you mean '{near[0]}'?" if near else ""))
    return frozenset(names)
