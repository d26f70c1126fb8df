"""Timelines: what is in them, and that Perfetto's own engine reads the same from both formats."""

from __future__ import annotations

import gzip
import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from rdusim.arch.types import Arch
from rdusim.errors import OptionError
from rdusim.mapping.types import Mapping
from rdusim.pipeline import RunRequest, Stages
from rdusim.report.perfetto import varint, varints
from rdusim.report.timeline import Timeline, timeline
from rdusim.report.timeline_file import check_trace_ending, timeline_bytes
from rdusim.report.timeline_rows import lanes, steps, summed_rates
from rdusim.report.types import Report
from rdusim.sim.simulate import ENGINES
from rdusim.sim.trace import Counters, Trace
from rdusim.units import Cycles


def _engine() -> ModuleType:
    """tests/tools has no package: its files are programs of their own."""
    path = Path(__file__).resolve().parents[1] / "tools" / "perfetto_engine.py"
    spec = importlib.util.spec_from_file_location("perfetto_engine", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


perfetto_engine = _engine()

EXECUTIONS = """select count(*) count, sum(dur) dur, min(ts) first, max(ts + dur) last,
    sum(extract_arg(arg_set_id, '{0}.hbm_read_bytes')) hbm_read, sum(extract_arg(arg_set_id, '{0}.hbm_written_bytes'))
    hbm_written from slice where category = 'section'"""
LAUNCHES = """select sum(slice.dur) dur from slice join {1} using (track_id) where slice.category = 'launch'"""
RUN_ROW = {
    "pftrace": "(select id as track_id from track where name = 'sections')",
    "json.gz": """(select thread_track.id as track_id from thread_track join thread using (utid)
        where thread.name = 'sections')""",
}
TRACKS = "select count(distinct track_id) count, max(depth) depth, count(*) slices, sum(dur) dur from slice"
COUNTERS = """select count(distinct track_id) count, count(*) samples, max(value) value from counter"""


def _loaded(rows: Timeline, path: Path) -> list[dict[str, float]]:
    """One row for each question; the engine must not complain."""
    path.write_bytes(timeline_bytes(rows, path))
    ending = path.name.split(".", 1)[1]
    prefix = "debug" if ending == "pftrace" else "args"
    questions = [question.format(prefix, RUN_ROW[ending]) for question in (EXECUTIONS, LAUNCHES, TRACKS, COUNTERS)]
    problems, *answers = perfetto_engine.query(path, perfetto_engine.PROBLEMS, *questions)
    assert problems == []
    return [row for answer in answers for row in answer]


@pytest.mark.slow
@pytest.mark.skipif(perfetto_engine.missing() is not None, reason=f"{perfetto_engine.missing()}")
@pytest.mark.parametrize("engine", [name for name in ("steady", "discrete") if name in ENGINES])
def test_perfettos_own_engine_finds_the_totals_of_the_report_in_both_formats(engine: str, tmp_path: Path) -> None:
    stages = Stages(RunRequest(model="gpt2", sockets=1, context_tokens=256, engine=engine))
    shape = stages.shape()
    report, mapping, trace = stages.report(), stages.mapping(shape), stages.trace(shape)
    rows = timeline(trace, mapping, stages.arch)
    found = _loaded(rows, tmp_path / "run.pftrace")
    assert found == _loaded(rows, tmp_path / "run.json.gz")
    executions, launches, tracks, counters = found
    assert executions["count"] == sum(section.repeats for section in report.sections)
    nanoseconds = 1e9 * report.latency.total_seconds
    assert executions["first"] >= 0 and abs(executions["last"] - nanoseconds) <= 1
    assert executions["dur"] + launches["dur"] == executions["last"]
    hbm = next(use for use in report.memory if use.tier == "hbm")
    moved = executions["hbm_read"], executions["hbm_written"]
    assert moved == pytest.approx((hbm.read_bytes, hbm.written_bytes), rel=1e-12)
    assert tracks["count"] == sum(track.unit is None for track in rows.tracks)
    assert tracks["depth"] == 0  # nothing was taken to be nested
    assert tracks["slices"] == rows.slices.start.size
    assert counters["count"] == sum(track.unit is not None for track in rows.tracks) > 0
    assert counters["samples"] == rows.samples.time.size
    assert counters["value"] == rows.samples.value.max()


def test_executions_stand_end_to_end_and_the_first_of_each_section_in_detail_beneath(
    trace: Trace, mapping: Mapping, arch: Arch, report: Report
) -> None:
    rows = timeline(trace, mapping, arch)
    slices = [
        (rows.tracks[track].name, *rows.labels[label], start // 1000, end // 1000)
        for track, label, start, end in zip(
            *(getattr(rows.slices, name).tolist() for name in ("track", "label", "start", "end")), strict=True
        )
    ]
    assert slices[:3] == [
        ("sections", "launch", "launch", 0, 100),
        ("sections", "section", "decoder", 100, 1100),
        ("sections", "launch", "launch", 1100, 1200),
    ]
    assert slices[-3:] == [
        ("qkv", "stage", "compute", 50, 900),
        ("load w", "load", "load", 0, 800),
        ("qkv", "stage", "compute", 4450, 5300),
    ]
    said = [rows.arguments[number] for number in rows.slices.argument.tolist() if number >= 0]
    assert sum(each.get("hbm_read_bytes", 0) for each in said) == report.memory[1].read_bytes == 6400
    assert {"bytes": 800, "tier": "hbm"} in said
    assert rows.groups == (
        "toy on tiny, 2 sockets, engine steady",
        "decoder, execution 1 of 4, one socket",
        "head, one socket",
    )


def test_sections_that_take_turns_do_so_in_the_timeline(trace: Trace, mapping: Mapping, arch: Arch) -> None:
    decoder, head = mapping.launches
    launches = (replace(decoder, times=1), replace(head, group=0), replace(decoder, times=3, first=1, group=1))
    many, one = trace.sections
    split = [replace(many, repeats=times, cycles=Cycles(1100 * times), first=0) for times in (1, 3)]
    again = replace(trace, sections=(split[0], one, replace(split[1], first=1)))
    turns = replace(mapping, launches=launches)
    rows = timeline(again, turns, arch)
    names = [rows.labels[label][1] for label in rows.slices.label[rows.slices.track == 0].tolist()]
    assert [name for name in names if name != "launch"] == ["decoder", "head", "decoder", "decoder", "decoder"]


def test_counters_are_bandwidths_and_the_tiles_in_buffers(trace: Trace, mapping: Mapping, arch: Arch) -> None:
    counters = Counters(
        names=("qkv>sum",),
        time=np.array([60.0, 70.0]),
        value=np.array([1.0, 0.0]),
        name=np.zeros(2, dtype=np.int32),
        section=np.zeros(2, dtype=np.int32),
    )
    rows = timeline(replace(trace, counters=counters), mapping, arch)
    samples = [
        (rows.tracks[track].name, rows.tracks[track].unit, time // 1000, value)
        for track, time, value in zip(
            *(getattr(rows.samples, name).tolist() for name in ("track", "time", "value")), strict=True
        )
    ]
    assert samples == [
        ("hbm bandwidth", "B/s", 0, 1e6),
        ("hbm bandwidth", "B/s", 800, 0.0),
        ("qkv>sum", "tiles", 60, 1.0),
        ("qkv>sum", "tiles", 70, 0.0),
    ]


def test_a_timeline_file_is_the_same_every_time_and_gz_is_the_json(trace: Trace, mapping: Mapping, arch: Arch) -> None:
    rows, again = timeline(trace, mapping, arch), timeline(trace, mapping, arch)
    for name in ("run.pftrace", "run.json.gz"):
        assert timeline_bytes(rows, Path(name)) == timeline_bytes(again, Path(name))
    plain = timeline_bytes(rows, Path("run.json"))
    assert gzip.decompress(timeline_bytes(rows, Path("run.json.gz"))) == plain
    assert all(event.get("tid") != 0 for event in json.loads(plain)["traceEvents"])


def test_overlapping_slices_of_a_row_get_lanes_of_their_own() -> None:
    track = np.array([0, 0, 0, 0, 1, 1])
    start = np.array([0, 5, 10, 12, 0, 10])
    end = np.array([10, 12, 20, 20, 10, 20])
    assert lanes(track, start, end).tolist() == [0, 1, 0, 1, 0, 0]


def test_rates_that_overlap_add_up_and_end_at_nothing() -> None:
    track, start, end = np.array([0, 0, 1, 1]), np.array([0.0, 2.0, 1.0, 5.0]), np.array([4.0, 6.0, 3.0, 5.0])
    rows, time, value = summed_rates(track, start, end, np.array([8.0, 4.0, 0.1, 7.0]))
    found = steps(rows, time.astype(np.int64), value)
    assert list(zip(found.track.tolist(), found.time.tolist(), found.value.tolist(), strict=True)) == [
        (0, 0, 2.0), (0, 2, 3.0), (0, 4, 1.0), (0, 6, 0.0), (1, 1, pytest.approx(0.05)), (1, 3, 0.0),
    ]  # fmt: skip


def test_padded_varints_mean_what_short_ones_do() -> None:
    def decoded(content: bytes) -> int:
        assert [byte >> 7 for byte in content] == [1] * (len(content) - 1) + [0]
        return sum((byte & 127) << 7 * place for place, byte in enumerate(content))

    values = [0, 1, 127, 128, 300, 2**62]
    assert [decoded(each) for each in varints(np.array(values))] == values
    assert [decoded(varint(value)) for value in values] == values
    assert varint(300) == b"\xac\x02"


def test_a_timeline_of_unknown_ending_is_refused() -> None:
    with pytest.raises(OptionError, match=r"known are \.pftrace, \.json and \.json\.gz"):
        check_trace_ending(Path("run.vcd"))
