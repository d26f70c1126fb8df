"""A request of `rdusim run` whose machine is a GPU: the same question, kernel by kernel (baselines/gpu)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final

from rdusim.arch.source import Scalar, read_table
from rdusim.baselines.gpu.load import FOLDER, SCHEMA, gpu_names, load_gpu
from rdusim.baselines.gpu.timing import gpu_generation, gpu_report
from rdusim.baselines.gpu.types import Fusion as Kernels
from rdusim.baselines.gpu.types import GpuMachine
from rdusim.errors import OptionError, Problem
from rdusim.graph.load import load_graph
from rdusim.graph.types import Phase, RunShape
from rdusim.pipeline.request import GENERATE, Plan, RunRequest, option_problems, parse_parallel, resolve
from rdusim.pipeline.stages import phases_and_abilities
from rdusim.program.shard import divisors_that_fit
from rdusim.program.types import Fusion, Parallelism
from rdusim.report.comparison import Part
from rdusim.report.gpu import parts_of_gpus, report_of_gpus
from rdusim.report.summarize import main_dtype
from rdusim.report.types import FORWARD, KERNELS, Report, Setting

# What is said of an RDU's program, memory or simulation, and means nothing to a GPU.
_OF_AN_RDU: Final = (
    "parallel",
    "micro_batches",
    "pipeline_schedule",
    "pipeline_chunks",
    "compiled_tokens",
    "compiled_batch",
    "routing_skew",
    "cut_after",
    "orchestration",
    "kernel_looping",
    "engine",
    "kv_cache",
    "kv_block",
    "spill",
    "memory_hints",
)


@dataclass(frozen=True, slots=True)
class GpuRun:
    report: Report
    parts: tuple[Part, ...]


def is_gpu(arch: str) -> bool:
    """Whether a machine is a GPU: a shipped one by name (`gpu/h100`, `h100`), or a file that says so."""
    if arch.removeprefix(f"{FOLDER}/") in gpu_names():
        return True
    path = Path(arch)
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return arch.startswith(f"{FOLDER}/")
    schema = read_table(path.read_text(encoding="utf-8-sig", errors="replace"), arch)[0].items.get("schema")
    return isinstance(schema, Scalar) and schema.text == SCHEMA


@dataclass(frozen=True, slots=True, kw_only=True)
class OnGpus:
    """A request with every default filled in. `kernels`: FUSED, what inference engines fuse, or EAGER."""

    model: str
    machine: GpuMachine
    plan: Plan
    gpus: int
    kernels: Kernels

    def shape(self) -> RunShape:
        """Of the one step that is asked for; of a generation, of its prefill."""
        if self.plan.prompt is not None:
            return self.plan.prefill()
        if self.plan.context is not None:
            return self.plan.decode(self.plan.context)
        return RunShape(phase=Phase.PREFILL, batch=1, query_tokens=1, context_tokens=1)


def resolve_on_gpus(request: RunRequest) -> OnGpus:
    """What is meant by a request whose `arch` is a GPU. Raises RdusimError with what is wrong with it.

    The node's GPUs are the sockets: all of them that divide the model, unless said; they cut it by tensor parallelism.
    """
    phases, able = phases_and_abilities(request.model)
    problems = []
    if request.phase == Phase.TRAIN:
        hint = "--phase prefill, decode or generate"
        problems.append(Problem(field="--phase", message="GPU baselines know no training", hint=hint))
    if request.draft is not None:
        hint = "leave --draft out"
        problems.append(Problem(field="--draft", message="GPU baselines know no speculative decoding", hint=hint))
    plain = _plain(request)
    problems = problems or option_problems(plain, phases=phases, decodes=able.decodes, engines=(plain.engine,))
    if problems:
        raise OptionError(*problems)
    machine = load_gpu(request.arch, request.overrides)
    plan = resolve(plain, phases=phases, decodes=able.decodes, positions=able.positions)
    kernels = Kernels.FUSED if plan.fusion is Fusion.FUSED else Kernels.EAGER
    found = OnGpus(model=request.model, machine=machine, plan=plan, gpus=1, kernels=kernels)
    ways = parse_parallel(request.parallel)[0]
    offered = request.sockets or machine.node.gpus
    gpus = ways.sockets if ways else next(divisors_that_fit(load_graph(request.model, found.shape()), offered))
    return replace(found, gpus=gpus)


def run_on_gpus(request: RunRequest) -> GpuRun:
    """The answer, as a run of an RDU has it. Raises RdusimError as `run` does."""
    asked = resolve_on_gpus(request)
    plan, machine, gpus = asked.plan, asked.machine, asked.gpus
    graph = load_graph(asked.model, asked.shape())
    found, first = gpu_report(asked.model, asked.shape(), machine, gpus=gpus, kernels=asked.kernels), None
    if plan.phase == GENERATE:
        assert plan.prompt is not None and plan.output is not None, "resolved"
        first = found.total_seconds
        found = gpu_generation(
            asked.model,
            machine,
            input_tokens=plan.prompt,
            output_tokens=plan.output,
            batch=plan.batch,
            gpus=gpus,
            kernels=asked.kernels,
            dtype=plan.dtype,
        )
    setting = Setting(
        model=graph.name,
        arch=machine.name,
        sockets=request.sockets or machine.node.gpus,
        sockets_used=gpus,
        phase=plan.phase,
        batch=graph.batch,
        engine=KERNELS,
        dtype=main_dtype(graph) if plan.phase == FORWARD and plan.prompt is None else plan.dtype,
        parallelism={axis.name: gpus if axis.name == "tp" else 1 for axis in fields(Parallelism)},
        fusion=plan.fusion.value,
        input_tokens=plan.prompt,
        output_tokens=plan.output,
        context_tokens=plan.context,
    )
    tokens = {Phase.PREFILL.value: plan.prompt, GENERATE: plan.output, FORWARD: plan.prompt}.get(plan.phase, 1)
    report = report_of_gpus(
        found,
        machine,
        setting,
        tokens=None if tokens is None else float(plan.batch * tokens),
        first=first,
        notes=tuple(_notes(request, gpus, machine.node.gpus)),
    )
    return GpuRun(report, parts_of_gpus(found))


def _plain(request: RunRequest) -> RunRequest:
    """The request without what means nothing to a GPU."""
    kept = {field.name for field in fields(RunRequest)} - {*_OF_AN_RDU}
    return RunRequest(**{name: getattr(request, name) for name in kept})


def _notes(request: RunRequest, gpus: int, there: int) -> Iterator[str]:
    """What of the request was left out, and idle GPUs."""
    said = [
        "--" + field.name.replace("_", "-")
        for field in fields(RunRequest)
        if field.name in _OF_AN_RDU and field.name != "parallel" and getattr(request, field.name) != field.default
    ]
    if said:
        yield f"without {', '.join(said)}: {'they mean' if len(said) > 1 else 'it means'} nothing to a GPU"
    ways = parse_parallel(request.parallel)[0]
    if ways is not None and ways.tp != ways.sockets:
        yield f"{gpus} GPUs cut the model by tensor parallelism alone"
    if idle := (request.sockets or there) - gpus:
        yield f"tp={gpus}: {idle} of {gpus + idle} GPUs idle"
