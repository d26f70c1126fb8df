from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from io import StringIO

import pytest
from rich.console import Console

from rdusim.arch.types import Arch
from rdusim.errors import OptionError
from rdusim.mapping.types import Mapping
from rdusim.program.types import Program
from rdusim.report.explain import after_lower, after_map, after_simulate
from rdusim.report.render import print_report
from rdusim.report.render_explain import print_explained
from rdusim.report.types import Report
from rdusim.sim.trace import Trace

Golden = Callable[[str, str], None]


def printed(print_to: Callable[[Console], None], width: int = 80) -> str:
    text = StringIO()
    print_to(Console(file=text, width=width, highlight=False, markup=False, emoji=False, color_system=None))
    return text.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_report_reads_as_agreed(report: Report, golden: Golden, width: int) -> None:
    golden(f"report_{width}.txt", printed(lambda console: print_report(report, console), width))


def test_long_section_names_leave_the_numbers_whole(report: Report) -> None:
    long = tuple(replace(section, name="block/" * 12 + section.name) for section in report.sections)
    text = printed(lambda console: print_report(replace(report, sections=long), console))
    assert "hbm 80%" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(("phase", "said"), [("prefill", "to the first token"), ("decode", "per token")])
def test_headline_says_what_the_phase_is_about(report: Report, phase: str, said: str) -> None:
    shown = replace(report, setting=replace(report.setting, phase=phase))
    assert f"5.50 ms {said}" in printed(lambda console: print_report(shown, console))


def test_explanations_read_as_agreed(
    program: Program, mapping: Mapping, trace: Trace, arch: Arch, golden: Golden
) -> None:
    steps = {"lower": after_lower(program), "map": after_map(mapping, arch), "simulate": after_simulate(trace, program)}
    for after, explained in steps.items():
        golden(f"explain_{after}.txt", printed(partial(print_explained, after, explained), 100))


def test_one_section_is_explained_alone(program: Program, mapping: Mapping, trace: Trace, arch: Arch) -> None:
    for explained in (
        after_lower(program, "head"),
        after_map(mapping, arch, "head"),
        after_simulate(trace, program, "head"),
    ):
        assert [section["name"] for section in explained["sections"]] == ["head"]  # type: ignore[index, union-attr, call-overload]


def test_an_unknown_section_is_refused_with_the_nearest_name(program: Program) -> None:
    with pytest.raises(OptionError, match="did you mean decoder"):
        after_lower(program, "decoders")
