"""What holds for every run, whatever the scheduler, the dispatcher and the load."""

from __future__ import annotations

import pickle
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from rdusim.errors import OptionError, ServeError
from rdusim.serve import dispatch, schedulers
from rdusim.serve.arrivals import ARRIVALS, Closed, Deterministic, Gamma, Poisson
from rdusim.serve.costs import Constant
from rdusim.serve.dispatch import DISPATCHERS
from rdusim.serve.expert_cache import POLICIES, ExpertCache
from rdusim.serve.kv_cache import KvMemory
from rdusim.serve.lengths import LENGTHS, LogNormal
from rdusim.serve.metrics import kept_slo, measure
from rdusim.serve.options import ServeOptions
from rdusim.serve.requests import make_requests
from rdusim.serve.schedulers import SCHEDULERS
from rdusim.serve.serve import serve
from rdusim.serve.slo import parse_slo
from rdusim.serve.types import Expert, Requests, ServeResult
from rdusim.units import Bytes, Seconds

COSTS = Constant(
    prefill_seconds=0.003,
    prefill_per_token=3e-5,
    decode_seconds=0.009,
    decode_per_sequence=5e-5,
    decode_per_context=2.6e-7,
    copy=1e9,
)
EXPERTS = [
    Expert(name=f"e{number}", shape="s", weight_bytes=Bytes(10**8), mutable_bytes=Bytes(10**6)) for number in range(5)
]
KV = KvMemory(bytes_per_token=Bytes(100), near=Bytes(400_000), far=Bytes(150_000))


def workload(count: int = 400, rate: float = 4.0, experts: int = 1, clients: int = 1) -> Requests:
    rng = np.random.default_rng(7)
    requests = make_requests(Gamma(rate=rate, cv=2.0), LogNormal(prompt=300, output=60), count, rng)
    return replace(requests, expert=rng.integers(experts, size=count), client=np.arange(count) % clients)


def run(requests: Requests, **options: object) -> ServeResult:
    experts = int(requests.expert.max()) + 1
    cache = (lambda: ExpertCache(EXPERTS[:experts], 2 * 10**8, POLICIES["lru"])) if experts > 1 else None
    return serve(requests, EXPERTS[:experts], COSTS, ServeOptions(**options), cache=cache)  # type: ignore[arg-type]


@pytest.mark.parametrize("kv", [None, KV], ids=["no kv", "kv"])
@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize("experts", [1, 5])
@pytest.mark.parametrize("scheduler", sorted(SCHEDULERS))
def test_requests_and_tokens_are_conserved_and_times_are_in_order(
    scheduler: str, experts: int, nodes: int, kv: KvMemory | None
) -> None:
    requests = workload(experts=experts)
    seen: list[float] = []
    result = serve(
        requests,
        EXPERTS,
        COSTS,
        ServeOptions(scheduler=scheduler, nodes=nodes, kv=kv, network=Seconds(0.001), max_batch=16),
        cache=lambda: ExpertCache(EXPERTS, 2 * 10**8, POLICIES["lru"]),
        observer=seen.append,
    )
    served = result.served
    done = np.isfinite(served.finish)
    assert sorted([*np.flatnonzero(done), *result.rejected]) == list(range(len(requests)))
    assert not np.isin(served.node, range(nodes), invert=True).any()
    latency = served.finish - requests.arrival
    assert np.all(served.scheduled[done] >= requests.arrival[done] + 0.001)
    assert np.all(served.first_token[done] - requests.arrival[done] <= latency[done])
    assert np.all(served.scheduled[done] <= served.first_token[done])
    assert np.all(served.causes[done] >= 0)
    np.testing.assert_allclose(served.causes[done].sum(axis=1), latency[done], rtol=1e-9)
    several = done & (requests.output_tokens > 1)
    mean_gap = (served.finish - served.first_token)[several] / (requests.output_tokens[several] - 1)
    assert np.all(served.worst_gap[several] >= mean_gap * (1 - 1e-9))
    assert np.all(result.busy <= result.seconds * (1 + 1e-9))
    assert seen == sorted(seen) and seen[-1] == 1.0
    rows = result.switches
    copies = rows.expert >= 0
    assert result.misses == copies.sum()
    assert np.all(np.diff(result.occupancy.time) >= 0)
    near, far = result.occupancy.kv_near_bytes, result.occupancy.kv_far_bytes
    assert (near.max() <= KV.near and far.max() <= KV.far) if kv else not near.any()
    if scheduler != "static":  # there a row says what a batch takes, and none that it is over
        for node in range(nodes):
            assert near[result.occupancy.node == node][-1] == far[result.occupancy.node == node][-1] == 0


