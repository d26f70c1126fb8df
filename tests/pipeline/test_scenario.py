from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rdusim.errors import ServeError
from rdusim.pipeline.scenario import SCHEDULER_FIELDS, load_scenario
from rdusim.pipeline.scenario_load import PROCESSES, SOURCES, draw_requests
from rdusim.pipeline.scenario_options import coe_settings, experts_of, near_bytes, serve_options
from rdusim.pipeline.scenario_types import Scenario
from rdusim.serve.arrivals import ARRIVALS
from rdusim.serve.coe import Grouping, serve_coe
from rdusim.serve.costs import Constant
from rdusim.serve.expert_cache import POLICIES as CACHES
from rdusim.serve.lengths import LENGTHS
from rdusim.serve.options import check_options
from rdusim.serve.schedulers import SCHEDULERS
from rdusim.serve.slo import Slo
from rdusim.units import Bytes, Seconds, parse

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "experiments/coe").glob("*.yaml"))

SMALLEST = """\
schema: rdusim-scenario/1
experts: [{model: llama-2-7b}]
arrivals: {process: poisson, rate: 2}
lengths: {prompt_tokens: 10, output_tokens: 2}
"""


def load(folder: Path, text: str) -> Scenario:
    path = folder / "scenario.yaml"
    path.write_text(text, encoding="utf-8")
    return load_scenario(path)


def problems(folder: Path, text: str) -> list[str]:
    """What is wrong, as `line field: message (hint)`."""
    with pytest.raises(ServeError) as caught:
        load(folder, text)
    return [f"{each.line} {each.field}: {each.message} ({each.hint})" for each in caught.value.problems]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_scenario_is_read(path: Path) -> None:
    scenario = load_scenario(path)
    assert scenario.name == path.stem
    assert sum(entry.count for entry in scenario.experts) >= 142


def test_every_scheduler_process_and_source_has_its_fields() -> None:
    assert set(SCHEDULER_FIELDS) == {"coe", *SCHEDULERS}
    assert {*PROCESSES, "replay"} == set(ARRIVALS)
    assert set(SOURCES) == set(LENGTHS)


def test_the_smallest_scenario_has_defaults(tmp_path: Path) -> None:
    scenario = load(tmp_path, SMALLEST)
    assert scenario.name == "scenario" and scenario.nodes == 1
    assert scenario.experts[0].names() == ("llama-2-7b",)
    assert scenario.router.model is None and scenario.router.policy == "uniform"
    assert scenario.arrivals is not None and scenario.arrivals.numbers == {"rate": 2.0}
    assert scenario.scheduler.grouping is Grouping.PAIRS
    assert scenario.region.size is None and scenario.kv is None and scenario.slo is None


def test_what_is_given_is_read_in_si(tmp_path: Path) -> None:
    scenario = load(
        tmp_path,
        SMALLEST
        + """\
machine: {arch: gpu/a100, dtype: fp8}
router: {model: llama-3.1-8b, policy: bursts, burst_share: 0.25}
hbm: {experts: 300 GB, cache: gdsf}
kv: {near: rest, far: 1 TiB, admission: reserve}
scheduler: {name: static, batches: [1, 8], timeout: 20 ms}
slo: {ttft: 2 s, tpot: 50 ms, share: 0.9}
price: {per_hour: 40.5, busy_watts: 6500}
network: 100 us
""",
    )
    assert scenario.router.parameters.burst_share == 0.25 and scenario.router.parameters.burst_focus == 0.9
    assert scenario.region.size == 300 * 10**9 and scenario.kv is not None and scenario.kv.far == 1 << 40
    assert scenario.scheduler.batches == (1, 8) and scenario.scheduler.timeout == 0.02
    assert scenario.slo == Slo(limits={"ttft": Seconds(2.0), "tpot": Seconds(0.05)}, share=0.9)
    assert scenario.network == 1e-4 and scenario.prices.busy_watts == 6500.0


