"""Every noun of one request, made when first asked for; and `run`, which asks for the last one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import TypeVar, cast

from rdusim.arch.load import load_arch
from rdusim.arch.structure import differences
from rdusim.arch.types import Arch
from rdusim.errors import ArchError, GraphError, OptionError, Problem, RdusimError
from rdusim.graph.backward import train
from rdusim.graph.load import Abilities, abilities, load_graph, locate
from rdusim.graph.settings import read_settings
from rdusim.graph.types import OperatorGraph, Phase, RunShape
from rdusim.mapping.map_onto import map_onto
from rdusim.mapping.rerate import rerated
from rdusim.mapping.types import MapOptions, Mapping, SpillOrder
from rdusim.pipeline.memory_hints import Hint, check_named, obeyed, read_hints, tiers_of
from rdusim.pipeline.model_flops import asked_flops
from rdusim.pipeline.pipelined import left_of_rank, pipeline_report
from rdusim.pipeline.pipelined_training import machine, training_report
from rdusim.pipeline.request import (
    AUTO,
    DEFAULT_BLOCK,
    GENERATE,
    PAGED,
    Plan,
    RunRequest,
    draft_of,
    option_problems,
    resolve,
    socket_problems,
)
from rdusim.pipeline.speculative import beside, prefill_report, round_report
from rdusim.pipeline.stage_memory import with_capacities, with_kept
from rdusim.program.distribute import distribute
from rdusim.program.lower import choose_parallelism, lower, lower_local
from rdusim.program.paged import paged
from rdusim.program.partition import Part, layer_costs, partition
from rdusim.program.partition_training import Chunk, distinct, training_chunks
from rdusim.program.types import LowerOptions, Parallelism, Program
from rdusim.report.generation import generation, sample
from rdusim.report.padded import padded
from rdusim.report.spill import roomy, spills, with_spill
from rdusim.report.summarize import known_setting, peak_flops, summarize, with_simulator
from rdusim.report.types import FORWARD, Report, Setting
from rdusim.sim.simulate import ENGINES, engine_problems, simulate
from rdusim.sim.trace import SimulateOptions, Trace
from rdusim.units import Bytes

Noun = TypeVar("Noun")
Observe = Callable[[str], None]


def _silent(_: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Cache:
    """Results by a digest of what they were made from. Files are taken not to change while it lives.

    `most`: how many it keeps, those asked for last; None: all.
    """

    made: dict[bytes, object] = field(default_factory=dict)
    most: int | None = None

    def get(self, make: Callable[[], Noun], *inputs: object) -> Noun:
        """What `make` gave for equal inputs before, or gives now. Inputs are frozen nouns: their repr says all."""
        key = sha256(repr(inputs).encode()).digest()
        made = self.made.pop(key) if key in self.made else make()
        self.made[key] = made
        if self.most is not None and len(self.made) > self.most:
            del self.made[next(iter(self.made))]
        return cast("Noun", made)


def run(request: RunRequest, *, cache: Cache | None = None, observe: Observe = _silent) -> Report:
    """The report of a request: seconds and bytes, totals over the sockets in use.

    Raises RdusimError with every problem that was found. `cache` keeps what several requests have in common; `observe`
    hears what is being done.
    """
    start = perf_counter()
    report = answer(request, cache=cache, observe=observe)
    return with_simulator(report, wall_seconds=perf_counter() - start)


def answer(request: RunRequest, *, cache: Cache | None = None, observe: Observe = _silent) -> Report:
    """The report of a request, without the time that making it took."""
    if (request.parallel or "").strip() == AUTO:
        from rdusim.pipeline.auto_plan import best_plan  # it makes many of these

        return best_plan(request, cache=cache if cache is not None else Cache(), observe=observe)
    return Stages(request, cache=cache, observe=observe).report()


class Stages:
    """One request, its options checked on the way in. Each noun is made when it is first asked for, and kept.

    `arch` is the machine that programs run on, `compiled` the one that they are lowered and mapped for: the same one,
    unless the request says otherwise.
    """

    def __init__(self, request: RunRequest, *, cache: Cache | None = None, observe: Observe = _silent) -> None:
        if (request.parallel or "").strip() == AUTO:
            message, hint = "auto looks at many plans, this needs one", "rdusim run --parallel auto finds it"
            raise OptionError(Problem(field="--parallel", message=message, hint=hint))
        self.request = request
        self.cache = cache if cache is not None else Cache()
        self.observe = observe
        self.arch, phases, able = _checked(request)
        self.compiled = _compiled(request, self.arch, self.cache)
        self.hints = _hints(request, self.arch)
        self.sockets = request.sockets or self.arch.system.sockets
        self.plan: Plan = resolve(request, phases=phases, decodes=able.decodes, positions=able.positions)
        if self.plan.draft_length:
            self.draft = Stages(draft_of(request, self.plan), cache=self.cache, observe=observe)
            held = self._held_by_draft()
            left = beside(self.arch, held)
            self.compiled = left if self.compiled is self.arch else beside(self.compiled, held)
            self.arch = left

    def shape(self) -> RunShape:
        """The shape of the one program that a request is about. Raises OptionError for generate, which has many."""
        if self.plan.phase == GENERATE:
            message = "generate is many programs: choose --phase prefill or --phase decode --context-tokens N"
            raise OptionError(message)
        if self.plan.training is not None:
            return self.plan.train()
        if self.plan.context is not None:
            return self.plan.decode(self.plan.context)
        if self.plan.prompt is not None:
            return self.plan.prefill()
        return RunShape(phase=Phase.PREFILL, batch=1, query_tokens=1, context_tokens=1)

    def whole(self, shape: RunShape) -> OperatorGraph:
        """The model, before its layers are shared out over a pipeline; of training, the whole step."""
        options = self.plan.training

        def make() -> OperatorGraph:
            try:
                graph = load_graph(self.request.model, shape)
            except GraphError as error:
                raise _in_options(error) from None
            return graph if options is None else train(graph, options)

        return self.cache.get(make, "graph", self.request.model, shape, options)

    def in_passes(self) -> bool:
        """Whether a training step is cut into ways forth, ways back and updates, which then are its parts."""
        return self.plan.training is not None and (self.plan.ways.pp > 1 or self.plan.micro_batches > 1)

    def chunks(self, shape: RunShape) -> tuple[Chunk, ...]:
        """The chunks of layers of a training step that is cut into passes."""
        plan, options = self.plan, self.lower_options()
        count = plan.ways.pp * plan.chunks

        def make() -> tuple[Chunk, ...]:
            whole = self.whole(shape)
            local = distribute(whole, choose_parallelism(whole, self.compiled, options))
            return training_chunks(whole, local, count, plan.micro_batches, layer_costs(local, self.compiled))

        return self.cache.get(make, "chunks", self.request.model, shape, plan.training, count, self.compiled, options)

    def parts(self, shape: RunShape) -> tuple[Part, ...]:
        """The pipeline's chunks of layers in order; without a pipeline the model is the only one."""
        ways, chunks = self.plan.parallelism or Parallelism(), self.plan.chunks
        if self.in_passes():
            key = (self.request.model, shape, self.plan.training, self.plan.chunks, self.compiled, self.lower_options())
            return self.cache.get(lambda: distinct(self.chunks(shape)), "passes", *key)

        def make() -> tuple[Part, ...]:
            graph = self.whole(shape)
            return partition(graph, ways.pp * chunks, layer_costs(graph, self.compiled))

        return self.cache.get(
            make, "parts", self.request.model, shape, self.plan.training, ways.pp * chunks, self.compiled
        )

    def graph(self, shape: RunShape, part: int = 0) -> OperatorGraph:
        return self.parts(shape)[part].graph

    def program(self, shape: RunShape, part: int = 0) -> Program:
        def make() -> Program:
            graph = self.graph(shape, part)
            self.observe(f"lowering {_said(shape)}")
            if self.in_passes():
                return self._pass(shape, part)
            made = lower(graph, self.compiled, self.lower_options())
            if self.request.kv_cache == PAGED:
                block = self.request.kv_block or DEFAULT_BLOCK
                return paged(made, graph, query_tokens=shape.query_tokens, block=block)
            return made

        return self.cache.get(make, "program", *self._lowered(shape, part))

    def _pass(self, shape: RunShape, part: int) -> Program:
        """A pass of a training step: its graph is what one socket runs already."""
        found, options = self.parts(shape)[part], self.lower_options()
        elsewhere = {name for other in self.parts(shape) for name in other.graph.by_name} - set(found.graph.by_name)
        here = replace(options, cut_after=tuple(name for name in options.cut_after if name not in elsewhere))
        ways = choose_parallelism(self.whole(shape), self.compiled, options)
        made = lower_local(found.graph, self.compiled, here, ways, found.flops or 0.0)
        return with_kept(made, frozenset(found.held))

    def _machine(self, shape: RunShape, part: int) -> tuple[Arch, MapOptions]:
        """What is there for a program, and how it is mapped; of a pass, what the others leave."""
        if not self.in_passes():
            left = left_of_rank(self, shape, part) if self.plan.ways.pp > 1 else self.compiled
            return left, self._hinted(self.program(shape, part))

        def make() -> tuple[Arch, MapOptions]:
            left, there = machine(self, shape, self.parts(shape)[part])
            options = self._hinted(self.program(shape, part))
            return left, replace(options, tiers={**there, **options.tiers})

        plan = self.plan
        rounds = (shape, plan.training, plan.micro_batches, plan.schedule, plan.chunks)
        return self.cache.get(make, "machine", *self._lowered(shape, part), self.map_options(), rounds)

    def _mapped(self, shape: RunShape, part: int) -> tuple[object, ...]:
        """What a mapping depends on."""
        found = (*self._lowered(shape, part), self.map_options())
        return (*found, self._machine(shape, part)) if self.in_passes() or self.plan.ways.pp > 1 else found

    def mapping(self, shape: RunShape, part: int = 0) -> Mapping:
        def make() -> Mapping:
            program = self.program(shape, part)
            self.observe(f"mapping {_said(shape)}")
            return map_onto(program, *self._machine(shape, part))

        return self._rerated(make, "mapping", *self._mapped(shape, part))

    def trace(self, shape: RunShape, part: int = 0) -> Trace:
        options = SimulateOptions(engine=self.request.engine)

        def make() -> Trace:
            mapping = self.mapping(shape, part)
            self.observe(f"simulating {_said(shape)}")
            return simulate(mapping, self._running(self._machine(shape, part)[0]), options)

        return self.cache.get(make, "trace", *self._mapped(shape, part), *self._elsewhere(), options)

    def near(self, shape: RunShape, part: int = 0) -> Trace:
        """The same program on a machine whose nearest tier of memory holds everything."""
        options = SimulateOptions(engine=self.request.engine)

        def make() -> Trace:
            mapping = self._rerated(lambda: map_onto(program, roomy(self.compiled), self.map_options()), *mapped)
            self.observe(f"simulating {_said(shape)} without a spill")
            return simulate(mapping, roomy(self.arch), options)

        program, mapped = self.program(shape, part), ("roomy", *self._lowered(shape, part), self.map_options())
        return self.cache.get(make, "near", *mapped, *self._elsewhere(), options)

    def _elsewhere(self) -> tuple[object, ...]:
        """What a run depends on besides its mapping: another machine than the one that it was compiled for."""
        return () if self.compiled is self.arch else (self.arch,)

    def _running(self, left: Arch) -> Arch:
        """The machine that runs what was mapped onto `left`, with as much memory."""
        return left if self.compiled is self.arch else with_capacities(self.arch, left)

    def _rerated(self, make: Callable[[], Mapping], *key: object) -> Mapping:
        """What is mapped for the one machine, as it runs on the other."""
        made = self.cache.get(make, *key)
        if self.compiled is self.arch:
            return made
        return self.cache.get(lambda: rerated(made, self.arch), "rerated", *key, self.arch)

    def _hinted(self, program: Program) -> MapOptions:
        """How a program is mapped, where symbols must lie included. Patterns must mean something in some program."""
        if not self.hints:
            return self.map_options()
        symbols = [buffer.name for buffer in program.buffers]
        found = tiers_of(self.hints, symbols) if self.one_program() else obeyed(self.hints, symbols)
        return replace(self.map_options(), tiers=found)

    def _symbols(self) -> set[str]:
        """Names of all that lies in memory in some program of the request."""
        steps = self.plan.steps() if self.plan.phase == GENERATE else None
        shapes = [self.shape()] if steps is None else [self.plan.prefill(), *map(self.plan.decode, steps[:1])]
        programs = (self.program(shape, part) for shape in shapes for part in range(len(self.parts(shape))))
        return {buffer.name for program in programs for buffer in program.buffers}

    def one_program(self) -> bool:
        """Whether the request is about one program, so that a hint which means nothing in it is a mistake."""
        several = self.plan.ways.pp > 1 or self.in_passes()
        return self.plan.phase != GENERATE and not self.plan.draft_length and not several

    def report(self) -> Report:
        """The answer to the whole request."""
        if self.hints and not self.one_program():
            check_named(self.hints, self._symbols())
        if self.plan.phase == GENERATE:
            return self._generation()
        if self.plan.context is not None:
            return self._padded(self._step(self.plan.context), self.plan.batch)
        return self._padded(self.report_of(self.shape()), self.plan.batch * (self.plan.prompt or 1))

    def _padded(self, found: Report, tokens: int) -> Report:
        return padded(found, self.plan.batch, tokens, lambda: asked_flops(self))

    def _step(self, context: int) -> Report:
        """A decode step, or what of a round of speculative decoding one token stands for."""
        if self.plan.draft_length:
            return round_report(self, self.draft, context)
        return self.report_of(self.plan.decode(context))

    def _prefill(self) -> Report:
        found = self.report_of(self.plan.prefill())
        if not self.plan.draft_length:
            return found
        return prefill_report(self, self.draft, found)

    def _held_by_draft(self) -> Bytes:
        """Bytes of a socket's nearest memory that the draft model takes, at its longest context."""
        plan = self.draft.plan
        longest = (plan.context or (plan.prompt or 0) + (plan.output or 0)) + self.plan.draft_length
        nearest = self.draft.arch.socket.memory[0].name
        return self.draft.mapping(plan.decode(longest)).peak_bytes[nearest]

    def report_of(self, shape: RunShape) -> Report:
        """The answer for one shape: one program, or the programs of a pipeline's stages."""
        if self.in_passes():
            return training_report(self, shape)
        if len(self.parts(shape)) > 1:
            return pipeline_report(self, shape)
        return self.report_of_part(shape, 0)

    def report_of_part(self, shape: RunShape, part: int) -> Report:
        """The answer for one program, on the sockets that run it."""
        graph, mapping, trace = self.graph(shape, part), self.mapping(shape, part), self.trace(shape, part)
        known = self._setting(known_setting(trace, mapping, graph, self.arch))
        known = replace(known, sockets_used=known.sockets_used // mapping.program.parallelism.pp)
        report = summarize(trace, mapping, graph, self.arch, known)
        if not spills(mapping, self.arch):
            return report
        if self.in_passes():  # the step is not run a second time as a whole
            return with_spill(report, mapping, self.arch, report.latency.total_seconds)
        near = self.near(shape, part)
        return with_spill(report, mapping, self.arch, near.cycles / near.clock)

    def _generation(self) -> Report:
        prefill = self._prefill()
        decode: dict[int, Report] = {}

        def step(context: int) -> float:
            decode[context] = self._step(context)
            return decode[context].latency.total_seconds

        if steps := self.plan.steps():
            sample(step, steps[0], steps[-1])
        setting = replace(prefill.setting, phase=GENERATE, output_tokens=self.plan.output, context_tokens=None)
        made = self.plan.batch * (len(steps) + 1)
        whole = generation(
            prefill,
            decode,
            setting,
            tokens=made,
            peak_flops=peak_flops(self.arch, setting.dtype, setting.sockets_used),
        )
        return self._padded(whole, made)

    def _setting(self, known: Setting) -> Setting:
        """What the nouns say about themselves, and what only the request knows."""
        plan = self.plan
        return replace(
            known,
            sockets=self.sockets,
            phase=plan.phase,
            dtype=known.dtype if plan.prompt is None and plan.phase == FORWARD else plan.dtype,
            orchestration=plan.orchestration.value,
            kernel_looping=plan.kernel_looping,
            input_tokens=plan.prompt,
            context_tokens=plan.context,
            compiled_tokens=plan.compiled_tokens,
            compiled_batch=plan.compiled_batch,
        )

    def _lowered(self, shape: RunShape, part: int) -> tuple[object, ...]:
        """What a program depends on. Stages of equal layers are one program: `same` is the first of them."""
        parts = self.parts(shape)
        memory = (self.request.kv_cache, self.request.kv_block, self.hints)
        if self.in_passes():  # other schedules and numbers of micro-batches have passes in common
            return self._digest(shape, part), self.compiled, self.lower_options(), memory
        same = parts.index(parts[part]) if len(parts) > 1 else 0
        return (
            self.request.model,
            shape,
            self.plan.training,
            len(parts),
            same,
            self.compiled,
            self.lower_options(),
            memory,
        )

    def _digest(self, shape: RunShape, part: int) -> str:
        """Of a pass, which is a graph of its own."""
        plan = self.plan
        cut = (self.request.model, shape, plan.training, plan.chunks, self.compiled, self.lower_options())

        def make() -> str:
            return sha256(repr(self.parts(shape)[part]).encode()).hexdigest()

        return self.cache.get(make, "digest", part, *cut)

    def lower_options(self) -> LowerOptions:
        return LowerOptions(
            fusion=self.plan.fusion,
            sockets=self.sockets,
            parallelism=self.plan.parallelism,
            cut_after=self.request.cut_after,
            replica=self.plan.training is None,
        )

    def map_options(self) -> MapOptions:
        return MapOptions(
            orchestration=self.plan.orchestration,
            kernel_looping=self.plan.kernel_looping,
            spill=SpillOrder(self.request.spill),
        )


def _checked(request: RunRequest) -> tuple[Arch, bool, Abilities]:
    """The machine; whether the model has phases, and which runs. Raises all problems of these at once."""
    problems: list[RdusimError] = []
    phases, able, arch = True, Abilities(decodes=True, positions=None), None
    try:
        phases, able = phases_and_abilities(request.model)
        _check_draft(request)
    except RdusimError as error:
        problems.append(error)
    if found := option_problems(request, phases=phases, decodes=able.decodes, engines=ENGINES):
        problems.append(OptionError(*found))
    try:
        arch = load_arch(request.arch, request.overrides)
        if found := [*socket_problems(request, arch.system.sockets), *engine_problems(request.engine, arch)]:
            problems.append(OptionError(*found))
    except ArchError as error:
        problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    if problems or arch is None:
        raise OptionError(*(problem for error in problems for problem in error.problems))
    return arch, phases, able


def _compiled(request: RunRequest, arch: Arch, cache: Cache) -> Arch:
    """The machine to compile for. Raises OptionError where what is compiled for it could not run on `arch`."""
    overrides = request.compiled_overrides
    if overrides is None or overrides == request.overrides:
        return arch
    found = cache.get(lambda: load_arch(request.arch, overrides), "arch", request.arch, overrides)
    if different := differences(found, arch):
        message = f"compiled for a machine of another structure: {', '.join(different)}"
        raise OptionError(Problem(message=message, hint="compile it again"))
    return arch if found == arch else found


def _check_draft(request: RunRequest) -> None:
    """A draft model must have a step that makes one token, of those that its target knows."""
    if request.draft is None:
        return
    phases, able = phases_and_abilities(request.draft)
    if not phases or not able.decodes:
        why = "is an encoder" if phases else "has shapes of its own"
        message = f"{request.draft} {why} and makes no tokens"
        raise OptionError(Problem(field="--draft", message=message, hint="a model in Hugging Face config.json form"))
    own, wanted = _vocabulary(request.draft), _vocabulary(request.model)
    if own is not None and wanted is not None and own != wanted:
        message = f"{request.draft} has a vocabulary of {own:,}, {request.model} of {wanted:,}: no token means the same"
        raise OptionError(Problem(field="--draft", message=message, hint="a smaller model of the same family"))


def _vocabulary(model: str) -> int | None:
    path, _ = locate(model)
    return read_settings(path).language().optional_size("vocab_size") if path.suffix == ".json" else None


def _in_options(error: GraphError) -> GraphError:
    """The same problems, of the options that a shape was made from."""
    flags = {
        "routing_skew": "--routing-skew", "expert_groups": "--parallel", "query_tokens": "--input-tokens",
        "phase": "--phase",
    }  # fmt: skip
    return GraphError(
        *(replace(problem, field=flags.get(problem.field or "", problem.field)) for problem in error.problems)
    )


def _hints(request: RunRequest, arch: Arch) -> tuple[Hint, ...]:
    if request.memory_hints is None:
        return ()
    return read_hints(Path(request.memory_hints), [tier.name for tier in arch.socket.memory])


def phases_and_abilities(model: str) -> tuple[bool, Abilities]:
    """A config.json has phases, and usually a last position; a graph file has its own shapes."""
    path, _ = locate(model)
    if path.suffix != ".json":
        return False, Abilities(decodes=True, positions=None)
    return True, abilities(read_settings(path))


def _said(shape: RunShape) -> str:
    """A shape in the words of a progress line."""
    return f"{shape.phase.value}, batch {shape.batch}, context {shape.context_tokens}"
