from __future__ import annotations

from decimal import Decimal
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdusim.explore.values import Interval, read_values
from rdusim.units import Dimension, factor, parse


@pytest.mark.parametrize(
    ("text", "whole", "values"),
    [
        ("1,2,4", True, ["1", "2", "4"]),
        (" 1 , 2,1 ", True, ["1", "2"]),
        ("tp=8|tp=4,pp=2", False, ["tp=8", "tp=4,pp=2"]),
        ("tp=4,pp=2|", False, ["tp=4,pp=2"]),
        ("1..8:2", True, ["1", "3", "5", "7"]),
        ("1 TB/s..2 TB/s:0.5", False, ["1 TB/s", "1.5 TB/s", "2 TB/s"]),
        ("1..2 TB/s:0.5 TB/s", False, ["1 TB/s", "1.5 TB/s", "2 TB/s"]),
        ("0.1..0.3:0.1", False, ["0.1", "0.2", "0.3"]),
        ("1..64*4", True, ["1", "4", "16", "64"]),
        ("256 KiB..1024 KiB*2", True, ["256 KiB", "512 KiB", "1024 KiB"]),
        ("1..8@5", False, ["1", "2.75", "4.5", "6.25", "8"]),
        ("1..8@3", True, ["1", "4", "8"]),
        ("1..1000@log4", True, ["1", "10", "100", "1000"]),
        ("1..4@log3", False, ["1", "2", "4"]),
        ("5..5:1", True, ["5"]),
        ("1,4..6:1,9", True, ["1", "4", "5", "6", "9"]),
        ("../mine.yaml,sn40l", False, ["../mine.yaml", "sn40l"]),
    ],
)
def test_values_are_what_is_written(text: str, whole: bool, values: list[str]) -> None:
    assert read_values(text, whole=whole) == values


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no values"),
        ("1,,2", "an empty value"),
        ("8..1:1", "an empty range: 8 is above 1"),
        ("1..8:0", "an empty range"),
        ("1..8@0", "an empty range"),
        ("1..8:1 GB/s", "in the unit of the ends"),
        ("1 us..600 ns@4", "in one unit"),
        ("1..4:4", "one value only"),
        ("4..7*2", "one value only"),
        ("1..8*1", "a factor above 1"),
        ("0..8*2", "begins above 0"),
        ("0..8@log3", "begins above 0"),
        ("1..8@", "behind @"),
        ("1..8@x", "behind @"),
        ("1..8,2", "stands beside other values"),
        ("0..1:0.0000001", "at most 1,000,000"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused_in_its_own_words(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("*", r"\*")):
        read_values(text, whole=False)


@given(low=st.integers(1, 50), steps=st.integers(0, 50), step=st.integers(1, 9))
def test_a_range_by_steps_has_both_ends_where_the_step_divides(low: int, steps: int, step: int) -> None:
    values = read_values(f"{low}..{low + steps * step}:{step}", whole=True)
    assert values == [str(low + number * step) for number in range(steps + 1)]


@given(
    low=st.floats(0.001, 1e3), more=st.floats(0.0, 1e3), share=st.floats(0.0, 1.0, exclude_max=True),
    log=st.booleans(), whole=st.booleans(),
)  # fmt: skip
def test_what_is_drawn_lies_in_the_interval(low: float, more: float, share: float, log: bool, whole: bool) -> None:
    ends = (round(low) + 1.0, round(low) + 1.0 + round(more)) if whole else (low, low + more)
    interval = Interval(low=Decimal(ends[0]), high=Decimal(ends[1]), log=log, grains=1 if whole else None)
    for text in (interval.text(share), interval.at(ends[0] + share * (ends[1] - ends[0]))):
        assert interval.low <= Decimal(text) <= interval.high
        assert not whole or Decimal(text) % 1 == 0


@given(
    low=st.decimals(1, 100, places=3), more=st.decimals(0, 100, places=3), count=st.integers(1, 9),
    unit=st.sampled_from(("B", "kB", "KiB", "MiB", "GiB")), log=st.booleans(),
)  # fmt: skip
def test_sizes_of_a_range_are_whole_bytes_that_lie_in_it(
    low: Decimal, more: Decimal, count: int, unit: str, log: bool
) -> None:
    text = f"{low}..{low + more} {unit}@{'log' if log else ''}{count}"
    ends = [end * int(factor(unit, unit, "size")) for end in (low, low + more)]
    if ceil(ends[0]) > floor(ends[1]):
        with pytest.raises(ValueError, match="no whole number of bytes"):
            read_values(text, whole=True, dimension="size")
        return
    values = read_values(text, whole=True, dimension="size")
    assert isinstance(values, list)
    sizes = [parse(value, "size") for value in values]
    assert all(ends[0] <= size <= ends[1] for size in sizes)
    assert sizes[0] == ceil(ends[0]) and (count == 1 or sizes[-1] == floor(ends[1]))


@pytest.mark.parametrize(
    ("text", "dimension", "values"),
    [
        ("1..2 GiB@3", "size", ["1 GiB", "1.5 GiB", "2 GiB"]),
        ("0.5..2 GiB:0.5", "size", ["0.5 GiB", "1 GiB", "1.5 GiB", "2 GiB"]),
        ("1..2 GiB:512 MiB", "size", ["1 GiB", "1.5 GiB", "2 GiB"]),
        ("1.2..1.8 GiB@3", "size", ["1288490189 B", "1.5 GiB", "1932735283 B"]),
        ("0.5..4 GiB@3", "size", ["0.5 GiB", "2.25 GiB", "4 GiB"]),
        ("512 MiB..2 GiB*2", "size", ["512 MiB", "1024 MiB", "2048 MiB"]),
        ("100ns..10us@log3", "time", ["100 ns", "1000 ns", "10000 ns"]),
        ("1 us..600000 ps@2", "time", None),
        ("2..8 cycles@3", "cycles", ["2 cycles", "5 cycles", "8 cycles"]),
    ],
)
def test_units_of_one_dimension_may_be_mixed_and_sizes_have_fractions(
    text: str, dimension: Dimension, values: list[str] | None
) -> None:
    if values is None:
        with pytest.raises(ValueError, match="an empty range"):
            read_values(text, whole=False, dimension=dimension)
    else:
        assert read_values(text, whole=dimension in ("size", "cycles"), dimension=dimension) == values


@pytest.mark.parametrize(
    ("text", "dimension", "said"),
    [
        ("1..4@3", "bandwidth", "'1' has no unit"),
        ("1..4 GiB@3", "bandwidth", "'1 GiB' is a size"),
        ("1..4 GB/s:2 GiB", "bandwidth", "is a size"),
        ("1.5..4@3", None, "whole numbers at its ends"),
        ("1..4:0.5", None, "a whole step"),
    ],
)
def test_a_range_of_the_wrong_kind_is_one_message(text: str, dimension: Dimension | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_values(text, whole=dimension is None, dimension=dimension)


def test_every_whole_number_of_an_interval_is_drawn_as_often() -> None:
    interval = Interval(low=Decimal(1), high=Decimal(4), grains=1)
    drawn = [interval.text((number + 0.5) / 400) for number in range(400)]
    assert {text: drawn.count(text) for text in drawn} == {str(number): 100 for number in range(1, 5)}
