from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdusim.arch.types import MemoryTier
from rdusim.errors import MappingError
from rdusim.mapping.allocate import allocate
from rdusim.mapping.pack import ALIGNMENT, Lifetime, aligned, lifetimes_of
from rdusim.mapping.pieces import part_at
from rdusim.mapping.types import SpillOrder
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


def test_by_density_the_least_traffic_for_each_byte_goes_first_whatever_it_is() -> None:
    buffers = [
        buffer("experts", 6 * PAGE, None, transfer=6, role="weight"),
        buffer("busy", PAGE, None, transfer=5),
        buffer("dense", PAGE, None, transfer=9, role="weight"),
    ]
    for order, gone in ((SpillOrder.TRANSFER, "busy"), (SpillOrder.DENSITY, "experts")):
        found, _ = allocate(buffers, tiers(7, 8), order=order)
        assert {name for name, at in found.items() if at.tier != "hbm"} == {gone}


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


def split(name: str, pages: int, repeats: int, transfer: int, role: str = "weight") -> Buffer:
    return replace(buffer(name, pages * PAGE * repeats, None, transfer, role), repeats=repeats)


def test_of_the_last_symbol_only_as_many_parts_go_as_must() -> None:
    buffers = [split("hot", 2, 8, 100), split("cold", 1, 4, 10), buffer("beside", PAGE, (0, 3), 200, "weight")]
    found, peaks = allocate(buffers, tiers(14, 99))
    assert peaks == {"hbm": 13 * PAGE, "ddr": 8 * PAGE}
    assert [(each.tier, each.first, each.repeats) for each in found["hot"].pieces] == [("hbm", 0, 6), ("ddr", 6, 2)]
    assert [each.tier for each in found["cold"].pieces] == ["ddr"]
    assert part_at(found["hot"], 5).offset == found["hot"].offset + 10 * PAGE
    assert (part_at(found["hot"], 6).tier, part_at(found["hot"], 6).offset) == ("ddr", found["hot"].further[0].offset)


def test_a_small_symbol_that_left_first_comes_back_where_it_fits_as_a_whole() -> None:
    buffers = [buffer("small", PAGE, None, transfer=1), split("large", 4, 4, 50)]
    found, _ = allocate(buffers, tiers(14, 99))
    assert found["small"].tier == "hbm"
    assert [each.repeats for each in found["large"].pieces] == [3, 1]


def test_what_hints_want_is_obeyed_or_refused_with_sizes() -> None:
    buffers = [buffer("a", 3 * PAGE, None, transfer=9), buffer("b", 2 * PAGE, None, transfer=1)]
    assert allocate(buffers, tiers(3, 9), {"b": "hbm"})[0]["a"].tier == "ddr"
    assert allocate(buffers, tiers(9, 9), {"a": "ddr"})[0]["a"].tier == "ddr"
    with pytest.raises(MappingError, match=r"20 KiB of a socket are to lie in hbm, which holds 16 KiB: 'a' 12 KiB"):
        allocate(buffers, tiers(4, 9), {"a": "hbm", "b": "hbm"})


@given(
    rows=st.lists(
        st.tuples(st.integers(1, 3 * PAGE), st.integers(1, 6), st.integers(0, 9), st.booleans()), min_size=1, max_size=9
    ),
    near=st.integers(0, 30),
)
def test_what_spilled_would_not_have_fitted_and_is_worth_least(
    rows: list[tuple[int, int, int, bool]], near: int
) -> None:
    buffers = [
        replace(buffer(f"b{at}", part * repeats, None, moved, "weight" if last else "kv_cache"), repeats=repeats)
        for at, (part, repeats, moved, last) in enumerate(rows)
    ]
    found, peaks = allocate(buffers, tiers(near, 999))
    assert peaks["hbm"] <= near * PAGE
    order = sorted(buffers, key=lambda each: (each.role == "weight", each.transfer_bytes, -each.size, each.name))
    kept = {name: sum(each.repeats for each in at.pieces if each.tier == "hbm") for name, at in found.items()}

    def pages(each: Buffer, parts: int) -> int:
        return aligned(each.size // each.repeats * parts)

    for number, each in enumerate(order):
        at = found[each.name]
        assert sum(piece.size for piece in at.pieces) == each.size
        assert [piece.first for piece in at.pieces] == [0, at.repeats][: len(at.pieces)]
        if kept[each.name] == each.repeats:
            continue
        held, room = pages(each, kept[each.name]), near * PAGE - peaks["hbm"]
        assert pages(each, each.repeats) - held > room  # all of it would not have fitted
        if kept[each.name]:
            assert pages(each, kept[each.name] + 1) - held > room  # not even one part more
        worthier = sum(pages(other, kept[other.name]) for other in order[number + 1 :])
        assert pages(each, kept[each.name] + 1) + worthier > near * PAGE or pages(each, each.repeats) == held


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
