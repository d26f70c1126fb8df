from __future__ import annotations

import gzip
import json
from math import isclose
from pathlib import Path

import pytest

from rdusim.errors import OptionError
from rdusim.report.export import as_json, check_trace_ending, json_text, trace_bytes
from rdusim.report.types import Report
from rdusim.sim.trace import Trace

CONTRACT = {
    "latency": {"total_seconds", "time_per_output_token_seconds"},
    "throughput": {
        "tokens_per_second",
        "tokens_per_second_per_user",
        "flops_per_second",
        "model_flops_utilization",
    },
    "simulator": {"version"},
}
SECTION = {"name", "repeats", "seconds", "stages", "pcus", "pmus", "bottleneck", "bound_seconds"}
TIER = {
    "tier", "capacity_bytes", "peak_bytes", "read_bytes", "written_bytes", "achieved_bytes_per_second",
    "bandwidth_utilization",
}  # fmt: skip


def test_json_has_the_names_of_the_contract_and_leaves_out_what_does_not_apply(report: Report) -> None:
    values = json.loads(json_text(as_json(report)))
    for key in ("model", "arch", "sockets", "phase", "batch", "engine", "kernel_launches", "breakdown_seconds"):
        assert key in values
    for key, names in CONTRACT.items():
        assert set(values[key]) == names
    assert set(values["sections"][0]) >= SECTION
    assert set(values["memory"][1]) >= TIER
    assert "read_bytes" not in values["memory"][0]
    assert "input_tokens" not in values
    assert isclose(sum(values["breakdown_seconds"].values()), values["latency"]["total_seconds"])


def test_timeline_lays_first_executions_end_to_end_in_whole_nanoseconds(trace: Trace, tmp_path: Path) -> None:
    content = gzip.decompress(trace_bytes(trace, tmp_path / "run.json.gz"))
    assert content == trace_bytes(trace, tmp_path / "run.json")
    events = [event for event in json.loads(content)["traceEvents"] if event["ph"] == "X"]
    assert [(event["pid"], event["tid"], event["ts"], event["dur"]) for event in events] == [
        (1, 1, 50.0, 850.0),
        (1, 2, 0.0, 800.0),
        (2, 1, 1150.0, 850.0),
    ]
    assert events[1]["args"] == {"bytes": 800.0, "tier": "hbm"}


def test_a_timeline_of_unknown_ending_is_refused() -> None:
    with pytest.raises(OptionError, match=r"known are \.json and \.json\.gz"):
        check_trace_ending(Path("run.vcd"))
