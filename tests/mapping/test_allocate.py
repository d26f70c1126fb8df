from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdusim.arch.types import MemoryTier
from rdusim.errors import MappingError
from rdusim.mapping.allocate import ALIGNMENT, Lifetime, aligned, allocate, lifetimes_of
from rdusim.program.types import Buffer
from rdusim.units import Bytes
from tests.mapping.programs import buffer, toy

PAGE = ALIGNMENT


def tiers(*pages: int) -> list[MemoryTier]:
    names = ("hbm", "ddr", "far")
    like = toy().socket.memory[0]
    return [replace(like, name=name, capacity=Bytes(size * PAGE)) for name, size in zip(names, pages, strict=False)]


def test_buffers_that_never_live_together_share_addresses() -> None:
    buffers = [buffer("a", 3 * PAGE, (0, 1)), buffer("b", 3 * PAGE, (2, 3)), buffer("c", PAGE, (0, 3))]
    found, peaks = allocate(buffers, tiers(4))
    assert found["a"].offset == found["b"].offset == 0
    assert found["c"].offset == 3 * PAGE
    assert peaks == {"hbm": 4 * PAGE}


def test_a_buffer_read_in_the_next_repeat_lives_between_its_uses() -> None:
    found = lifetimes_of([buffer("carried", 1, (3, 1)), buffer("last", 1, (4, 4)), buffer("weight", 1, None)])
    assert found == {"carried": Lifetime(1, 3), "last": Lifetime(4, 4), "weight": Lifetime(0, 4)}


def test_the_smallest_aggregate_transfer_leaves_the_near_tier_first_and_weights_last() -> None:
    buffers = [
        buffer("weight", 2 * PAGE, None, transfer=1, role="weight"),
        buffer("hot", 2 * PAGE, None, transfer=9),
        buffer("warm", 2 * PAGE, None, transfer=5),
        buffer("cold", 2 * PAGE, None, transfer=2),
    ]

    def near(pages: int) -> set[str]:
        return {name for name, at in allocate(buffers, tiers(pages, 8))[0].items() if at.tier == "hbm"}

    assert near(8) == {"weight", "hot", "warm", "cold"}
    assert near(7) == {"weight", "hot", "warm"}
    assert near(4) == {"weight", "hot"}
    assert near(2) == {"weight"}
    assert near(1) == set()


def test_only_what_lives_while_the_tier_is_short_leaves_it() -> None:
    buffers = [buffer("early", 4 * PAGE, (0, 0), transfer=1), buffer("late", 4 * PAGE, (1, 1), transfer=2)]
    buffers.append(buffer("beside", PAGE, (1, 1), transfer=3))
    found, peaks = allocate(buffers, tiers(4, 9))
    assert {name: at.tier for name, at in found.items()} == {"early": "hbm", "late": "ddr", "beside": "hbm"}
    assert peaks == {"hbm": 4 * PAGE, "ddr": 4 * PAGE}


def test_more_than_all_tiers_is_said_with_sizes_and_the_way_out() -> None:
    buffers = [buffer("weights", 9 * PAGE, None, role="weight"), buffer("cache", 2 * PAGE, None, role="kv_cache")]
    with pytest.raises(MappingError) as caught:
        allocate(buffers, tiers(4, 4))
    message = str(caught.value)
    assert "a socket needs 44 KiB (weight 36 KiB, kv_cache 8 KiB)" in message
    assert "hbm 16 KiB" in message
    assert "ddr 16 KiB" in message
    assert "'weights' of 36 KiB" in message
    assert "shard over more sockets" in message


@st.composite
def crowds(draw: st.DrawFn) -> list[Buffer]:
    rows = st.tuples(
        st.integers(0, 5 * PAGE),
        st.none() | st.tuples(st.integers(0, 9), st.integers(0, 9)),
        st.integers(0, 50),
        st.sampled_from(["weight", "activation"]),
    )
    return [
        buffer(f"b{number}", size, uses, transfer, role)
        for number, (size, uses, transfer, role) in enumerate(draw(st.lists(rows, max_size=25)))
    ]


@given(buffers=crowds(), near=st.integers(1, 40))
def test_live_buffers_never_overlap_in_any_tier(buffers: list[Buffer], near: int) -> None:
    found, peaks = allocate(buffers, tiers(near, 200))
    taken: dict[tuple[str, int, int], str] = {}
    for one in buffers:
        at, life = found[one.name], lifetimes_of(buffers)[one.name]
        assert at.size == one.size
        assert at.offset % PAGE == 0
        assert at.offset + at.size <= (near if at.tier == "hbm" else 200) * PAGE
        for page in range(at.offset // PAGE, (at.offset + aligned(at.size)) // PAGE):
            for time in range(life.first, life.last + 1):
                assert taken.setdefault((at.tier, page, time), one.name) == one.name
    for tier in ("hbm", "ddr"):
        alive = [sum(1 for at, _, when in taken if at == tier and when == time) for time in range(10)]
        assert peaks[tier] == max(alive) * PAGE


def test_five_hundred_buffers_are_packed_close_to_their_peak() -> None:
    rng = random.Random(1)
    buffers = [
        buffer(f"b{number}", rng.randrange(1, 1 << 24), (first := rng.randrange(300), first + rng.randrange(20)))
        for number in range(500)
    ]
    found, peaks = allocate(buffers, tiers(1 << 20))
    assert max(at.offset + at.size for at in found.values()) <= 1.1 * peaks["hbm"]