def test_everything_wrong_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """\
schema: rdusim-scenario/1
machine: {arch: sn40, sockets: none}
router:
  modle: llama-2-7b
  policy: zipff
  stay: 0.5
experts:
  - {model: llama-2-7, count: 0}
  - {model: llama-2-7b, weights: 10 GB, mutable: 11 GB}
  - {model: llama-2-7b}
hbm: {experts: 64, cache: lruu}
arrivals: {process: gamma, rate: 0}
lengths: {prompt_tokens: 1.5, output_tokens: 2}
scheduler: {name: chunked, overlap: true}
slo: {share: 1.5}
nodes: -1
colour: red
""",
    )
    wanted = [
        ("2 machine.arch", "did you mean sn40l"),
        ("2 machine.sockets", "'none'"),
        ("4 router", "did you mean 'model'"),
        ("5 router.policy", "did you mean 'zipf'"),
        ("6 router.stay", "has no such number"),
        ("8 experts[0].model", "did you mean 'llama-2-7b'"),
        ("8 experts[0].count", "at least 1"),
        ("9 experts[1].mutable", "more bytes are mutable"),
        ("10 experts[2].model", "another 'name'"),
        ("11 hbm.experts", "no unit"),
        ("11 hbm.cache", "did you mean 'lru'"),
        ("12 arrivals.rate", "greater than 0"),
        ("12 arrivals.cv", "missing field"),
        ("13 lengths.prompt_tokens", "plain digits"),
        ("14 scheduler.overlap", "it takes batch, chunk_tokens, patience"),
        ("15 slo.ttft", "without a limit"),
        ("15 slo.share", "from 0 to 1"),
        ("16 nodes", "at least 1"),
        ("17 scenario", "'colour' is not known"),
    ]
    assert len(found) == len(wanted), found
    for place, message in wanted:
        assert any(each.startswith(f"{place}: ") and message in each for each in found), (place, message, found)
    lines = [int(each.split()[0]) for each in found]
    assert lines == sorted(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schema: rdusim-arch/1\n", "the first key is 'schema: rdusim-scenario/1'"),
        ("schema: rdusim-scenario/1\n", "experts: missing field"),
        (SMALLEST + "trace: {file: nowhere.csv}\n", "there is no file"),
        (SMALLEST + "trace: {file: nowhere.csv}\n", "the trace says that already"),
        (SMALLEST + "kv: {near: rest}\n", "cannot be the rest"),
        (SMALLEST + "router: {policy: recorded}\n", "needs a trace"),
        (SMALLEST + "machine: {parallel: xp=2}\n", "'xp=2' is not one of"),
        (SMALLEST + "machine: {set: [socket.clok=1GHz]}\n", "there is no such value"),
        (SMALLEST + "seed: [1, 2\n", "no valid YAML"),
        (SMALLEST.replace("rate: 2", "rate: 2, clients: 4"), "process 'poisson' has no such field"),
        (SMALLEST.replace("poisson, rate: 2", "clients"), "arrivals.folder: missing field"),
        (SMALLEST.replace("poisson, rate: 2", "closed, clients: 2"), "a closed loop does not"),
        (SMALLEST + "nodes: 2\ndispatcher: least_loaded\n", "cannot be dispatched by load"),
        (SMALLEST + "hbm: {cache: belady}\nscheduler: {name: static}\n", "must know all requests in advance"),
        ("[1, 2]", "is not a mapping"),
        ("", "the file is empty"),
    ],
)
def test_wrong_scenarios_say_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    assert any(message in each for each in problems(tmp_path, text)), problems(tmp_path, text)


VALUES = {
    "rate": "2",
    "cv": "1.5",
    "clients": "4",
    "think": "1 s",
    "fixed": "true",
    "folder": str(ROOT / "experiments/traces/servegen"),
    "scale": "1.5",
    "start": "600 s",
    "prompt_tokens": "300",
    "output_tokens": "20",
    "prompt_cv": "0.5",
    "output_cv": "2.0",
    "longest": "4096",
    "file": str(ROOT / "experiments/traces/vidur-arxiv-lengths.csv"),
    "shuffled": "true",
}


