"""What waits for what: sums by reason, the longest wait, and the tables of `explain`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from rdusim.arch.types import Arch
from rdusim.graph.types import OperatorGraph
from rdusim.mapping.types import Mapping, SramRange
from rdusim.program.types import Program
from rdusim.report.explain import after_map, after_simulate
from rdusim.report.export import json_text
from rdusim.report.render_explain import print_explained
from rdusim.report.summarize import summarize
from rdusim.sim.trace import Reason, Stall, Trace
from rdusim.units import Cycles

Golden = Callable[[str, str], None]


def printed(after: str, explained: object) -> str:
    console = Console(width=110, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_explained(after, explained, console)  # type: ignore[arg-type]
    return console.export_text()


@pytest.fixture
def stalled(trace: Trace) -> Trace:
    """The decoder waits 300 of its 1,000 cycles: twice for its weights, and for others on a link."""
    decoder, head = trace.sections
    stalls = (
        Stall(reason=Reason.INPUT, on="load w>qkv kept", cycles=Cycles(100)),
        Stall(reason=Reason.BANDWIDTH, on="link 0.0.1 east", cycles=Cycles(120)),
        Stall(reason=Reason.INPUT, on="load w>qkv kept", cycles=Cycles(30)),
        Stall(reason=Reason.CREDIT, on="qkv>sum", cycles=Cycles(50)),
    )
    stages = (replace(decoder.stages[0], stalls=stalls),)
    return replace(trace, engine="discrete", sections=(replace(decoder, stages=stages), head))


def test_waits_add_up_by_reason_and_the_longest_is_named(stalled: Trace, program: Program) -> None:
    explained = json.loads(json_text(after_simulate(stalled, program)))
    stage = explained["sections"][0]["stages"][0]
    assert stage["wait_cycles"] == {"input": 130, "credit": 50, "bandwidth": 120, "launch": 0}
    assert stage["wait_seconds"]["credit"] == pytest.approx(50e-6)
    assert stage["wait_share"]["bandwidth"] == pytest.approx(0.12)
    assert stage["longest_wait"] == {
        "reason": "input", "on": "load w>qkv kept", "cycles": 130, "seconds": pytest.approx(130e-6)
    }  # fmt: skip
    assert "longest_wait" not in explained["sections"][0]["streams"][0]
    assert "waits" not in explained


def test_the_table_of_waits_reads_as_agreed(stalled: Trace, program: Program, golden: Golden) -> None:
    shown = printed("simulate", after_simulate(stalled, program, "decoder"))
    golden("explain_waits.txt", shown[shown.index("waits of one") :])


def test_an_engine_without_waits_says_which_one_has_them(trace: Trace, program: Program) -> None:
    explained = after_simulate(trace, program)
    assert "wait_seconds" not in json_text(explained)
    assert "engine steady records no waits; --engine discrete does" in printed("simulate", explained)


def test_a_slow_section_names_its_busiest_link_and_its_buffers_their_banks(
    trace: Trace, mapping: Mapping, graph: OperatorGraph, arch: Arch
) -> None:
    decoder, head = mapping.sections
    bank = arch.socket.tile.pmu.capacity // arch.socket.tile.pmu.banks
    sram = {"qkv>sum": (SramRange(flow="qkv>sum", stage="qkv", copy=1, offset=bank, size=bank + 1),)}
    slow = replace(decoder, claimed=20.0, slowdown=1.6, busiest_link=5, sram=sram)
    slowed = replace(mapping, sections=(slow, head))
    section = json.loads(json_text(after_map(slowed, arch)))["sections"][0]
    assert (section["busiest_link"], section["slowdown"]) == ("tile 0, row 0, col 1, east", 1.6)
    assert section["buffers"][0]["banks"] == [1, 2]
    text = printed("map", after_map(slowed, arch, "decoder"))
    assert "busiest mesh link (tile 0, row 0, col 1, east): 32 B" in text
    assert "20 cycles claimed, links need 1.60x" in " ".join(text.split())
    report = summarize(trace, slowed, graph, arch)
    assert [section.rdn_slowdown for section in report.sections] == [1.6, 1.0]
    assert "section decoder: links need 1.60x the claimed time; busiest: tile 0, row 0, col 1, east" in report.notes
