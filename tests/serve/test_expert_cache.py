from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rdusim.serve.expert_cache
from rdusim.errors import ServeError
from rdusim.kernel.resource import max_min_rates
from rdusim.serve.coe.overlap import beside, shares
from rdusim.serve.expert_cache import POLICIES, ExpertCache, Queued, fewest_bytes
from rdusim.serve.types import Expert
from rdusim.units import Bytes

ONLINE = sorted(set(POLICIES) - {"belady"})


def experts_of(sizes: list[int], pinned: frozenset[int] = frozenset(), mutable: int = 0) -> tuple[Expert, ...]:
    return tuple(
        Expert(
            name=f"e{number}",
            shape="m",
            weight_bytes=Bytes(size),
            pinned=number in pinned,
            mutable_bytes=Bytes(mutable),
        )
        for number, size in enumerate(sizes)
    )


def replay(name: str, sequence: list[int], sizes: list[int], capacity: int, ahead: int = 4) -> tuple[int, int]:
    """Misses and bytes copied. Belady sees all that comes, the others the next `ahead` requests."""
    policy = POLICIES[name]
    cache = ExpertCache(experts_of(sizes), capacity, policy)
    queued = Queued(len(sizes), sequence if policy.clairvoyant else sequence[:ahead])
    copied = 0
    for now, expert in enumerate(sequence):
        queued.serve(expert)
        miss, evicted, _ = cache.activate(expert, float(now), queued)
        copied += miss * sizes[expert]
        assert expert in cache.resident and not set(evicted) & set(cache.resident)
        assert cache.used_bytes == sum(sizes[other] for other in cache.resident) <= capacity
        if not policy.clairvoyant and now + ahead < len(sequence):
            queued.push(sequence[now + ahead])
    assert cache.hits + cache.misses == len(sequence)
    return cache.misses, copied


def test_every_policy_file_is_in_the_table() -> None:
    files = {path.stem for path in Path(rdusim.serve.expert_cache.__file__).parent.glob("*.py")}
    assert files - {"__init__", "types", "cache", "upcoming", "bound"} == set(POLICIES)


@pytest.mark.parametrize(
    ("name", "sequence", "gone"),
    [
        ("lru", [0, 1, 0, 2], 1),
        ("lfu", [0, 0, 1, 1, 1, 2], 0),
        ("gdsf", [0, 1, 1, 2], 0),
        ("cost_aware", [0, 1, 0, 2], 1),
        ("belady", [0, 1, 2, 0, 1], 1),
        ("queue_aware", [0, 1, 2, 1], 0),
    ],
)
def test_who_goes_by_hand(name: str, sequence: list[int], gone: int) -> None:
    cache = ExpertCache(experts_of([10, 10, 10]), 20, POLICIES[name])
    queued = Queued(3, sequence)
    first: tuple[int, ...] = ()
    for now, expert in enumerate(sequence):
        queued.serve(expert)
        evicted = cache.activate(expert, float(now), queued).evicted
        first = first or evicted
    assert first == (gone,)


@settings(max_examples=60, deadline=None)
@given(sequence=st.lists(st.integers(0, 7), min_size=1, max_size=120), slots=st.integers(1, 8))
def test_belady_never_misses_more_than_any_policy_among_equal_sizes(sequence: list[int], slots: int) -> None:
    sizes = [10] * 8
    best, copied = replay("belady", sequence, sizes, 10 * slots + 3)
    assert copied >= fewest_bytes(sequence, sizes, 10 * slots + 3)
    assert copied == fewest_bytes(sequence, sizes, 10 * slots)
    for name in ONLINE:
        assert best <= replay(name, sequence, sizes, 10 * slots + 3)[0]


@settings(max_examples=60, deadline=None)
@given(
    sequence=st.lists(st.integers(0, 5), min_size=1, max_size=100),
    sizes=st.lists(st.integers(1, 30), min_size=6, max_size=6),
    spare=st.integers(0, 60),
)
def test_no_policy_copies_less_than_the_fractional_bound(sequence: list[int], sizes: list[int], spare: int) -> None:
    capacity = max(sizes) + spare
    bound = fewest_bytes(sequence, sizes, capacity)
    assert sum(sizes[expert] for expert in set(sequence)) <= bound
    for name in POLICIES:
        assert bound <= replay(name, sequence, sizes, capacity)[1]


@settings(max_examples=40, deadline=None)
@given(sequence=st.lists(st.integers(0, 5), max_size=80), name=st.sampled_from(sorted(POLICIES)))
def test_pinned_experts_are_never_evicted_under_any_policy(sequence: list[int], name: str) -> None:
    pinned = frozenset({1, 4})
    cache = ExpertCache(experts_of([5, 7, 9, 4, 6, 8], pinned), 24, POLICIES[name])
    assert cache.pinned == pinned
    queued = Queued(6, sequence)
    for now, expert in enumerate(sequence):
        queued.serve(expert)
        assert not pinned & set(cache.activate(expert, float(now), queued).evicted)
        assert cache.used_bytes <= 24