@pytest.mark.parametrize("scheduler", sorted(SCHEDULERS))
@pytest.mark.parametrize("dispatcher", sorted(DISPATCHERS))
def test_the_same_seed_gives_the_same_bytes(scheduler: str, dispatcher: str) -> None:
    first, second = (
        run(workload(200, experts=3), scheduler=scheduler, dispatcher=dispatcher, nodes=2) for _ in range(2)
    )
    for column in fields(first.served):
        if column.name != "requests":
            assert getattr(first.served, column.name).tobytes() == getattr(second.served, column.name).tobytes()
    assert pickle.dumps(first.occupancy) == pickle.dumps(second.occupancy)


def test_static_batches_are_padded_and_run_to_the_longest_output() -> None:
    zeros = np.zeros(3, dtype=np.int64)
    requests = Requests(
        arrival=np.array([0.0, 0.01, 0.02]),
        prompt_tokens=np.array([5, 9, 3]),
        output_tokens=np.array([1, 4, 2]),
        expert=zeros,
        client=zeros,
    )
    costs = Constant(prefill_per_token=0.001, decode_per_sequence=0.01)
    options = ServeOptions(scheduler="static", batches=(1, 4), prompts=(8, 16), timeout=Seconds(0.5))
    served = serve(requests, EXPERTS[:1], costs, options).served
    # Not full: it waits for its timeout. Batch 4, 16 tokens: 64 ms. Steps of batch 4: 40 ms.
    np.testing.assert_allclose(served.scheduled, 0.5)
    np.testing.assert_allclose(served.first_token, 0.564)
    np.testing.assert_allclose(served.finish, [0.564, 0.684, 0.604])
    longer = serve(replace(requests, prompt_tokens=np.array([5, 17, 3])), EXPERTS[:1], costs, options)
    assert longer.rejected.tolist() == [1]


def test_chunks_bound_the_gaps_that_prefills_tear() -> None:
    requests = replace(workload(rate=3.0), prompt_tokens=np.full(400, 3000))
    whole, pieces = (measure(run(requests, scheduler=name, max_batch=32)) for name in ("continuous", "chunked"))
    assert pieces.tbt.percentiles[99.0] < whole.tbt.percentiles[99.0]


def test_memory_that_is_never_full_changes_nothing() -> None:
    requests = workload()
    ample = KvMemory(bytes_per_token=Bytes(1), near=Bytes(10**9))
    for scheduler in ("continuous", "chunked"):
        without, with_it = run(requests, scheduler=scheduler), run(requests, scheduler=scheduler, kv=ample)
        np.testing.assert_allclose(without.served.finish, with_it.served.finish, rtol=1e-12)


def test_a_closed_loop_keeps_its_number_of_clients_and_thinks() -> None:
    rng = np.random.default_rng(3)
    closed = Closed(clients=4, think=Seconds(0.3), fixed=True)
    requests = make_requests(closed, LogNormal(prompt=200, output=30), 200, rng)
    for nodes in (1, 2):
        result = serve(requests, EXPERTS[:1], COSTS, ServeOptions(nodes=nodes), think=closed.thinking(rng, 200))
        served = result.served
        for client in range(4):
            mine = served.requests.client == client
            gaps = served.requests.arrival[mine][1:] - served.finish[mine][:-1]
            np.testing.assert_allclose(gaps, 0.3, atol=1e-9)


