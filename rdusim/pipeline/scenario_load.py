"""The load of a scenario: a trace to replay, or arrivals and lengths; and the requests that come of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from rdusim.errors import Problem, ServeError
from rdusim.pipeline.scenario_group import Group
from rdusim.pipeline.scenario_types import ArrivalEntry, LengthEntry, Scenario, TraceEntry
from rdusim.serve import arrivals as arrival_processes
from rdusim.serve import lengths as length_sources
from rdusim.serve.client_traces import read_clients
from rdusim.serve.lengths.by_client import Period
from rdusim.serve.requests import make_requests
from rdusim.serve.router import POLICIES
from rdusim.serve.traces import read_lengths, read_trace
from rdusim.serve.types import Requests
from rdusim.units import Seconds, show

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Process -> the numbers that it must have, and those that it may. Replay is `trace:`.
PROCESSES: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "poisson": (("rate",), ()),
    "deterministic": (("rate",), ()),
    "gamma": (("rate", "cv"), ()),
    "closed": (("clients",), ("think", "fixed")),
    "clients": (("folder",), ("scale", "start")),
}
SOURCES: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "fixed": (("prompt_tokens", "output_tokens"), ()),
    "lognormal": (("prompt_tokens", "output_tokens"), ("prompt_cv", "output_cv", "longest")),
    "recorded": (("file",), ("shuffled",)),
    "by_client": ((), ()),
}
_MOST_REQUESTS: Final = 20_000_000
_REQUEST_BYTES: Final = 600  # about what one takes in memory while it is served: 1 million requests take 0.6 GB
_MOST_TOKENS: Final = 10_000_000  # of one prompt or answer
_BESIDE: Final = "paths are relative to the scenario's folder"


def read_load(top: Group, folder: Path) -> tuple[TraceEntry | None, ArrivalEntry | None, LengthEntry | None]:
    """What the scenario says of its load; problems are noted."""
    if "trace" in top:
        for key in ("arrivals", "lengths"):
            if key in top:
                top.wrong(key, "the trace says that already", "leave out 'trace' or this")
        return _trace(top, folder), None, None
    for key in ("arrivals", "lengths"):
        if key not in top:
            top.wrong(key, "missing field", "or give a 'trace'")
    arrivals, lengths = _arrivals(top, folder), _lengths(top, folder)
    if lengths.source == "by_client" and arrivals.process != "clients":
        top.group("lengths", _known(SOURCES, "source")).wrong(
            "source", "'by_client' needs arrivals of process 'clients'"
        )
    return None, arrivals, lengths


def draw_requests(scenario: Scenario, seed: int | None = None) -> tuple[Requests, NDArray[np.float64] | None]:
    """The requests, routed to experts, and, of a closed loop, the seconds that clients think before each.

    Arrivals, lengths, routing and thinking have streams of random numbers of their own: another router policy leaves
    the arrivals as they are. Raises an RdusimError for traces and numbers that make no sense.
    """
    seeds = np.random.SeedSequence(scenario.seed if seed is None else seed).spawn(3)
    coming, routing, pausing = (np.random.default_rng(each) for each in seeds)
    names = tuple(name for entry in scenario.experts for name in entry.names())
    think = None
    if scenario.trace is not None:
        requests = read_trace(scenario.trace.file, names, scenario.trace.requests)
        requests = replace(requests, arrival=requests.arrival / scenario.trace.speed)
        _check_recorded(scenario)
    else:
        assert scenario.arrivals is not None and scenario.lengths is not None
        process, lengths = _process(scenario.arrivals, scenario.lengths)
        requests = make_requests(process, lengths, scenario.arrivals.requests, coming)
        if isinstance(process, arrival_processes.Closed):
            think = process.thinking(pausing, len(requests))
    parameters = replace(scenario.router.parameters, client=requests.client, recorded=requests.expert)
    choose = POLICIES[scenario.router.policy].choose
    return replace(requests, expert=choose(len(requests), len(names), routing, parameters)), think


def _check_recorded(scenario: Scenario) -> None:
    """A recorded choice needs its column: a trace without one says 0 for every request."""
    assert scenario.trace is not None
    if scenario.router.policy != "recorded" or sum(entry.count for entry in scenario.experts) == 1:
        return
    with scenario.trace.file.open(encoding="utf-8") as lines:
        if "expert" not in lines.readline():
            hint = "add a column 'expert', or route by uniform, zipf, markov or bursts"
            message = "the trace does not say which expert a request went to"
            raise ServeError(Problem(message=message, file=str(scenario.trace.file), line=1, hint=hint))


def _process(arrivals: ArrivalEntry, lengths: LengthEntry) -> tuple[arrival_processes.Arrivals, length_sources.Lengths]:
    numbers = dict(arrivals.numbers)
    clients = read_clients(arrivals.folder) if arrivals.folder is not None else None
    process: arrival_processes.Arrivals
    match arrivals.process:
        case "clients":
            assert clients is not None
            process = arrival_processes.Clients(clients=clients[0], **numbers)
        case "closed":
            fixed, number = bool(numbers.get("fixed")), int(numbers["clients"])
            process = arrival_processes.Closed(clients=number, think=Seconds(numbers.get("think", 0.0)), fixed=fixed)
        case "gamma":
            process = arrival_processes.Gamma(**numbers)
        case "deterministic":
            process = arrival_processes.Deterministic(**numbers)
        case _:
            process = arrival_processes.Poisson(**numbers)
    return process, _source(lengths, numbers.get("start", 0.0), clients)


def _source(
    lengths: LengthEntry, start: float, clients: tuple[object, tuple[tuple[Period, ...], ...]] | None
) -> length_sources.Lengths:
    numbers = lengths.numbers
    if lengths.source == "by_client":
        assert clients is not None
        return length_sources.ByClient(periods=clients[1], start=start)
    if lengths.file is not None:
        prompt, output = read_lengths(lengths.file)
        return length_sources.Recorded(prompt=prompt, output=output, shuffled=lengths.shuffled)
    mean = {"prompt": numbers["prompt_tokens"], "output": numbers["output_tokens"]}
    if lengths.source == "lognormal":
        plain = length_sources.LogNormal(prompt=mean["prompt"], output=mean["output"])
        return replace(
            plain,
            prompt_cv=numbers.get("prompt_cv", plain.prompt_cv),
            output_cv=numbers.get("output_cv", plain.output_cv),
            longest=int(numbers.get("longest", plain.longest)),
        )
    return length_sources.Fixed(prompt=int(mean["prompt"]), output=int(mean["output"]))


def _known(table: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]], *more: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*more, *(name for must, may in table.values() for name in (*must, *may)))))


def _trace(top: Group, folder: Path) -> TraceEntry:
    group = top.group("trace", ("file", "requests", "speed"))
    group.need("file")
    return TraceEntry(
        file=_file(group, folder) or folder,
        requests=_requests(group, None),
        speed=group.number("speed", 1.0, above=0.0),
    )


def _requests(group: Group, default: int | None) -> int | None:
    """How many requests; all of them are in memory at once."""
    count = group.whole("requests", default)
    if count is not None and count > _MOST_REQUESTS:
        message = f"{count:,} requests would take about {show(_REQUEST_BYTES * count, 'size')} of memory"
        group.wrong("requests", message, f"at most {_MOST_REQUESTS:,}")
        return default
    return count


def _file(group: Group, folder: Path) -> Path | None:
    if "file" not in group:
        return None
    path = folder / group.text("file")
    if not path.is_file():
        group.wrong("file", f"there is no file {str(path)!r}", _BESIDE)
    return path


def _fitting(group: Group, kind: str, name: str, table: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]) -> None:
    """Fields that this process or source must have, and those that it may: nothing else."""
    must, may = table[name]
    for key in _known(table):
        if key in group and key not in (*must, *may):
            group.wrong(key, f"{kind} {name!r} has no such field", f"it takes {', '.join((*must, *may)) or 'none'}")
    if group.node is not None:
        group.need(*must)


def _arrivals(top: Group, folder: Path) -> ArrivalEntry:
    group = top.group("arrivals", _known(PROCESSES, "process", "requests"))
    process = group.word("process", PROCESSES, "poisson")
    _fitting(group, "process", process, PROCESSES)
    given: dict[str, float] = {
        name: group.number(name, 1.0, above=0.0) for name in ("rate", "cv", "scale") if name in group
    }
    given |= {name: group.time(name, 0.0) for name in ("think", "start") if name in group}
    if "clients" in group:
        given["clients"] = group.whole("clients", 1)
    if "fixed" in group:
        given["fixed"] = group.flag("fixed")
    path = folder / group.text("folder") if "folder" in group else None
    if path is not None and not path.is_dir():
        group.wrong("folder", f"there is no folder {str(path)!r}", _BESIDE)
    return ArrivalEntry(process=process, requests=_requests(group, 1000) or 1, numbers=given, folder=path)


def _lengths(top: Group, folder: Path) -> LengthEntry:
    group = top.group("lengths", _known(SOURCES, "source"))
    source = group.word("source", SOURCES, "recorded" if "file" in group else "fixed")
    _fitting(group, "source", source, SOURCES)
    whole = ("longest",) if source == "lognormal" else ("prompt_tokens", "output_tokens")
    given: dict[str, float] = {name: group.whole(name, 1) for name in whole if name in group}
    for name in ("prompt_tokens", "output_tokens", "prompt_cv", "output_cv"):
        if name in group and name not in given:
            given[name] = group.number(name, 1.0, above=0.0)
    for name in ("prompt_tokens", "output_tokens", "longest"):
        if given.get(name, 1) > _MOST_TOKENS:
            group.wrong(name, f"{given[name]:,.0f} tokens are beyond any model", f"at most {_MOST_TOKENS:,}")
    return LengthEntry(source=source, numbers=given, file=_file(group, folder), shuffled=group.flag("shuffled"))
