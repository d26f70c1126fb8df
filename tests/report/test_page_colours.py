"""What is written on coloured ground can be read there; series are told apart from the page."""

from __future__ import annotations

import re

import pytest

from rdusim.report.html.grid import CELLS
from rdusim.report.html.style import DASHES, SERIES, sheet
from rdusim.report.memory_map import COLOURS

READABLE = 4.5  # WCAG 2.2, 1.4.3
VISIBLE = 3.0  # 1.4.11, graphical objects


def light(colour: str) -> float:
    """Relative luminance."""
    digits = colour.removeprefix("#")
    digits = "".join(2 * each for each in digits) if len(digits) == 3 else digits
    values = (int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


def variables(page: int) -> dict[str, str]:
    """Colours of the light page, or of the dark one."""
    return dict(re.findall(r"--(\w+):(#[0-9a-f]+)", re.findall(r":root\{([^}]*)\}", sheet())[page]))


@pytest.mark.parametrize("page", [0, 1], ids=["light", "dark"])
def test_text_of_a_page_can_be_read(page: int) -> None:
    colours = variables(page)
    for ink in ("ink", "soft"):
        assert contrast(colours[ink], colours["paper"]) >= READABLE
        assert contrast(colours[ink], colours["box"]) >= READABLE
    assert contrast(colours["ink"], colours["warn"]) >= READABLE


@pytest.mark.parametrize("page", [0, 1], ids=["light", "dark"])
def test_values_can_be_read_on_every_cell(page: int) -> None:
    colours = variables(page)
    for place, level in enumerate(CELLS):
        assert contrast(colours["low" if place <= 2 else "high"], colours[f"f{level}"]) >= READABLE


@pytest.mark.parametrize("page", [0, 1], ids=["light", "dark"])
def test_series_stand_out_from_the_page(page: int) -> None:
    colours = variables(page)
    found = [contrast(pair[page], colours["paper"]) for pair in SERIES]
    assert min(found) >= VISIBLE
    assert len(set(DASHES)) == len(SERIES) == len({pair[page] for pair in SERIES})


def test_names_can_be_read_on_the_memory_map() -> None:
    assert min(contrast("#111", colour) for colour in COLOURS.values()) >= READABLE
