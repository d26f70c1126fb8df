"""Scenarios from YAML: what `rdusim serve` simulates, read strictly. The format: experiments/coe/README.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final, cast

from rdusim.arch.load import load_arch
from rdusim.baselines.gpu.load import FOLDER, load_gpu
from rdusim.errors import GraphError, RdusimError, ServeError
from rdusim.graph.load import locate
from rdusim.graph.readers.document import Document
from rdusim.pipeline.request import DTYPES, parse_parallel
from rdusim.pipeline.scenario_group import Group
from rdusim.pipeline.scenario_load import read_load
from rdusim.pipeline.scenario_types import (
    ExpertEntry,
    ExpertRegion,
    KvEntry,
    Machine,
    RouterModel,
    Scenario,
    SchedulerEntry,
    TraceEntry,
)
from rdusim.serve.coe import Grouping
from rdusim.serve.dispatch import DISPATCHERS
from rdusim.serve.expert_cache import POLICIES as CACHES
from rdusim.serve.kv_cache import Admission
from rdusim.serve.metrics import Prices
from rdusim.serve.router import POLICIES as ROUTERS
from rdusim.serve.router import RouterParameters
from rdusim.serve.schedulers import SCHEDULERS
from rdusim.serve.slo import LIMITS, Slo
from rdusim.shipped import names
from rdusim.units import Bytes, Seconds

SCHEMA: Final = "rdusim-scenario/1"
COE: Final = "coe"  # the scheduler that serves batches of the composition
HOMES: Final = ("ddr", "host")
_SUFFIXES: Final = (".yaml", ".yml")
_MOST_EXPERTS: Final = 1_000_000

# Field of the scheduler -> whose it is.
SCHEDULER_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    COE: ("batch", "grouping", "overlap", "patience"),
    "static": ("batch", "batches", "prompts", "timeout", "patience"),
    "continuous": ("batch", "decode_first", "prefill_tokens", "patience"),
    "chunked": ("batch", "chunk_tokens", "patience"),
}
# Number of a router policy -> least and most.
_BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    "exponent": (0.0, 10.0),
    "stay": (0.0, 1.0),
    "burst_requests": (1.0, 1e9),
    "burst_share": (0.0, 1.0),
    "burst_focus": (0.0, 1.0),
}


def load_scenario(path: str | Path, changes: Iterable[tuple[str, str]] = ()) -> Scenario:
    """The scenario of a file. Models and machines are looked up, traces only found: reading them is their reader's.

    `changes`: paths such as `scheduler.batch`, and the text that stands there instead.

    Raises ServeError with every problem of the file at once.
    """
    path = Path(path)
    try:
        document = Document(path)
        for field, text in changes:
            document.put(field, text)
        top = Group(document, document.root, "", ("schema", *_names(Scenario, but=("file",), plus=("hbm", "price"))))
        scenario = _read(top, path)
        document.check()
    except GraphError as error:  # what the reader of documents raises, whatever the document
        raise ServeError(*error.problems) from error
    return scenario


def _names(cls: type, *, but: Iterable[str] = (), plus: Iterable[str] = ()) -> tuple[str, ...]:
    left_out = {*but, *(("region", "prices") if cls is Scenario else ())}
    return (*(field.name for field in fields(cls) if field.name not in left_out), *plus)


def _read(top: Group, path: Path) -> Scenario:
    if (schema := top.text("schema")) != SCHEMA:
        top.wrong("schema", f"{schema!r} is not a schema", f"the first key is 'schema: {SCHEMA}'")
        top.document.check()
    top.need("experts")
    scheduler = _scheduler(top)
    region, kv = _region(top), _kv(top, scheduler.name)
    if kv is not None and kv.near is None and region.size is None:
        top.group("kv", _names(KvEntry)).wrong(
            "near", "cannot be the rest: so is hbm.experts", "give one of them a size"
        )
    trace, arrivals, lengths = read_load(top, path.parent)
    scenario = Scenario(
        name=top.identifier("name", path.stem),
        about=top.text("about"),
        file=path,
        machine=_machine(top, path.parent),
        nodes=top.whole("nodes", 1),
        dispatcher=top.word("dispatcher", DISPATCHERS, "affinity"),
        network=top.time("network", Seconds(0.0)),
        router=_router(top, trace),
        experts=_experts(top),
        region=region,
        kv=kv,
        arrivals=arrivals,
        lengths=lengths,
        trace=trace,
        scheduler=scheduler,
        slo=_slo(top),
        prices=_prices(top),
        seed=top.whole("seed", 0, least=0),
    )
    _check_together(top, scenario)
    return scenario


def _check_together(top: Group, scenario: Scenario) -> None:
    """What is right alone and does not go together."""
    if scenario.scheduler.name == COE:
        if scenario.arrivals is not None and scenario.arrivals.process == "closed":
            hint = f"an open process, or scheduler {', '.join(SCHEDULERS)}"
            top.wrong("arrivals", "scheduler 'coe' knows all arrivals in advance, a closed loop does not", hint)
        if scenario.nodes > 1 and DISPATCHERS[scenario.dispatcher].assign is None:
            known = [name for name, dispatcher in DISPATCHERS.items() if dispatcher.assign is not None]
            message = f"scheduler 'coe' cannot be dispatched by load, as {scenario.dispatcher!r} does"
            top.wrong("dispatcher", message, f"one of {', '.join(known)}, or another scheduler")
    elif CACHES[scenario.region.cache].clairvoyant:
        hint = "scheduler 'coe', or cache queue_aware"
        top.wrong("hbm", f"cache {scenario.region.cache!r} must know all requests in advance", hint)


def _machine(top: Group, folder: Path) -> Machine:
    group = top.group("machine", ("arch", "sockets", "set", "parallel", "dtype", "kernel_looping"))
    arch, overrides = group.text("arch", "sn40l"), group.texts("set")
    load: Callable[[str, Iterable[str]], object] = load_gpu if arch.startswith(f"{FOLDER}/") else load_arch
    if arch.endswith(_SUFFIXES):
        arch = str(folder / arch)
    try:
        load(arch, overrides)
    except RdusimError as error:
        for problem in error.problems:
            group.wrong("set" if "--set" in str(problem.file) else "arch", str(problem))
    for problem in parse_parallel(group.text("parallel") or None)[1]:
        group.wrong("parallel", problem.message, problem.hint)
    return Machine(
        arch=arch,
        sockets=cast("int | None", group.whole("sockets", None)),
        overrides=overrides,
        parallel=group.text("parallel") or None,
        dtype=group.word("dtype", DTYPES, "bf16"),
        kernel_looping=group.flag("kernel_looping"),
    )


def _router(top: Group, trace: TraceEntry | None) -> RouterModel:
    group = top.group("router", ("model", "output_tokens", "policy", *_BOUNDS))
    policy = group.word("policy", ROUTERS, "recorded" if trace is not None else "uniform")
    if policy == "recorded" and trace is None:
        group.wrong("policy", "'recorded' needs a trace that names experts", "add 'trace:', or choose another policy")
    given: dict[str, Any] = {}
    for name, (least, most) in _BOUNDS.items():
        if name not in group:
            continue
        if name not in (uses := ROUTERS[policy].uses):
            group.wrong(name, f"policy {policy!r} has no such number", f"it takes {', '.join(uses) or 'none'}")
        elif (number := group.number(name, None, least=least, most=most)) is not None:
            given[name] = number
    return RouterModel(
        model=_model(group, top, "model") if "model" in group else None,
        output_tokens=group.whole("output_tokens", 1),
        policy=policy,
        parameters=replace(RouterParameters(), **given),
    )


def _model(group: Group, top: Group, key: str) -> str:
    """A shipped model, or a file or folder beside the scenario."""
    name = group.text(key)
    beside = Path(top.document.file).parent / name
    found = name if name in names("graphs") or not beside.exists() else str(beside)
    try:
        locate(found)
    except GraphError as error:
        for problem in error.problems:
            group.wrong(key, problem.message, problem.hint)
    return found


def _experts(top: Group) -> tuple[ExpertEntry, ...]:
    entries: list[ExpertEntry] = []
    met: set[str] = set()
    for place, node in enumerate(top.document.sequence(top.items.get("experts"), "experts")):
        allowed = ("model", "name", "count", "weights", "mutable", "home", "pinned")
        group = Group(top.document, node, f"experts[{place}]", allowed)
        group.need("model")
        model = _model(group, top, "model") if "model" in group else ""
        entry = ExpertEntry(
            model=model,
            name=group.identifier("name", Path(model).name),
            count=group.whole("count", 1),
            weights=cast("Bytes | None", group.size("weights", None)),
            mutable=group.size("mutable", Bytes(0)),
            home=group.word("home", HOMES, "ddr"),
            pinned=group.flag("pinned"),
        )
        _check_entry(group, entry, met)
        entries.append(entry)
    if "experts" in top and not entries and not top.document.problems:
        top.wrong("experts", "no experts are listed", "such as '- {model: llama-2-7b, count: 150}'")
    if sum(entry.count for entry in entries) > _MOST_EXPERTS:
        top.wrong("experts", f"more than {_MOST_EXPERTS:,} experts are listed")
        return ()
    return tuple(entries)


def _check_entry(group: Group, entry: ExpertEntry, met: set[str]) -> None:
    """Names are unique, and what is mutable is a part of the weights."""
    if entry.weights is not None and entry.mutable > entry.weights:
        group.wrong("mutable", "more bytes are mutable than the expert has", "it is a part of 'weights'")
    if entry.name in met:
        group.wrong(
            "name" if "name" in group else "model",
            f"there are experts {entry.name!r} already",
            "give them another 'name'",
        )
    met.add(entry.name)


def _region(top: Group) -> ExpertRegion:
    group = top.group("hbm", ("experts", "cache", "warm"))
    return ExpertRegion(
        size=cast("Bytes | None", group.size("experts", None, rest=True)),
        cache=group.word("cache", CACHES, "lru"),
        warm=group.flag("warm"),
    )


def _kv(top: Group, scheduler: str) -> KvEntry | None:
    if "kv" not in top:
        return None
    group = top.group("kv", _names(KvEntry))
    for key in ("far", "block_tokens", "admission"):
        if scheduler == COE and key in group:
            hint = f"leave it out, or scheduler {', '.join(SCHEDULERS)}"
            group.wrong(key, "scheduler 'coe' keeps the KV cache of what runs at once in the nearest tier", hint)
    return KvEntry(
        near=cast("Bytes | None", group.size("near", None, rest=True)),
        far=group.size("far", Bytes(0)),
        block_tokens=group.whole("block_tokens", 16),
        admission=Admission(group.word("admission", list(Admission), Admission.GROW)),
    )


def _scheduler(top: Group) -> SchedulerEntry:
    group = top.group("scheduler", _names(SchedulerEntry))
    name = group.word("name", (COE, *SCHEDULERS), COE)
    takes = SCHEDULER_FIELDS[name]
    for key in group.items:
        if key != "name" and key not in takes:
            group.wrong(key, f"scheduler {name!r} has no such field", f"it takes {', '.join(takes)}")
    plain = SchedulerEntry()
    return SchedulerEntry(
        name=name,
        batch=group.whole("batch", plain.batch),
        grouping=Grouping(group.word("grouping", list(Grouping), plain.grouping)),
        overlap=group.flag("overlap"),
        patience=group.time("patience", plain.patience),
        timeout=group.time("timeout", plain.timeout),
        decode_first=group.flag("decode_first"),
        prefill_tokens=group.whole("prefill_tokens", plain.prefill_tokens),
        chunk_tokens=group.whole("chunk_tokens", plain.chunk_tokens),
        batches=group.wholes("batches"),
        prompts=group.wholes("prompts"),
    )


def _slo(top: Group) -> Slo | None:
    if "slo" not in top:
        return None
    group = top.group("slo", (*LIMITS, "share"))
    limits: dict[str, Seconds] = {}
    for name in LIMITS:
        if (limit := group.time(name, None)) is not None:
            limits[name] = limit
            if limit == 0.0:
                group.wrong(name, "a limit of 0 s can never be kept")
    if not any(name in group for name in LIMITS):
        group.wrong(LIMITS[0], "an SLO without a limit", f"give one of {', '.join(LIMITS)}")
    return Slo(limits=limits, share=group.number("share", 0.99, above=0.0, most=1.0))


def _prices(top: Group) -> Prices:
    group = top.group("price", ("per_hour", "busy_watts", "idle_watts"))
    hour, busy, idle = (group.number(name, None, above=0.0) for name in ("per_hour", "busy_watts", "idle_watts"))
    return Prices(node_hour=hour, busy_watts=busy, idle_watts=idle)