def test_a_closed_loop_keeps_the_interactive_law() -> None:
    """X (R + Z) = N, whatever the lengths: who is free asks next, so that all clients are busy to the end."""
    rng = np.random.default_rng(3)
    for clients, nodes in ((4, 1), (20, 2)):
        closed = Closed(clients=clients, think=Seconds(0.5))
        requests = make_requests(closed, LogNormal(prompt=200, output=30), 3000, rng)
        result = serve(requests, EXPERTS[:1], COSTS, ServeOptions(nodes=nodes), think=closed.thinking(rng, 3000))
        served = result.served
        cycle = float(np.mean(served.finish - served.requests.arrival)) + 0.5
        assert len(served.finish) / float(served.finish.max()) * cycle == pytest.approx(clients, rel=0.03)


def test_a_hash_spreads_numbers_in_a_row_and_keeps_a_client_on_one_node() -> None:
    for nodes in (2, 3, 8):
        node = run(workload(count=20000, rate=0.01), nodes=nodes, dispatcher="hash").served.node
        followers = np.bincount(node[:-1] * nodes + node[1:], minlength=nodes**2)
        assert np.all(np.abs(followers / len(node) * nodes**2 - 1) < 0.5)  # the next node says nothing of the last
    closed = Closed(clients=9)
    requests = make_requests(closed, LogNormal(prompt=200, output=30), 300, np.random.default_rng(3))
    options = ServeOptions(nodes=3, dispatcher="hash")
    served = serve(requests, EXPERTS[:1], COSTS, options, think=np.zeros(300)).served
    assert all(len(set(served.node[served.requests.client == client])) == 1 for client in range(9))


def test_affinity_keeps_an_expert_on_one_node_and_least_loaded_spreads() -> None:
    requests = workload(experts=5, clients=9)
    by_expert = run(requests, nodes=2, dispatcher="affinity").served.node
    assert all(len(set(by_expert[requests.expert == expert])) == 1 for expert in range(5))
    by_client = run(requests, nodes=3, dispatcher="hash").served.node
    assert all(len(set(by_client[requests.client == client])) == 1 for client in range(9))
    one, three = (measure(run(requests, nodes=nodes)).e2e.mean for nodes in (1, 3))
    assert three < one


@pytest.mark.parametrize("scheduler", sorted(SCHEDULERS))
@pytest.mark.parametrize("dispatcher", sorted(DISPATCHERS))
def test_nodes_do_with_their_requests_what_each_would_do_alone(scheduler: str, dispatcher: str) -> None:
    requests = workload(300, rate=12.0, clients=20)
    served = run(requests, scheduler=scheduler, dispatcher=dispatcher, nodes=3, kv=KV).served
    for node in set(served.node.tolist()):
        mine = served.node == node
        alone = run(
            Requests(**{column.name: getattr(requests, column.name)[mine] for column in fields(requests)}),
            scheduler=scheduler,
            kv=KV,
        )
        np.testing.assert_allclose(alone.served.finish, served.finish[mine], rtol=1e-9)


def test_an_interrupted_closed_loop_says_which_requests_were_never_asked() -> None:
    def stop(share: float) -> None:
        if share >= 0.5:
            raise KeyboardInterrupt

    rng = np.random.default_rng(3)
    closed = Closed(clients=4)
    requests = make_requests(closed, LogNormal(prompt=200, output=30), 200, rng)
    result = serve(requests, EXPERTS[:1], COSTS, think=closed.thinking(rng, 200), observer=stop)
    asked = np.isfinite(result.served.requests.arrival)
    assert result.partial and np.isfinite(result.served.finish).sum() == 100 and 100 <= asked.sum() <= 104