def test_the_pinned_policy_pins_what_is_popular_if_nothing_is_marked() -> None:
    cache = ExpertCache(experts_of([10] * 6), 40, POLICIES["pinned"])
    assert cache.pinned == {0, 1, 2}
    evicted = [cache.activate(expert, float(now)).evicted for now, expert in enumerate([0, 1, 2, 3, 4, 5, 0])]
    assert evicted == [(), (), (), (), (3,), (4,), ()]
    assert ExpertCache(experts_of([10] * 3), 40, POLICIES["pinned"]).pinned == {0, 1, 2}


def test_what_is_kept_stays_and_fits_says_whether_there_is_room() -> None:
    cache = ExpertCache(experts_of([10, 10, 10]), 20, POLICIES["lru"])
    cache.activate(0, 0.0)
    cache.activate(1, 1.0)
    assert cache.fits(2, {0}) and not cache.fits(2, {0, 1}) and cache.fits(1, {0, 2})
    assert cache.activate(2, 2.0, keep={0}).evicted == (1,)


def test_only_mutable_bytes_are_copied_back() -> None:
    cache = ExpertCache(experts_of([10, 10, 20], mutable=3), 20, POLICIES["lru"])
    assert [cache.activate(expert, float(expert)).copied_back for expert in range(3)] == [0, 0, 6]
    fixed = ExpertCache(experts_of([10, 10]), 10, POLICIES["lru"])
    assert [fixed.activate(expert, float(expert)).copied_back for expert in range(2)] == [0, 0]


def test_a_warm_region_holds_the_first_and_loses_the_last() -> None:
    cache = ExpertCache(experts_of([10, 10, 10]), 20, POLICIES["lru"])
    cache.warm(range(3))
    assert set(cache.resident) == {0, 1} and cache.misses == 0
    assert cache.activate(2, 0.0).evicted == (1,)


def test_cost_aware_keeps_what_is_slow_to_bring_back() -> None:
    cache = ExpertCache(experts_of([10, 10, 10]), 20, POLICIES["cost_aware"], seconds_back=[50.0, 1.0, 1.0])
    evicted = [cache.activate(expert, float(now)).evicted for now, expert in enumerate([0, 1, 2, 1, 2])]
    assert evicted == [(), (), (1,), (2,), (1,)]


def test_all_experts_that_cannot_run_are_refused_at_once_with_sizes_and_a_way_out() -> None:
    with pytest.raises(ServeError) as caught:
        ExpertCache(experts_of([3 << 30, 1 << 30, 9 << 30]), 2 << 30, POLICIES["lru"])
    assert [problem.message for problem in caught.value.problems] == [
        "expert 'e0' takes 3 GiB, the expert region 2 GiB",
        "expert 'e2' takes 9 GiB, the expert region 2 GiB",
    ]
    assert "more sockets" in str(caught.value)
    with pytest.raises(ServeError, match=r"'e0' takes 10 B and does not fit beside the pinned ones, which take 15 B"):
        ExpertCache(experts_of([10, 15], frozenset({1})), 20, POLICIES["lru"])


def test_outdated_entries_do_not_pile_up() -> None:
    cache = ExpertCache(experts_of([1] * 4), 4, POLICIES["lru"])
    for now in range(10_000):
        cache.activate(now % 4, float(now))
    assert len(cache._order) < 200


rates = st.floats(1e-3, 1e3)


@given(first=rates, second=rates, capacity=rates)
def test_shares_are_the_kernels(first: float, second: float, capacity: float) -> None:
    one, two = shares(first, second, capacity)
    known = max_min_rates([1.0, 1.0], [[(0, 1.0)]] * 2, [capacity], [first, second]).rates
    assert (one, two) == pytest.approx(known)


@given(phases=st.lists(st.tuples(rates, rates), min_size=1, max_size=3), copy=rates, copy_rate=rates, capacity=rates)
def test_a_copy_beside_a_run_ends_neither_early_nor_worse_than_one_after_the_other(
    phases: list[tuple[float, float]], copy: float, copy_rate: float, capacity: float
) -> None:
    # Alone, neither may want more than there is.
    phases = [(seconds, min(size, capacity * seconds)) for seconds, size in phases]
    copy_rate = min(copy_rate, capacity)
    alone = sum(seconds for seconds, _ in phases)
    run = beside(phases, copy, copy_rate, capacity)
    assert run.seconds >= alone * (1 - 1e-9) and run.copied >= copy * (1 - 1e-9)
    assert max(run.seconds, run.copied) <= (alone + copy) * (1 + 1e-9)
    assert run.at(alone) == pytest.approx(run.seconds)
    steps = [run.at(alone * part) for part in np.linspace(0, 1, 9)]
    assert all(left <= right for left, right in pairwise(steps))


def test_a_copy_slows_a_run_by_hand() -> None:
    # A run that wants 8 of 10 beside a copy that wants 4: 5 is half; the copy keeps 4, the run gets 6, pace 0.75.
    run = beside([(8.0, 64.0)], 3.0, 4.0, 10.0)
    assert run.copied == pytest.approx(3.0)
    assert run.seconds == pytest.approx(3.0 + (8.0 - 0.75 * 3.0))
    assert run.slowest == pytest.approx(1 / 0.75)
    assert run.at(1.5) == pytest.approx(2.0)
