from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdusim.explore.values import Interval, read_values


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
    interval = Interval(low=ends[0], high=ends[1], unit="", log=log, whole=whole)
    value = float(interval.text(share))
    assert ends[0] * (1 - 1e-5) <= value <= ends[1] * (1 + 1e-5)
    assert not whole or value == int(value)


def test_every_whole_number_of_an_interval_is_drawn_as_often() -> None:
    interval = Interval(low=1, high=4, unit="KiB", log=False, whole=True)
    drawn = [interval.text((number + 0.5) / 400) for number in range(400)]
    assert {text: drawn.count(text) for text in drawn} == {f"{number} KiB": 100 for number in range(1, 5)}
