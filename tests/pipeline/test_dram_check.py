"""The closed form of a memory against its commands, on a part of the grid of docs/dram.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from rdusim.arch.presets import presets
from rdusim.pipeline.dram_check import measure, patterns
from rdusim.report.dram_check import LIMIT, DramCheck, as_json, cells, markdown, said
from rdusim.report.render_validate import BEGIN, END

GRID = tuple(patterns())


@pytest.mark.slow
@pytest.mark.parametrize("preset", presets())
def test_closed_form_and_commands_agree_within_a_twentieth(preset: str) -> None:
    """Every 17th pattern: all orders, numbers of streams, pieces and shares of writes are among them."""
    for pattern in GRID[sum(map(ord, preset)) % 17 :: 17]:
        found = measure(preset, pattern)
        assert abs(found.difference) <= LIMIT, (said(pattern), cells(found))


def test_the_page_holds_every_pattern_of_every_preset_and_none_beyond_the_limit() -> None:
    text = (Path(__file__).parents[2] / "docs/dram.md").read_text().partition(BEGIN)[2].partition(END)[0]
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| pattern")]
    assert len(rows) == len(presets()) * len(GRID)
    assert "BROKEN" not in text


def test_a_difference_beyond_the_limit_is_broken() -> None:
    row = measure("hbm2e", GRID[0])
    assert not row.failed
    check = DramCheck(rows=(type(row)(**{name: getattr(row, name) for name in row.__slots__} | {"closed_form": 0.5}),))
    assert len(check.failed) == 1
    assert "BROKEN" in markdown(check)
    found = as_json(check)
    assert isinstance(found, dict) and found["broken"] == 1
