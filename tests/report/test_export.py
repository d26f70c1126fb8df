from __future__ import annotations

import json
from math import isclose

from rdusim.report.export import as_json, json_text
from rdusim.report.types import Report

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