def test_an_interrupt_leaves_what_was_done() -> None:
    def stop(share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    result = serve(workload(), EXPERTS[:1], COSTS, observer=stop)
    metrics = measure(result, parse_slo("ttft=1s"))
    assert result.partial and 190 <= metrics.finished <= 300
    assert metrics.attained is not None and metrics.attained <= metrics.finished / 400


def test_metrics_of_a_run_that_can_be_done_by_hand() -> None:
    zeros = np.zeros(2, dtype=np.int64)
    requests = Requests(
        arrival=np.array([0.0, 0.0]),
        prompt_tokens=np.array([10, 10]),
        output_tokens=np.array([3, 1]),
        expert=zeros,
        client=zeros,
    )
    result = serve(requests, EXPERTS[:1], Constant(prefill_seconds=0.5, decode_seconds=0.25), ServeOptions(max_batch=1))
    metrics = measure(result, parse_slo("ttft=0.6s,tpot=1s,share=50%"))
    assert (metrics.seconds, metrics.output_tokens, metrics.tokens_per_second) == (1.5, 4, pytest.approx(4 / 1.5))
    assert metrics.ttft.largest == 1.5 and metrics.tpot.mean == 0.25 and metrics.tbt.largest == 0.25
    assert metrics.queue.largest == 1.0 and metrics.utilisation == (1.0,)
    assert kept_slo(result, parse_slo("ttft=0.6s")).tolist() == [True, False]
    assert metrics.goodput == pytest.approx(1 / 1.5) and metrics.causes["compute"] == pytest.approx(1.5 / 2.5)


def test_an_expert_is_copied_before_its_requests_run_and_the_wait_is_named() -> None:
    result = run(workload(100, rate=0.5, experts=5))
    assert result.misses > 0 and result.hits + result.misses <= 100
    assert measure(result).switch_share > 0
    # 1 mutable megabyte goes back for each that is put out; 100 MB come in. At 1 GB/s.
    rows = result.switches
    np.testing.assert_allclose(rows.end - rows.begin, np.where(rows.evicted >= 0, 0.101, 0.1), rtol=1e-6)
    assert rows.copied_back.sum() == 10**6 * (rows.evicted >= 0).sum()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (ServeOptions(scheduler="fifo"), "scheduler: 'fifo' is not known"),
        (ServeOptions(nodes=0, max_batch=0), "max_batch: 0 is below 1"),
        (ServeOptions(timeout=Seconds(-1)), "timeout: -1 is no time"),
        (ServeOptions(batches=(4, 1)), "batches"),
        (ServeOptions(scheduler="chunked", chunk_tokens=8), "chunk_tokens"),
        (ServeOptions(kv=KvMemory(bytes_per_token=Bytes(0), near=Bytes(5))), "kv.bytes_per_token"),
    ],
)
def test_options_that_make_no_sense_are_named(options: ServeOptions, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        serve(workload(5), EXPERTS, COSTS, options)


def test_requests_that_make_no_sense_are_named_all_at_once() -> None:
    good = workload(3)
    bad = replace(
        good,
        arrival=np.array([1.0, 0.5, np.nan]),
        prompt_tokens=np.array([1, 0, 1]),
        expert=np.array([0, 0, 9]),
    )
    with pytest.raises(ServeError) as raised:
        serve(bad, EXPERTS, COSTS)
    assert [problem.field for problem in raised.value.problems] == ["arrival", "arrival", "prompt_tokens", "expert"]
    for process in (Poisson(rate=0.0), Deterministic(rate=-1), Gamma(rate=1, cv=0)):
        with pytest.raises(OptionError, match="is not above 0"):
            make_requests(process, LogNormal(prompt=5, output=5), 3, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("table", "folder", "besides"),
    [
        (SCHEDULERS, schedulers, set()),
        (DISPATCHERS, dispatch, {"types"}),
    ],
)
def test_every_file_of_a_folder_is_in_its_table(table: dict[str, object], folder: object, besides: set[str]) -> None:
    files = {file.stem for file in Path(str(folder.__file__)).parent.glob("*.py")} - {"__init__"} - besides  # type: ignore[attr-defined]
    assert len(files) == len(table)


def test_tables_of_arrivals_and_lengths_hold_every_file() -> None:
    root = Path(schedulers.__file__).parents[1]
    for folder, table in (("arrivals", ARRIVALS), ("lengths", LENGTHS)):
        assert {file.stem for file in (root / folder).glob("*.py")} - {"__init__", "types"} == set(table)
