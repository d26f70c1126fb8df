"""What people see of a tornado: bars on the right side, everything folded said, the same bytes twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from rdusim.report.render_sensitivity import print_sensitivity, said
from rdusim.report.sensitivity import End, Influence, Sensitivity
from rdusim.report.tornado import tornado
from rdusim.report.types import Setting

SETTING = Setting(model="toy", arch="tiny", sockets=1, sockets_used=1, phase="decode", batch=1, engine="steady")


def influence(path: str, low: float | None, high: float | None, **changes: object) -> Influence:
    each = Influence(
        path=path,
        text="10 us",
        value=10.0,
        note="assumed: a guess",
        base=100.0,
        low=None if low is None else End(text="8 us", value=8.0, metric=low),
        high=None if high is None else End(text="12 us", value=12.0, metric=high),
    )
    return replace(each, **changes)  # type: ignore[arg-type]


@pytest.fixture
def found() -> Sensitivity:
    return Sensitivity(
        name="toy step",
        setting=SETTING,
        metric="latency.total_seconds",
        base=100.0,
        by=0.2,
        remapped=False,
        parameters=(
            influence("memory.bandwidth", 120.0, 90.0, note="a paper"),
            influence("launch.cost", 95.0, 105.0),
            influence("tile.rows", None, 101.0, compiled_again=True, problem="there is no lower value near 1"),
            influence("ddr.latency", 100.0, 100.05),
            influence("ddr.bandwidth", 100.0, 100.0),
        ),
        refused=(influence("hbm.refresh", None, None, problem="no other value"),),
    )


def printed(found: Sensitivity, width: int = 80, **options: bool) -> str:
    text = StringIO()
    print_sensitivity(
        [found], Console(file=text, width=width, highlight=False, markup=False, color_system=None), **options
    )
    return text.getvalue()


def test_bars_go_left_for_less_and_right_for_more(found: Sensitivity) -> None:
    rows = {line.split()[0]: line for line in printed(found).splitlines() if line and "|" in line}
    assert "+20.0%" in rows["memory.bandwidth"] and "-10.0%" in rows["memory.bandwidth"]
    left, _, right = rows["memory.bandwidth"].partition("|")
    count = [part.count("\N{FULL BLOCK}") + part.count("#") for part in (left, right)]
    assert count == [2, 5]  # 10% and 20% of half a bar of five
    assert "launch.cost*" in rows and "memory.bandwidth" in rows
    assert "-0.71" in rows["memory.bandwidth"]  # ln(90/120) / ln(12/8) = -0.7095


def test_what_has_no_row_is_told_in_a_line_with_its_reason(found: Sensitivity) -> None:
    text = " ".join(printed(found).split())
    assert "2 other fields move it by less than 0.1% between their ends, 1 of them by nothing" in text
    assert "tile.rows, one end only: there is no lower value near 1" in text
    assert "hbm.refresh = 10 us cannot be varied: no other value" in text
    assert "--remap" in text and "--remap" not in printed(replace(found, remapped=True))
    assert "ddr.latency" not in text
    assert "ddr.latency" in printed(found, everything=True)


def test_values_stand_beside_the_bars_where_there_is_room(found: Sensitivity) -> None:
    assert "8 us" not in printed(found)
    assert "8 us" in printed(found, width=120)
    assert max(map(len, printed(found).splitlines())) <= 80


def test_counts_that_could_not_be_moved_by_the_share_are_told(found: Sensitivity) -> None:
    far = replace(influence("banks", 90.0, 100.0), low=End(text="4 us", value=4.0, metric=90.0))
    assert "moved to: banks 4 us .. 12 us" in printed(replace(found, parameters=(far,)))


def test_the_plot_is_the_same_bytes_twice_and_has_the_fields_that_move_it(found: Sensitivity) -> None:
    pytest.importorskip("matplotlib")
    once = tornado([found, found], "twice")
    assert once == tornado([found, found], "twice")
    text = once.decode()
    assert "memory.bandwidth (8 us .. 12 us)" in " ".join(text.split()).replace("  ", " ")
    assert "ddr.latency" not in text and text.startswith("<?xml")


def test_a_plot_without_matplotlib_names_what_to_install(found: Sensitivity, monkeypatch: pytest.MonkeyPatch) -> None:
    from rdusim.errors import OptionError

    missing: Callable[[str], None] = lambda name: None  # noqa: E731
    monkeypatch.setattr("importlib.util.find_spec", missing)
    with pytest.raises(OptionError, match="pip install 'rdusim\\[plot\\]'"):
        tornado([found])


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("latency.total_seconds", 1.5e-3, "1.50 ms"),
        ("memory.hbm.achieved_bytes_per_second", 1e12, "1.00 TB/s"),
        ("memory.hbm.peak_bytes", 1024.0, "1 KiB"),
        ("throughput.flops_per_second", 1e12, "1.00 TFLOPS"),
        ("throughput.tokens_per_second", 593.2, "593.2"),
    ],
)
def test_a_figure_is_shown_in_its_unit(metric: str, value: float, text: str) -> None:
    assert said(metric, value) == f"{metric} {text}"