@pytest.mark.parametrize("process", sorted(PROCESSES))
@pytest.mark.parametrize("source", sorted(SOURCES))
def test_every_process_and_source_gives_requests_that_the_seed_decides(
    tmp_path: Path, process: str, source: str
) -> None:
    if source == "by_client" and process != "clients":
        return
    fields = [f"{name}: {VALUES[name]}" for group in PROCESSES[process] for name in group]
    lengths = [f"{name}: {VALUES[name]}" for group in SOURCES[source] for name in group]
    scenario = load(
        tmp_path,
        f"""\
schema: rdusim-scenario/1
experts: [{{model: llama-2-7b, count: 3}}]
router: {{policy: markov}}
arrivals: {{{", ".join([f"process: {process}", "requests: 50", *fields])}}}
lengths: {{{", ".join([f"source: {source}", *lengths])}}}
scheduler: {{name: continuous}}
seed: 5
""",
    )
    (first, think), (second, _) = draw_requests(scenario), draw_requests(scenario)
    assert len(first) == 50 and (first.arrival == second.arrival).all() and (first.expert == second.expert).all()
    assert (first.prompt_tokens >= 1).all() and (first.expert < 3).all()
    assert (think is not None) == (process == "closed")


def test_a_trace_is_replayed_at_its_speed_and_by_its_column(tmp_path: Path) -> None:
    text = "arrival_s,prompt_tokens,output_tokens,expert\n1,10,5,chat-1\n3,20,6,other\n"
    (tmp_path / "trace.csv").write_text(text, encoding="utf-8")
    scenario = """\
schema: rdusim-scenario/1
experts: [{model: llama-2-7b, name: chat, count: 2}, {model: llama-2-7b, name: other}]
trace: {file: trace.csv, speed: 2}
"""
    requests, _ = draw_requests(load(tmp_path, scenario))
    assert requests.expert.tolist() == [1, 2] and requests.arrival.tolist() == [0.0, 1.0]
    (tmp_path / "trace.csv").write_text("arrival_s,prompt_tokens,output_tokens\n1,10,5\n", encoding="utf-8")
    with pytest.raises(ServeError, match="does not say which expert"):
        draw_requests(load(tmp_path, scenario))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_scenario_can_be_served_on_constant_costs(path: Path) -> None:
    scenario = load_scenario(path)
    load = scenario.arrivals or scenario.trace
    assert load is not None
    short = replace(
        scenario,
        arrivals=scenario.arrivals and replace(scenario.arrivals, requests=200),
        trace=scenario.trace and replace(scenario.trace, requests=200),
    )
    requests, think = draw_requests(short)
    assert think is None and len(requests) == 200
    sizes = {"llama-3.1-70b": Bytes(141 * 10**9)}
    experts = experts_of(short, lambda model: sizes.get(model, Bytes(13_500_000_000)))
    region, kv = near_bytes(short, parse("512 GiB", "size"), Bytes(13_500_000_000))
    assert kv >= parse("32 GiB", "size")
    result = serve_coe(
        requests,
        experts,
        Constant(prefill_seconds=2e-3, decode_seconds=1.5e-3, weight_bytes=13_500_000_000, memory=14e12),
        capacity=region,
        policy=CACHES[short.region.cache],
        settings=coe_settings(short),
    )
    assert not np.isnan(result.served.finish).any()
    assert result.hits + result.misses > 0


def test_what_the_nearest_tier_cannot_hold_is_refused(tmp_path: Path) -> None:
    scenario = load(tmp_path, SMALLEST + "kv: {near: 40 GiB}\n")
    assert near_bytes(scenario, parse("64 GiB", "size"), parse("14 GiB", "size")) == (10 << 30, 40 << 30)
    with pytest.raises(ServeError, match=r"has 48 GiB; the router 14 GiB, KV 40 GiB leave nothing"):
        near_bytes(scenario, parse("48 GiB", "size"), parse("14 GiB", "size"))


def test_the_other_schedulers_take_what_the_scenario_says(tmp_path: Path) -> None:
    text = SMALLEST + "scheduler: {name: chunked, batch: 32, chunk_tokens: 256}\nnodes: 3\ndispatcher: hash\n"
    options = serve_options(load(tmp_path, text), None)
    check_options(options)
    assert (options.scheduler, options.max_batch, options.chunk_tokens) == ("chunked", 32, 256)
    assert (options.nodes, options.dispatcher) == (3, "hash")
