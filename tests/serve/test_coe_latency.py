from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdusim.errors import ServeError
from rdusim.serve.coe import NodeMemory, coe_latency, footprint, latency_curve, nodes_needed
from rdusim.serve.costs import Constant
from rdusim.serve.types import Expert
from rdusim.units import Bytes, parse

LLAMA = Expert(name="llama-2-7b", shape="llama-2-7b", weight_bytes=Bytes(13_476_839_424))
DGX = NodeMemory(near=Bytes(640 * 10**9), near_reserved=LLAMA.weight_bytes, home=Bytes(2 * 10**12))
SN40L = NodeMemory(near=parse("512 GiB", "size"), near_reserved=LLAMA.weight_bytes, home=parse("12 TiB", "size"))


def test_a_batch_routes_together_copies_one_by_one_and_runs_pair_by_pair() -> None:
    costs = Constant(prefill_seconds=1.0, prefill_per_token=0.01, decode_seconds=0.1, copy=13_476_839_424.0)
    latency = coe_latency(
        costs, LLAMA, router="r", prompt_tokens=100, output_tokens=20, batch=8, copies=3, router_tokens=2
    )
    assert latency.route == pytest.approx(1 + 8 + 0.1)
    assert latency.switch == pytest.approx(3.0)
    assert latency.execute == pytest.approx(8 * (2 + 1.9))
    assert latency.total == pytest.approx(9.1 + 3.0 + 31.2)


def test_one_sn40l_node_serves_850_experts_and_dgx_takes_19_in_hbm() -> None:
    assert nodes_needed(SN40L, [LLAMA] * 850) == 1
    assert nodes_needed(DGX, [LLAMA] * 850, all_near=True) == 19


def test_a_dgx_is_full_at_about_50_experts_and_out_of_memory_at_150() -> None:
    held = footprint(DGX, [LLAMA] * 1000)
    assert 44 <= held.resident <= 50
    assert 140 <= held.held < 150


def test_latency_has_its_knee_where_the_near_tier_is_full_and_ends_where_the_home_is() -> None:
    costs = Constant(prefill_seconds=0.1, decode_seconds=0.008, copy=32e9)
    counts = (1, 25, 46, 47, 75, 148, 149)
    curve = latency_curve(costs, LLAMA, DGX, counts, router="r", prompt_tokens=128, output_tokens=20)
    totals = [point.latency.total if point.latency else None for point in curve]
    assert totals[0] == totals[1] == totals[2] == pytest.approx(0.352)
    switch = LLAMA.weight_bytes / 32e9
    assert totals[4] == pytest.approx(0.352 + switch * (1 - 46 / 75))
    assert totals[5] is not None and totals[6] is None
    worst = latency_curve(costs, LLAMA, DGX, (47,), router="r", prompt_tokens=128, output_tokens=20, always_miss=True)
    assert worst[0].latency is not None and worst[0].latency.switch == pytest.approx(switch)


@given(sizes=st.lists(st.integers(1, 10), min_size=1, max_size=40))
def test_packing_holds_everything_and_is_near_the_bound(sizes: list[int]) -> None:
    experts = [Expert(name="e", shape="m", weight_bytes=Bytes(size)) for size in sizes]
    nodes = nodes_needed(NodeMemory(near=Bytes(10)), experts)
    assert sum(sizes) <= 10 * nodes
    assert nodes <= 11 / 9 * max(-(-sum(sizes) // 10), 1) * 2 + 4
    assert nodes >= sum(size > 5 for size in sizes)


def test_packing_by_hand() -> None:
    def needed(*sizes: int) -> int:
        return nodes_needed(
            NodeMemory(near=Bytes(10)), [Expert(name="e", shape="m", weight_bytes=Bytes(size)) for size in sizes]
        )

    assert needed(5, 5, 5) == 2
    assert needed(7, 3, 6, 4) == 2
    assert needed(9, 5, 4, 1, 1) == 2
    assert needed() == 0


def test_an_expert_larger_than_a_node_is_refused() -> None:
    with pytest.raises(ServeError, match=r"12\.6 GiB does not fit a node's 1 GiB"):
        nodes_needed(NodeMemory(near=parse("1 GiB", "size")), [LLAMA])
