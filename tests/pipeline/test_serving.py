"""From a scenario to a report: what is conserved, what machines say, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from math import isclose, isnan
from pathlib import Path

import numpy as np
import pytest

from rdusim.arch.load import load_arch
from rdusim.errors import RdusimError
from rdusim.pipeline.cost_tables import Span, few_points
from rdusim.pipeline.model_sizes import kv_bytes_per_token, weight_bytes
from rdusim.pipeline.rdu_costs import RduCosts
from rdusim.pipeline.request import RunRequest
from rdusim.pipeline.scenario import load_scenario
from rdusim.pipeline.serving import simulate_serving
from rdusim.pipeline.step_store import StepStore
from rdusim.report.export import json_text
from rdusim.report.serving import ServeReport, as_json
from rdusim.report.serving_timeline import serving_timeline
from rdusim.serve.costs import Constant
from rdusim.serve.slo import parse_slo
from rdusim.serve.types import Cause
from rdusim.timing.dram import efficiency
from rdusim.units import Bytes

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "experiments/coe").glob("*.yaml"))
BASE = """
schema: rdusim-scenario/1
machine: {arch: gpu/h100}
router: {model: llama-2-7b, policy: zipf}
experts:
  - {model: llama-2-7b, count: 60, home: host}
kv: {near: 32 GiB}
arrivals: {process: poisson, rate: 2, requests: 200}
lengths: {prompt_tokens: 128, output_tokens: 20}
scheduler: {name: coe, batch: 4}
price: {per_hour: 98, busy_watts: 10000, idle_watts: 5000}
seed: 3
"""


@pytest.fixture(autouse=True)
def _no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RDUSIM_CACHE", "")


def serve(folder: Path, text: str = BASE, **options: object) -> ServeReport:
    file = folder / "scenario.yaml"
    file.write_text(text)
    return simulate_serving(load_scenario(file), **options)  # type: ignore[arg-type]


def test_requests_tokens_and_bytes_are_conserved(tmp_path: Path) -> None:
    report = serve(tmp_path)
    metrics, cache, served = report.metrics, report.cache, report.result.served
    assert (metrics.requests, metrics.finished, metrics.rejected) == (200, 200, 0)
    assert metrics.output_tokens == 200 * 20
    assert cache.moved_bytes == cache.misses * weight_bytes("llama-2-7b")
    # Experts are of one size and the region starts empty: what came in and was not put out is there at the end.
    resident = int(report.result.occupancy.resident[-1])
    assert cache.misses - cache.evictions == resident == report.memory.resident_experts < 60
    assert cache.hits + cache.misses == 200  # pairs: one activation a request
    assert report.result.occupancy.kv_near_bytes.max() == (128 + 20) * kv_bytes_per_token("llama-2-7b")
    assert np.all(served.first_token <= served.finish)
    latency = served.finish - served.requests.arrival
    assert np.allclose(served.causes.sum(axis=1), latency)
    assert isclose(sum(metrics.causes.values()), 1.0)
    assert metrics.causes[Cause.SWITCH.name.lower()] > 0
    assert metrics.price_per_million_tokens is not None and metrics.joules_per_token is not None


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    one, two, three = (json_text(as_json(serve(tmp_path, seed=seed))) for seed in (5, 5, 6))
    assert one == two != three


@pytest.mark.parametrize("scheduler", ["continuous", "chunked", "static"])
def test_other_schedulers_serve_the_same_requests(tmp_path: Path, scheduler: str) -> None:
    report, coe = serve(tmp_path, BASE.replace("name: coe", f"name: {scheduler}")), serve(tmp_path)
    for column in ("arrival", "prompt_tokens", "output_tokens", "expert"):
        given, same = (getattr(each.result.served.requests, column) for each in (report, coe))
        assert np.array_equal(given, same)
    served = report.result.served
    assert (report.metrics.finished, report.metrics.output_tokens) == (200, 200 * 20)
    assert np.allclose(served.causes.sum(axis=1), served.finish - served.requests.arrival)
    rows = report.result.switches
    assert set(rows.expert.tolist()) == set(served.requests.expert.tolist())  # each wanted one is copied, no other
    assert report.cache.misses - report.cache.evictions == report.memory.resident_experts
    assert any("one expert" in note for note in report.notes) is (scheduler != "static")


def test_the_largest_rate_keeps_the_slo_and_is_what_is_reported(tmp_path: Path) -> None:
    report = serve(tmp_path, find="max-rate", slo=parse_slo("e2e=3s,share=95%"))
    assert report.found is not None and report.found.value is not None
    assert report.metrics.attained is not None and report.metrics.attained >= 0.95
    assert report.found.value > 2


def test_notes_say_what_a_host_is_and_which_prompts_are_too_long(tmp_path: Path) -> None:
    text = BASE.replace("home: host", "home: ddr").replace("prompt_tokens: 128", "prompt_tokens: 5000")
    notes = serve(tmp_path, text.replace("requests: 200", "requests: 10")).notes
    assert any("memory of its host" in note for note in notes)
    assert any("4,096 positions, the longest request takes 5,020" in note for note in notes)
    assert not any("positions" in note or "host" in note for note in serve(tmp_path).notes)


def test_an_slo_that_cannot_be_met_says_by_how_much(tmp_path: Path) -> None:
    report = serve(tmp_path, find="max-rate", slo=parse_slo("e2e=1ms"))
    assert report.found is not None and report.found.value is None
    assert report.found.missed["e2e"] > 50
    assert "times its limit" in report.found.message


def test_nodes_are_added_until_the_slo_is_kept(tmp_path: Path) -> None:
    busy = BASE.replace("rate: 2", "rate: 12")
    report = serve(tmp_path, busy, find="min-nodes", slo=parse_slo("e2e=3s,share=90%"))
    assert report.found is not None and report.found.value is not None
    assert report.asked.nodes == report.found.value > 1


def test_the_search_for_nodes_begins_where_the_experts_are_held(tmp_path: Path) -> None:
    many = BASE.replace("count: 60", "count: 600")
    report = serve(tmp_path, many, find="min-nodes", slo=parse_slo("e2e=1000s"))
    assert report.found is not None and report.found.value == report.asked.nodes > 1
    assert "cannot hold the experts" in report.found.message
    with pytest.raises(RdusimError, match="dispatcher: affinity"):
        serve(tmp_path, f"{many}dispatcher: hash\n", find="min-nodes", slo=parse_slo("e2e=1000s"))


def test_a_dgx_is_full_at_about_fifty_experts_and_its_latency_bends_there(tmp_path: Path) -> None:
    text = BASE.replace("kv: {near: 32 GiB}\n", "").replace("gpu/h100}", "gpu/h100, set: [node.host_links=1]}")
    curve = serve(tmp_path, text, footprint=("same",)).footprint[0]
    assert curve.resident == 46  # 640 GB / 13.48 GB, the router's place taken off: "about 50" (MICRO VI-C)
    latency = {point.experts: point.latency.total for point in curve.points if point.latency is not None}
    assert latency[1] == latency[46] < latency[47]
    assert isclose(latency[47] - latency[46], 4 / 47 * 13.48e9 / 50e9, rel_tol=0.4)  # 1 of 47 is missing, batch 4


def test_an_interrupt_leaves_what_was_served(tmp_path: Path) -> None:
    def stop(share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    report = serve(tmp_path, BASE.replace("name: coe", "name: continuous"), progress=stop)
    assert report.partial and 0 < report.metrics.finished < 200
    assert as_json(report)["partial"] is True
    assert any("partial" in note for note in report.notes)


@pytest.mark.parametrize(("find", "busy"), [("max-rate", 2), ("min-nodes", 150)])
def test_an_interrupted_search_leaves_the_best_so_far(tmp_path: Path, find: str, busy: int) -> None:
    seen: list[str] = []

    def stop(what: str) -> None:
        seen.extend([what] if what.startswith("trying") else [])
        if len(seen) == stop_at:
            raise KeyboardInterrupt

    text, slo = BASE.replace("rate: 2", f"rate: {busy}"), parse_slo("e2e=3s,share=90%")
    stop_at = 5
    report = serve(tmp_path, text, find=find, slo=slo, observe=stop)
    assert report.partial and report.found is not None and "interrupted" in report.found.message
    kept = [trial.value for trial in report.found.trials if trial.share >= 0.9]
    assert len(report.found.trials) == 4
    assert report.found.value == (max(kept) if find == "max-rate" else min(kept, default=None))
    seen, stop_at = [], 1
    with pytest.raises(KeyboardInterrupt):
        serve(tmp_path, text, find=find, slo=slo, observe=stop)


def test_the_room_for_kv_is_what_the_longest_batch_takes(tmp_path: Path) -> None:
    text = BASE.replace("name: coe", "name: coe, grouping: queue").replace("rate: 2", "rate: 40")
    report = serve(tmp_path, text)
    peak = report.result.occupancy.kv_near_bytes.max()
    assert peak == 4 * (128 + 20) * kv_bytes_per_token("llama-2-7b")
    serve(tmp_path, text.replace("near: 32 GiB", f"near: {int(peak)} B"))
    with pytest.raises(RdusimError, match=r"kv.near: the longest batch takes .*near: 296 MiB"):
        serve(tmp_path, text.replace("near: 32 GiB", f"near: {int(peak) - 1} B"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("near: 32 GiB", "near: 1 MiB"), "kv.near: the longest batch takes 74 MiB"),
        (("near: 32 GiB", "near: 32 GiB, far: 1 GiB"), "kv.far: scheduler 'coe' keeps"),
        (("home: host}", "home: host, weights: 900 GiB}"), r"experts\[0\].*900 GiB does not fit"),
        (("count: 60", "count: 600"), "dispatcher: affinity"),
        (("rate: 2", "rate: 0"), "arrivals.rate: 0 must be greater than 0"),
        (("near: 32 GiB", "near: 1 TiB"), "leave nothing"),
        (
            ("home: host}", "home: host, mutable: 90 GiB}"),
            r"experts\[0\].mutable: 90 GiB are mutable of weights of 12.6",
        ),
        (("requests: 200", "requests: 100000000000"), "100,000,000,000 requests would take about 54.6 TiB of memory"),
        (("output_tokens: 20", "output_tokens: 9000000000000"), "tokens are beyond any model"),
        (("home: host}", "home: host, pinned: true}"), "^[^\n]*60 experts are pinned and take 753 GiB[^\n]*$"),
        (("process: poisson, rate: 2", "process: closed, clients: 4"), "a closed loop does not"),
    ],
    ids=[
        "no room for KV",
        "far KV of coe",
        "expert larger than HBM",
        "no room at home",
        "zero rate",
        "no room for experts",
        "more mutable than there is",
        "too many requests",
        "endless answers",
        "all pinned",
        "closed loop",
    ],
)
def test_what_cannot_be_served_is_refused(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    with pytest.raises(RdusimError, match=said):
        serve(tmp_path, BASE.replace(*change))


@pytest.mark.parametrize(
    ("trace", "said"),
    [
        ("arrival_s,prompt_tokens,output_tokens,expert\n1,5,5,0\n0.5,5,5,0\n", "line 3|:3:.*time runs backwards"),
        ("arrival_s,prompt_tokens,expert\n1,5,0\n", "columns missing: output_tokens"),
        ("arrival_s,prompt_tokens,output_tokens,expert\n1,5,5,nobody\n", "'nobody' is no known expert"),
        ("arrival_s,prompt_tokens,output_tokens\n1,5,5\n", "does not say which expert"),
    ],
    ids=["time runs backwards", "missing column", "unknown expert", "no experts"],
)
def test_a_bad_trace_is_refused(tmp_path: Path, trace: str, said: str) -> None:
    (tmp_path / "trace.csv").write_text(trace)
    lines = [line for line in BASE.splitlines() if not line.startswith(("arrivals", "lengths"))]
    text = "\n".join([*lines, "trace: {file: trace.csv}"]).replace(", policy: zipf", "")
    with pytest.raises(RdusimError, match=said):
        serve(tmp_path, text)


def test_a_copy_runs_on_all_sockets_at_once_and_the_slower_end_rules() -> None:
    costs = RduCosts(RunRequest(model="", arch="sn40l", sockets=8), {"expert": "llama-2-7b"})
    size = weight_bytes("llama-2-7b")
    assert size == 13_476_831_232
    ddr = next(tier for tier in load_arch("sn40l").socket.memory if tier.name == "ddr")
    rate = 8 * 200e9 * efficiency(ddr, ddr.timing.row, 0.0).total * 0.657
    assert isclose(rate, 1e12, rel_tol=0.01)  # "over 1 TB/s"
    assert isclose(costs.copy_bandwidth("ddr", "hbm"), rate)
    assert isclose(costs.switch(size, "ddr", "hbm"), size / rate + 600e-9 + 800e-9)
    assert isclose(costs.copy_bandwidth("host", "hbm"), 8 * 25e9)
    with pytest.raises(RdusimError, match="no memory tier 'disk'"):
        costs.switch(Bytes(1), "disk", "hbm")


def test_a_step_is_simulated_once_and_found_again_on_disk(tmp_path: Path) -> None:
    first, second = (
        RduCosts(RunRequest(model="", arch="sn40l", sockets=1), {"x": "gpt2"}, store=StepStore(tmp_path))
        for _ in range(2)
    )
    seconds = first.decode("x", 1, 8)
    assert first.decode_bytes("x", 1, 8) > 0
    first._store.save()
    assert second.decode("x", 1, 8) == seconds
    assert (first.measured, second.measured) == (1, 0)


def test_a_table_of_straight_costs_is_exact() -> None:
    costs = Constant(prefill_seconds=1.0, prefill_per_token=0.1, decode_seconds=2.0, decode_per_context=0.01)
    span = Span(prompts=4, tokens=(10, 900), sequences=32, contexts=(11, 1000))
    table = few_points(costs, {"x": span})
    assert isclose(table.prefill("x", 1, 333), costs.prefill("x", 1, 333))
    assert isclose(table.decode("x", 32, 500.0), costs.decode("x", 32, 500.0))
    assert table.shapes["x"].inside < 1e-12
    assert not isnan(table.shapes["x"].beyond)


def test_keys_and_values_of_grouped_heads() -> None:
    assert kv_bytes_per_token("llama-3.1-8b") == 2 * 32 * 8 * 128 * 2


def test_a_timeline_has_every_request_and_copy(tmp_path: Path) -> None:
    report = serve(tmp_path)
    drawn = serving_timeline(report.result)
    copies = drawn.slices.label >= 3
    assert copies.sum() == report.cache.misses
    assert len(np.unique(drawn.slices.argument[~copies])) == report.metrics.finished


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_serves_its_requests_on_gpus_as_well(path: Path) -> None:
    scenario = load_scenario(path)
    experts = tuple(replace(entry, count=min(entry.count, 20)) for entry in scenario.experts)
    machine = replace(scenario.machine, arch="gpu/h100", sockets=None, parallel=None, overrides=())
    arrivals = scenario.arrivals and replace(scenario.arrivals, requests=100)
    trace = scenario.trace and replace(scenario.trace, requests=100)
    small = replace(scenario, experts=experts, machine=machine, arrivals=arrivals, trace=trace)
    report = simulate_serving(small)
    assert report.metrics.finished == 100


def test_experts_that_read_images_are_served_from_prompts_that_hold_them(tmp_path: Path) -> None:
    """Steps are measured at round lengths, but not below an image and a token."""
    text = BASE.replace("{model: llama-2-7b, count: 60, home: host}", "{model: llava-1.5-7b, count: 60, home: host}")
    (tmp_path / "lengths.csv").write_text("num_prefill_tokens,num_decode_tokens\n" + "600,20\n900,20\n" * 100)
    longer = text.replace("prompt_tokens: 128, output_tokens: 20", "file: lengths.csv")
    assert serve(tmp_path, longer).metrics.finished == 200
    with pytest.raises(RdusimError, match=r"lengths.prompt_tokens: a prompt has 128 .* reads prompts of 577"):
        serve(tmp_path, text)
    chunked = longer.replace("name: coe, batch: 4", "name: chunked")
    with pytest.raises(RdusimError, match=r"scheduler.name: pieces of a prompt may be short"):
        serve(tmp_path, chunked)


def test_an_encoder_makes_no_tokens_to_serve(tmp_path: Path) -> None:
    with pytest.raises(RdusimError, match=r"experts: bert-base is an encoder: it makes no tokens"):
        serve(tmp_path, BASE.replace("{model: llama-2-7b, count", "{model: bert-base, count"))
