from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rdusim.cli import main
from rdusim.report.compare_page import compare_page
from rdusim.report.comparison import GPU, RDU, Change, Comparison, Variant, difference, parts_of
from rdusim.report.html.axes import both_ways, logarithmic
from rdusim.report.html.points import Guide, _inside
from rdusim.report.reasons import reasons
from rdusim.report.roofline import ceilings_of, ceilings_of_report
from rdusim.report.types import Report
from tests.report.page_checks import check_in_browser, check_page, data, parsed

NASTY = 'a <b> & "c"'


def slower(report: Report, cause: str, seconds: float) -> Report:
    """The same run with so many more seconds of one cause, all in its first section."""
    first, *others = report.sections
    more = {**first.breakdown_seconds, cause: first.breakdown_seconds.get(cause, 0.0) + seconds}
    return replace(
        report,
        latency=replace(report.latency, total_seconds=report.latency.total_seconds + seconds),
        breakdown_seconds={**report.breakdown_seconds, cause: report.breakdown_seconds.get(cause, 0.0) + seconds},
        sections=(replace(first, seconds=first.seconds + seconds, breakdown_seconds=more), *others),
    )


@pytest.fixture
def comparison(report: Report) -> Comparison:
    """A run, a slower one, and one of a GPU, which knows no sections."""
    late = slower(report, "launch", 3e-3)
    gpu = replace(slower(report, "host", 1e-3), sections=(), units=(), links=None)
    change = Change(option="arch", first="tiny", here=NASTY)
    first = Variant(name="tiny", kind=RDU, report=report, parts=parts_of(report.sections))
    others = (
        Variant(name=NASTY, kind=RDU, report=late, parts=parts_of(late.sections), changes=(change,)),
        Variant(name="gpu/x", kind=GPU, report=gpu, parts=parts_of(report.sections)),
    )
    found = [difference(first, other) for other in others]
    told = tuple(replace(each, reasons=reasons(first, other, each)) for each, other in zip(found, others, strict=True))
    return Comparison(variants=(first, *others), differences=told)


def test_a_page_is_alone_and_told_in_words(comparison: Comparison) -> None:
    text = compare_page(comparison, command=f"rdusim compare {NASTY}")
    check_page(text)
    said = "".join(parsed(text).itertext())
    assert all(reason in said for each in comparison.differences for reason in each.reasons)
    assert f"arch {NASTY} instead of tiny" in said


def test_times_and_changes_are_those_of_the_runs(comparison: Comparison) -> None:
    told = data(compare_page(comparison))
    totals = [variant.report.latency.total_seconds for variant in comparison.variants]
    assert told["v-seconds"] == told["c-seconds"] == totals
    changes = [cause.change_seconds for each in comparison.differences for cause in each.causes]
    assert told["d-cause"] == changes
    assert sum(changes[: len(comparison.differences[0].causes)]) == pytest.approx(totals[1] - totals[0])


def test_every_run_and_section_is_a_point_of_the_rooflines(comparison: Comparison) -> None:
    labels = [
        each.get("aria-label") or "" for each in parsed(compare_page(comparison)).iter("g") if each.get("class") == "pt"
    ]
    for variant in comparison.variants:
        assert sum(label.startswith(f"{variant.name}, all of it: ") for label in labels) == 1
        for section in variant.report.sections:
            found = sum(label.startswith(f"{variant.name}, {section.name}: ") for label in labels)
            assert found == ("hbm" in section.moved_bytes)


def test_a_report_knows_the_ceilings_of_its_machine(report: Report, arch: object) -> None:
    own, machine = ceilings_of_report(report), ceilings_of(arch, "bf16", 1)  # type: ignore[arg-type]
    assert own.flops_per_second == pytest.approx(machine.flops_per_second)
    assert own.bytes_per_second == pytest.approx(dict(machine.bytes_per_second))


def test_a_roof_keeps_its_slope_where_the_chart_cuts_it_off() -> None:
    x, y = logarithmic("", 0.01, 1e4, "count"), logarithmic("", 1e3, 1e9, "flops")
    roof = Guide(name="", kind=1, x=(1e-6, 1e3, 1e9), y=(1.0, 1e9 / 10, 1e9 / 10), roof=True)
    xs, ys = _inside(roof, x, y)
    assert ys[0] / xs[0] == pytest.approx(1e5 * (xs[0] / 1e3) ** (np.log(1e8) / np.log(1e9) - 1), rel=0.01)
    assert xs[1] == pytest.approx(1e3) and ys[-1] == pytest.approx(1e8)
    assert xs[0] >= 0.01 and ys[0] >= 1e3 and xs[-1] <= 1e4


def test_changes_have_an_axis_with_both_signs() -> None:
    axis = both_ways("", -0.4e-3, 1.8e-3, "time")
    assert [text for _, text in axis.ticks] == ["-500 us", "0 s", "500 us", "1 ms", "1.5 ms", "2 ms"]
    assert axis.place(np.array([-0.5e-3, 0.0, 2e-3])) == pytest.approx([0.0, 0.2, 1.0])
    assert both_ways("", 0.0, 0.0, "time").place(np.zeros(1)).tolist() == [0.0]


def test_the_same_comparison_gives_the_same_bytes(comparison: Comparison) -> None:
    assert compare_page(comparison) == compare_page(comparison)


def test_compare_writes_the_page_beside_its_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "both.html"
    with pytest.raises(SystemExit) as end:
        main(["compare", "toy-mlp", "--arch", "toy", "--with", "unfused", "--report", str(file)])
    assert not end.value.code and "unfused takes" in capsys.readouterr().out
    text = file.read_text(encoding="utf-8")
    check_page(text)
    assert "rdusim compare toy-mlp --arch toy --with unfused --report both.html" in text


def test_chromium_shows_a_comparison(chromium: str, comparison: Comparison, tmp_path: Path) -> None:
    check_in_browser(chromium, compare_page(comparison), tmp_path)
