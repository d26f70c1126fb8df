"""What a user asks of a run, and what that means once every default is filled in. Defaults: docs/cli.md."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from enum import StrEnum
from math import isfinite
from typing import Final, cast

from rdusim.dtypes import DType
from rdusim.errors import Problem
from rdusim.graph.optimizer import OPTIMIZERS, PRECISIONS, RECOMPUTE, TrainOptions
from rdusim.graph.types import Phase, RunShape
from rdusim.mapping.types import Orchestration, SpillOrder
from rdusim.program.types import Fusion, Parallelism
from rdusim.report.types import FORWARD
from rdusim.sim.microbatch import SCHEDULES

GENERATE: Final = "generate"
PHASES: Final = (Phase.PREFILL.value, Phase.DECODE.value, GENERATE, Phase.TRAIN.value)
DTYPES: Final = ("bf16", "fp8", "int8", "fp32")
TRAINED_DTYPES: Final = ("bf16", "fp32")  # formats wide enough for gradients without scaling
TRAINING: Final = ("optimizer", "recompute", "precision")  # options of training alone

AUTO: Final = "auto"  # of --parallel: the plan that takes least time
ONE_F_ONE_B: Final = "1f1b"
INTERLEAVED: Final = "interleaved"

DEFAULT_PROMPT: Final = 2048  # tokens; less if the model's positions end before
DEFAULT_CONTEXT: Final = 4096
DEFAULT_TRAINED: Final = 4096  # tokens of a sequence in training; less if the model's positions end before
DEFAULT_OUTPUT: Final = 128
CONTIGUOUS: Final = "contiguous"
PAGED: Final = "paged"
TRAINED_ROUNDS: Final = 4  # micro-batches of a training step for each pipeline stage, where the batch has as many
DEFAULT_BLOCK: Final = 16  # tokens of a block of a paged KV cache, as vLLM's
DEFAULT_DRAFT: Final = 4  # tokens that a draft model proposes at once


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """The options of `rdusim run`, as given: None is 'not said'. `parallel` is text such as `tp=8`.

    `parallel` may also be `auto`. `cut_after`: operators behind which a fused section must end. `compiled_overrides`:
    those of the machine that programs are compiled for, of the same structure (arch/structure.py) as the one that they
    run on; None: that one itself.
    """

    model: str
    arch: str = "sn40l"
    sockets: int | None = None
    phase: str | None = None
    batch: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    context_tokens: int | None = None
    dtype: str | None = None
    parallel: str | None = None
    micro_batches: int | None = None
    pipeline_schedule: str | None = None
    pipeline_chunks: int | None = None
    compiled_tokens: int | None = None
    compiled_batch: int | None = None
    draft: str | None = None
    draft_length: int | None = None
    acceptance_rate: float | None = None
    optimizer: str | None = None
    recompute: str | None = None
    precision: str | None = None
    routing_skew: float | None = None
    fusion: str = Fusion.FUSED.value
    cut_after: tuple[str, ...] = ()
    orchestration: str | None = None
    kernel_looping: bool = False
    engine: str = "steady"
    kv_cache: str = CONTIGUOUS
    spill: str = SpillOrder.TRANSFER.value
    kv_block: int | None = None
    memory_hints: str | None = None
    overrides: tuple[str, ...] = ()
    compiled_overrides: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A request with every default filled in. `prompt`, `context`, `output` are None where they do not apply."""

    phase: str
    batch: int
    dtype: DType
    prompt: int | None
    context: int | None
    output: int | None
    parallelism: Parallelism | None
    fusion: Fusion
    orchestration: Orchestration
    kernel_looping: bool
    micro_batches: int = 1
    schedule: str = ONE_F_ONE_B
    chunks: int = 1
    compiled_tokens: int | None = None
    compiled_batch: int | None = None
    draft_length: int = 0
    acceptance_rate: float | None = None
    training: TrainOptions | None = None
    routing_skew: float = 0.0

    @property
    def run_batch(self) -> int:
        """Sequences that run at once, padding included."""
        return self.compiled_batch or self.batch

    @property
    def ways(self) -> Parallelism:
        return self.parallelism or Parallelism()

    @property
    def replica_batch(self) -> int:
        """Sequences of a micro-batch that one replica runs; in training the replicas are cut from the whole later."""
        return self.run_batch // self.micro_batches // (1 if self.training else self.ways.dp)

    def prefill(self) -> RunShape:
        assert self.prompt is not None
        return RunShape(
            phase=Phase.PREFILL,
            batch=self.replica_batch,
            query_tokens=self.compiled_tokens or self.prompt,
            context_tokens=self.compiled_tokens or self.prompt,
            dtype=self.dtype,
            routing_skew=self.routing_skew,
            expert_groups=self.ways.ep,
        )

    def train(self) -> RunShape:
        """The whole batch at once: training has no cached context."""
        return replace(self.prefill(), phase=Phase.TRAIN)

    def decode(self, context: int) -> RunShape:
        """One step; `context` counts the token that the step reads."""
        return RunShape(
            phase=Phase.DECODE,
            batch=self.replica_batch,
            query_tokens=1,
            context_tokens=self.compiled_tokens or context,
            dtype=self.dtype,
            routing_skew=self.routing_skew,
            expert_groups=self.ways.ep,
        )

    def steps(self) -> range:
        """Contexts of a generation's decode steps: the first token comes out of prefill, a step reads the last."""
        assert self.prompt is not None
        assert self.output is not None
        return range(self.prompt + 1, self.prompt + self.output)


