"""Text with a unit in, text with a unit out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdusim.units import Bytes, Dimension, Kind, Seconds, UnitError, dimension_of, parse, show


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("64 GiB", "size", 64 * 2**30),
        ("1.5TiB", "size", 3 * 2**39),
        ("0.5 KiB", "size", 512),
        ("2 kB", "size", 2000),
        ("1.8 TB/s", "bandwidth", 1.8e12),
        ("800 Gb/s", "bandwidth", 100e9),
        ("1 KiB/s", "bandwidth", 1024.0),
        ("600 ns", "time", 600e-9),
        ("3.9 us", "time", 3.9e-6),
        ("3.9 µs", "time", 3.9e-6),
        ("1.198 GHz", "frequency", 1.198e9),
        ("2e3 MHz", "frequency", 2e9),
        ("1 cycle", "cycles", 1),
        ("20 cycles", "cycles", 20),
        ("-1 ns", "time", -1e-9),
    ],
)
def test_a_quantity_is_the_nearest_number_in_si(text: str, dimension: Dimension, value: float) -> None:
    assert parse(text, dimension) == value


@given(st.integers(0, 10**12), st.sampled_from([("B", 0), ("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)]))
def test_sizes_are_exact_integers(count: int, unit: tuple[str, int]) -> None:
    size = parse(f"{count} {unit[0]}", "size")
    assert isinstance(size, int)
    assert size == count << unit[1]


@pytest.mark.parametrize(
    ("text", "dimension", "message"),
    [
        ("64", "size", "'64' has no unit: a size is written like '64 GiB'"),
        ("1e9", "frequency", "'1e9' has no unit: a frequency is written like '1.2 GHz'"),
        ("1.8 TB", "bandwidth", "'1.8 TB' is a size; a bandwidth is wanted, such as '1.8 TB/s'"),
        ("64 Gb", "size", "'64 Gb' has the unknown unit 'Gb'; did you mean GB?; a size is wanted, such as '64 GiB'"),
        ("3 parsec", "time", "'3 parsec' has the unknown unit 'parsec'; a time is wanted, such as '600 ns'"),
        ("fast", "time", "'fast' is not a time such as '600 ns'"),
        ("12:30", "time", "'12:30' is not a time such as '600 ns'"),
        ("nan s", "time", "'nan s' is not a time such as '600 ns'"),
        ("0.3 B", "size", "'0.3 B' is not a whole number of bytes"),
        ("1.5 cycles", "cycles", "'1.5 cycles' is not a whole number of cycles"),
        ("", "size", "'' is not a size such as '64 GiB'"),
    ],
)
def test_a_wrong_quantity_is_told_with_value_dimension_and_example(
    text: str, dimension: Dimension, message: str
) -> None:
    with pytest.raises(UnitError) as caught:
        parse(text, dimension)
    assert str(caught.value) == message


@given(st.text(max_size=40), st.sampled_from(["size", "bandwidth", "time", "frequency", "cycles"]))
def test_no_text_makes_the_parser_stumble(text: str, dimension: Dimension) -> None:
    try:
        value = parse(text, dimension)
    except UnitError:
        return
    assert value == value and abs(value) != float("inf")


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (1.53e12, "bandwidth", "1.53 TB/s"),
        (1.8e12, "bandwidth", "1.80 TB/s"),
        (999.6e9, "bandwidth", "1.00 TB/s"),
        (999.4e9, "bandwidth", "999 GB/s"),
        (38.64e-6, "time", "38.6 us"),
        (1.5, "time", "1.50 s"),
        (0, "time", "0 s"),
        (-2e-3, "time", "-2.00 ms"),
        (64 * 2**30, "size", "64 GiB"),
        (1023 * 2**10, "size", "1023 KiB"),
        (13.48e9, "size", "12.6 GiB"),
        (1.198e9, "frequency", "1.20 GHz"),
        (1040, "count", "1,040"),
        (1, "cycles", "1 cycle"),
        (2, "cycles", "2 cycles"),
        (0.853, "share", "85%"),
        (0.004, "share", "0.4%"),
        (638e12, "flops", "638 TFLOPS"),
        (537.9e6, "flop", "538 MFLOP"),
        (float("inf"), "time", "inf"),
    ],
)
def test_reports_show_three_digits_and_the_unit_a_person_would_choose(value: float, kind: Kind, text: str) -> None:
    assert show(value, kind) == text


@given(st.floats(1e-9, 1e4))
def test_what_is_shown_can_be_parsed_and_is_right_to_three_digits(seconds: float) -> None:
    assert parse(show(seconds, "time"), "time") == pytest.approx(seconds, rel=6e-3)


def test_a_field_type_tells_its_dimension() -> None:
    assert dimension_of(Bytes) == "size"
    assert dimension_of(Seconds) == "time"
    assert dimension_of(int) is None