def resolve(request: RunRequest, *, phases: bool, positions: int | None, decodes: bool = True) -> Plan:
    """The plan of a request whose options have no problems (`option_problems`).

    `phases` is false for a graph whose shapes stand in its file, `decodes` for an encoder, whose prefill is its one
    run. `positions`: how far the model's positions reach; defaults stay below, and within what is compiled.
    """
    reach = positions if positions is not None else max(DEFAULT_PROMPT + DEFAULT_OUTPUT, DEFAULT_CONTEXT)
    reach = min(reach, request.compiled_tokens or reach)
    fusion = Fusion(request.fusion)
    phase = request.phase or Phase.DECODE.value if phases else FORWARD
    if not decodes and phase != Phase.TRAIN:
        phase = FORWARD
    by_default = Orchestration.HARDWARE if fusion is Fusion.FUSED else Orchestration.HOST
    output = (request.output_tokens or min(DEFAULT_OUTPUT, reach // 2)) if phase == GENERATE else None
    by_phase = DEFAULT_TRAINED if phase == Phase.TRAIN else DEFAULT_PROMPT
    prompt = request.input_tokens or min(by_phase, reach - (output or 0))
    context = request.context_tokens or request.input_tokens or min(DEFAULT_CONTEXT, reach)
    ways = parse_parallel(request.parallel)[0]
    schedule = request.pipeline_schedule or ONE_F_ONE_B
    micro_batches = request.micro_batches or default_micro_batches(request)
    return Plan(
        phase=phase,
        batch=request.batch or 1,
        dtype=cast("DType", request.dtype or "bf16"),
        prompt=max(1, prompt) if phase in (Phase.PREFILL, GENERATE, Phase.TRAIN) or not decodes else None,
        context=context if phase == Phase.DECODE else None,
        output=output,
        parallelism=ways,
        fusion=fusion,
        orchestration=Orchestration(request.orchestration) if request.orchestration else by_default,
        kernel_looping=request.kernel_looping,
        micro_batches=micro_batches,
        schedule=schedule,
        chunks=request.pipeline_chunks or (2 if schedule == INTERLEAVED else 1),
        compiled_tokens=request.compiled_tokens,
        compiled_batch=request.compiled_batch,
        draft_length=(request.draft_length or DEFAULT_DRAFT) if request.draft else 0,
        acceptance_rate=request.acceptance_rate,
        training=replace(train_options(request), micro_batches=micro_batches) if phase == Phase.TRAIN else None,
        routing_skew=request.routing_skew or 0.0,
    )


def train_options(request: RunRequest) -> TrainOptions:
    """How a training step is run, as far as the request says."""
    said = {name: value for name in TRAINING if (value := getattr(request, name)) is not None}
    return TrainOptions(**said)


def draft_of(request: RunRequest, plan: Plan) -> RunRequest:
    """The same request for the draft model alone, lengths included: tensor parallelism over the same sockets.

    Memory hints are about the model, not about its draft.
    """
    return replace(
        request,
        model=request.draft or "",
        input_tokens=plan.prompt,
        context_tokens=plan.context,
        output_tokens=plan.output,
        memory_hints=None,
        draft=None,
        draft_length=None,
        acceptance_rate=None,
        parallel=None,
        micro_batches=None,
        pipeline_schedule=None,
        pipeline_chunks=None,
        routing_skew=None,
        cut_after=(),
    )


def default_micro_batches(request: RunRequest) -> int:
    """As many as there are pipeline stages, so that all work at once, or the most below that divide the batch.

    In training up to four times as many: what waits at begin and end of a step is a smaller part of it.
    """
    ways = parse_parallel(request.parallel)[0] or Parallelism()
    if ways.pp == 1:
        return 1
    replica = (request.compiled_batch or request.batch or 1) // ways.dp
    share = replica // ways.ep or 1
    most = TRAINED_ROUNDS * ways.pp if request.phase == Phase.TRAIN else ways.pp
    interleaved = request.pipeline_schedule == INTERLEAVED
    rounds = range(ways.pp if interleaved else 1, most + 1, ways.pp if interleaved else 1)
    return max((count for count in rounds if share % count == 0 == replica % count), default=ways.pp)


def value_problems(request: RunRequest, *, engines: Collection[str]) -> list[Problem]:
    """What no other option could mend: values that no run takes."""
    return [
        *_counts(request),
        *_skew(request),
        *_choices(request, engines),
        *_choice("--kv-cache", request.kv_cache, (CONTIGUOUS, PAGED)),
        *_choice("--spill", request.spill, _values(SpillOrder)),
        *parse_parallel(request.parallel)[1],
    ]


def option_problems(
    request: RunRequest, *, phases: bool, engines: Collection[str], decodes: bool = True
) -> list[Problem]:
    """Everything wrong with the options themselves, whatever the machine."""
    return [
        *value_problems(request, engines=engines),
        *_pipeline_problems(request),
        *_round_problems(request),
        *_compiled_problems(request),
        *_draft_problems(request),
        *_training_problems(request),
        *(_phase_problems(request, decodes) if phases else _shape_problems(request)),
        *_orchestration_problems(request),
        *_memory_problems(request),
    ]


def socket_problems(request: RunRequest, sockets: int) -> list[Problem]:
    """What is asked of the sockets of a machine that has `sockets` of them, and cannot be given."""
    if request.sockets is not None and request.sockets > sockets:
        hint = f"--set system.sockets={request.sockets} makes a machine of that size"
        return [Problem(field="--sockets", message=f"{request.sockets}, but the machine has {sockets}", hint=hint)]
    offered = request.sockets or sockets
    ways, problems = parse_parallel(request.parallel)
    if problems or ways is None or offered < 1 or offered % ways.sockets == 0:
        return []
    divisors = ", ".join(str(count) for count in range(1, offered + 1) if offered % count == 0)
    cut = {axis.name: getattr(ways, axis.name) for axis in fields(ways)}
    said = " x ".join(f"{name}={count}" for name, count in cut.items() if count > 1)
    message = f"{said} does not divide {offered} socket{'s' if offered > 1 else ''}"
    what = "tp" if ways.tp == ways.sockets else "the product of all axes"
    return [Problem(field="--parallel", message=message, hint=f"{what} can be {divisors}")]


def parse_parallel(text: str | None) -> tuple[Parallelism | None, list[Problem]]:
    """`tp=8,pp=1` as ways of cutting; None for None and for `auto`."""
    if text is None or text.strip() == AUTO:
        return None, []
    axes = tuple(axis.name for axis in fields(Parallelism))
    ways: dict[str, int] = {}
    problems: list[str] = []
    for part in text.split(","):
        axis, _, count = (piece.strip() for piece in part.partition("="))
        if axis not in axes:
            problems.append(f"{part.strip()!r} is not one of {', '.join(f'{name}=N' for name in axes)}")
        elif axis in ways:
            problems.append(f"{axis} is given twice")
        elif not (count.isascii() and count.isdigit() and int(count)):
            problems.append(f"{axis}={count}: a whole number of at least 1 is wanted")
        ways.setdefault(axis, int(count) if count.isascii() and count.isdigit() else 1)
    if problems:
        return None, [Problem(field="--parallel", message=problem) for problem in problems]
    return Parallelism(**ways), []


_COUNTED: Final[Mapping[str, str]] = {
    "sockets": "number of sockets",
    "batch": "batch size",
    "micro_batches": "number of micro-batches",
    "pipeline_chunks": "number of chunks",
    "compiled_tokens": "number of tokens",
    "compiled_batch": "batch size",
    "draft_length": "number of tokens",
    "input_tokens": "number of tokens",
    "output_tokens": "number of tokens",
    "context_tokens": "number of tokens",
    "kv_block": "number of tokens",
}


def _memory_problems(request: RunRequest) -> Iterator[Problem]:
    if request.kv_block is not None and request.kv_cache == CONTIGUOUS:
        yield Problem(field="--kv-block", message="a cache in one piece has no blocks", hint="--kv-cache paged")


def _counts(request: RunRequest) -> Iterator[Problem]:
    for name, noun in _COUNTED.items():
        value: int | None = getattr(request, name)
        if value is not None and value < 1:
            yield Problem(field=_flag(name), message=f"{value} is not a {noun}: at least 1")


def _skew(request: RunRequest) -> Iterator[Problem]:
    skew = request.routing_skew
    if skew is not None and not (isfinite(skew) and skew >= 0.0):
        hint = "0 (all experts alike) or more, such as 0.8"
        yield Problem(field="--routing-skew", message=f"{skew:g} is no exponent of a skew", hint=hint)


def _choices(request: RunRequest, engines: Collection[str]) -> Iterator[Problem]:
    if request.phase is not None:
        yield from _choice("--phase", request.phase, PHASES)
    if request.dtype is not None:
        yield from _choice("--dtype", request.dtype, DTYPES)
    yield from _choice("--fusion", request.fusion, _values(Fusion))
    if request.orchestration is not None:
        yield from _choice("--orchestration", request.orchestration, _values(Orchestration))
    if request.engine not in engines:
        message = f"there is no engine {request.engine!r} so far"
        yield Problem(field="--engine", message=message, hint=f"available: {', '.join(sorted(engines))}")


def _values(choices: type[StrEnum]) -> tuple[str, ...]:
    return tuple(choice.value for choice in choices)


def _choice(flag: str, value: str, choices: Collection[str]) -> Iterator[Problem]:
    if value not in choices:
        near = get_close_matches(value, choices, n=1)
        hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(choices)}"
        yield Problem(field=flag, message=f"unknown value {value!r}", hint=hint)


def _phase_problems(request: RunRequest, decodes: bool) -> Iterator[Problem]:
    """Token counts that the phase does not have: to ignore them would answer another question."""
    phase = request.phase or (Phase.DECODE.value if decodes else Phase.PREFILL.value)
    if not decodes and phase in (Phase.DECODE, GENERATE):
        message = f"{request.model} is an encoder: it sees all tokens at once and has no decode step"
        yield Problem(field="--phase", message=message, hint="prefill or train")
        return
    if request.output_tokens is not None and phase == Phase.TRAIN:
        yield Problem(field="--output-tokens", message="training makes no tokens", hint="leave the option out")
    if request.output_tokens is not None and phase in (Phase.PREFILL, Phase.DECODE):
        message = f"{phase} makes one token of each sequence"
        yield Problem(field="--output-tokens", message=message, hint="--phase generate makes several")
    if request.context_tokens is not None and phase in (Phase.PREFILL, GENERATE, Phase.TRAIN):
        message = f"{phase} starts without a context"
        yield Problem(field="--context-tokens", message=message, hint="--input-tokens is the length of the prompt")


def _training_problems(request: RunRequest) -> Iterator[Problem]:
    """Options that only training has, and what it does not go with."""
    if request.phase != Phase.TRAIN:
        for name in TRAINING:
            if getattr(request, name) is not None:
                yield Problem(field=_flag(name), message="only training has it", hint="--phase train")
        return
    for name, known in (("optimizer", tuple(OPTIMIZERS)), ("recompute", RECOMPUTE), ("precision", PRECISIONS)):
        if (value := getattr(request, name)) is not None:
            yield from _choice(_flag(name), value, known)
    if request.dtype in DTYPES and request.dtype not in TRAINED_DTYPES:
        message = f"{request.dtype} is too narrow for gradients"
        yield Problem(field="--dtype", message=message, hint=f"one of {', '.join(TRAINED_DTYPES)}")


def _round_problems(request: RunRequest) -> Iterator[Problem]:
    """Micro-batches that an interleaved schedule cannot take, or the batch does not have."""
    ways = parse_parallel(request.parallel)[0] or Parallelism()
    if ways.pp == 1 or request.pipeline_schedule != INTERLEAVED:
        return
    count = request.micro_batches or default_micro_batches(request)
    batch = request.compiled_batch or request.batch or 1
    if count % ways.pp:
        message = f"an interleaved schedule takes pp={ways.pp} micro-batches at a time, which does not divide {count}"
        hint = f"a multiple of {ways.pp}, or --pipeline-schedule 1f1b"
        yield Problem(field="--micro-batches", message=message, hint=hint)
    elif request.micro_batches is None and batch % (ways.dp * count):
        message = f"an interleaved schedule takes pp={ways.pp} micro-batches at a time, which batch {batch} has not"
        hint = f"a multiple of {ways.pp * ways.dp}, or --pipeline-schedule 1f1b"
        yield Problem(field="--batch", message=message, hint=hint)


def _shape_problems(request: RunRequest) -> Iterator[Problem]:
    """Options that a graph with shapes of its own leaves no room for."""
    for name in (
        "phase",
        "batch",
        "input_tokens",
        "output_tokens",
        "context_tokens",
        "dtype",
        "routing_skew",
        "compiled_tokens",
        "compiled_batch",
        "draft",
    ):
        if getattr(request, name) is not None:
            message = f"the shapes and number formats of {request.model} stand in its file"
            yield Problem(field=_flag(name), message=message, hint="leave the option out")


def _pipeline_problems(request: RunRequest) -> Iterator[Problem]:
    """Ways of cutting that the batch, the tokens or the phase do not allow, and options that need a pipeline."""
    ways = parse_parallel(request.parallel)[0] or Parallelism()
    schedule, count = request.pipeline_schedule, max(1, request.micro_batches or 1)
    if schedule is not None:
        yield from _choice("--pipeline-schedule", schedule, tuple(SCHEDULES))
    if ways.pp == 1 and request.parallel != AUTO:
        accumulates = request.phase == Phase.TRAIN  # micro-batches one after the other, their gradients added up
        idle = [
            name
            for name in ("micro_batches", "pipeline_schedule", "pipeline_chunks")
            if getattr(request, name) is not None and not (accumulates and name == "micro_batches")
        ]
        if idle:
            flags = " and ".join(map(_flag, idle))
            yield Problem(field=flags, message="there is no pipeline", hint="--parallel pp=2 makes one")
        count = 1 if "micro_batches" in idle else count
    elif (request.pipeline_chunks or 1) > 1 and schedule != INTERLEAVED:
        message = "only an interleaved schedule has several chunks of layers a stage"
        yield Problem(field="--pipeline-chunks", message=message, hint="--pipeline-schedule interleaved")
    batch = request.compiled_batch or request.batch or 1
    if batch >= 1 and batch % (ways.dp * count):
        said = f"dp={ways.dp} x {count} micro-batches"
        yield Problem(
            field="--parallel", message=f"{said} do not divide batch {batch}", hint="--batch: a multiple of them"
        )
    if ways.sp > 1 and request.phase not in (Phase.PREFILL, Phase.TRAIN):
        message = f"sp={ways.sp} shares out the tokens of a sequence, and a step of decode has one"
        yield Problem(field="--parallel", message=message, hint="--phase prefill, or tp, dp, ep, pp instead of sp")


def _compiled_problems(request: RunRequest) -> Iterator[Problem]:
    """Static shapes smaller than what is to run in them."""
    asked = {
        "--input-tokens": request.input_tokens or 0,
        "--context-tokens": request.context_tokens or 0,
        "--input-tokens and --output-tokens": (request.input_tokens or 0) + (request.output_tokens or 0),
    }
    for flag, tokens in asked.items():
        if request.compiled_tokens is not None and 0 < request.compiled_tokens < tokens:
            message = f"{request.compiled_tokens} tokens are compiled, {flag} need {tokens}"
            yield Problem(field="--compiled-tokens", message=message, hint=f"at least {tokens}")
            break
    if request.compiled_batch is not None and 0 < request.compiled_batch < (request.batch or 1):
        message = f"batch {request.compiled_batch} is compiled, {request.batch} is asked for"
        yield Problem(field="--compiled-batch", message=message, hint=f"at least {request.batch}")


def _draft_problems(request: RunRequest) -> Iterator[Problem]:
    """Speculative decoding needs a draft model, how often it is right, and something to decode."""
    rate = request.acceptance_rate
    if request.draft is None:
        for name in ("draft_length", "acceptance_rate"):
            if getattr(request, name) is not None:
                yield Problem(field=_flag(name), message="there is no draft model", hint="--draft MODEL names one")
    elif request.phase not in (None, Phase.DECODE, GENERATE):
        message = f"{request.phase} has nothing to draft"
        yield Problem(field="--draft", message=message, hint="--phase decode or generate")
    elif rate is None:
        hint = "published rates are 0.6 to 0.9; --acceptance-rate 0.8"
        yield Problem(field="--acceptance-rate", message="how often are drafted tokens accepted?", hint=hint)
    if rate is not None and not 0.0 <= rate <= 1.0:
        yield Problem(field="--acceptance-rate", message=f"{rate:g} is no probability", hint="from 0 to 1")


def _orchestration_problems(request: RunRequest) -> Iterator[Problem]:
    by_host = request.orchestration == Orchestration.HOST.value
    if request.kernel_looping and (by_host or (request.orchestration is None and request.fusion != Fusion.FUSED)):
        message = "sections loop only when hardware starts them"
        yield Problem(field="--kernel-looping", message=message, hint="--orchestration hardware")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
