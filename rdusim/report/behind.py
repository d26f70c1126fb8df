"""What lies behind the time that a cause has in two runs: how often, how much, how fast; read off the reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isclose
from typing import Final

from rdusim.report.comparison import GPU, Variant
from rdusim.report.programs import streams_each
from rdusim.report.types import MemoryUse, Report
from rdusim.units import Kind, show

SAME: Final = 0.005  # values nearer to each other than that are told as one


def behind(cause: str, first: Variant, here: Variant) -> str:
    """What a cause depends on, in the two runs; nothing for causes that are what is left over."""
    if cause in _NO_GPU_HAS and GPU in (first.kind, here.kind):
        return f"a GPU has no {_NO_GPU_HAS[cause]}"
    if cause in CAUSES:
        return CAUSES[cause](first.report, here.report)
    tiers = [next((use for use in run.report.memory if use.tier == cause), None) for run in (first, here)]
    return _tier(*tiers) if any(use is not None and use.read_bytes is not None for use in tiers) else ""


def _tier(first: MemoryUse | None, here: MemoryUse | None) -> str:
    """Bytes, and the bandwidth that there is for them."""
    if first is None or here is None:
        there = first or here
        assert there is not None, "the caller looks"
        where = "here" if first is None else "before"
        return f"{show(_moved(there), 'size')} moved {where}, the other has no {there.tier}"
    parts = [_instead(_moved(first), _moved(here), "size", "{} moved")]
    if first.peak_bytes_per_second and here.peak_bytes_per_second:
        parts.append(_instead(first.peak_bytes_per_second, here.peak_bytes_per_second, "bandwidth", "a peak of {}"))
    if first.bandwidth_utilization and here.bandwidth_utilization:
        used = first.bandwidth_utilization, here.bandwidth_utilization
        parts.append(_instead(*used, "share", "{} of it reached over the run"))
    return ", ".join(parts)


def _moved(use: MemoryUse) -> float:
    return (use.read_bytes or 0.0) + (use.written_bytes or 0.0)


def _launch(first: Report, here: Report) -> str:
    def each(report: Report) -> float:
        return report.breakdown_seconds.get("launch", 0.0) / max(1, report.kernel_launches)

    launches = _instead(first.kernel_launches, here.kernel_launches, "count", "{} launches", "1 launch")
    return f"{launches}, {_instead(each(first), each(here), 'time', '{} each')}{_streams(first, here)}"


def _fill(first: Report, here: Report) -> str:
    """Every start of a kernel fills its pipelines once."""
    said = "pipelines fill and drain {} times", "pipelines fill and drain once"
    return _instead(first.kernel_launches, here.kernel_launches, "count", *said)


def _compute(first: Report, here: Report) -> str:
    """The model's work, and the peak of the units that there are for it."""
    work = first.operational_intensity.flops, here.operational_intensity.flops
    parts = [_instead(*work, "flop", "{}")]
    peaks = [
        rate.flops_per_second / rate.model_flops_utilization if rate.model_flops_utilization else 0.0
        for rate in (first.throughput, here.throughput)
    ]
    if all(peaks):
        parts.append(_instead(peaks[0], peaks[1], "flops", "a peak of {}"))
    held = [next((use.configured for use in report.units if use.unit == "pcu"), None) for report in (first, here)]
    if held[0] is not None and held[1] is not None:
        parts.append(_instead(held[0], held[1], "share", "{} of the PCUs held on average"))
    return ", ".join(parts)


def _collective(first: Report, here: Report) -> str:
    parts = [_instead(first.setting.sockets_used, here.setting.sockets_used, "count", "{} take part")]
    if first.links is not None and here.links is not None:
        parts.append(_instead(first.links.payload_bytes, here.links.payload_bytes, "size", "{} of results"))
    return ", ".join(parts)


def _host(first: Report, here: Report) -> str:
    return "what the host does between two steps, beside the kernels"


def _agcu(first: Report, here: Report) -> str:
    moved = first.operational_intensity.bytes, here.operational_intensity.bytes
    return f"{_instead(*moved, 'size', '{} through the AGCUs')}{_streams(first, here)}"


def _streams(first: Report, here: Report) -> str:
    """Of two RDUs, where they differ: a section's AGCU streams, which get arguments at each start and share AGCUs."""
    each = streams_each(first), streams_each(here)
    if not all(each) or isclose(*each, rel_tol=SAME):
        return ""
    return f", {each[1]:.3g} AGCU streams a section instead of {each[0]:.3g}"


# Causes that only RDUs have -> what it is that a GPU lacks.
_NO_GPU_HAS: Final[Mapping[str, str]] = {
    "agcu": "AGCUs",
    "fill_drain": "stages that fill and drain",
    "pmu": "PMUs",
    "rdn": "mesh between its units",
    "tln": "network between tiles",
    "die_to_die": "link between dies",
    "pipeline_bubble": "pipeline over sockets",
    "pipeline_transfer": "pipeline over sockets",
}

CAUSES: Final[Mapping[str, Callable[[Report, Report], str]]] = {
    "launch": _launch,
    "fill_drain": _fill,
    "compute": _compute,
    "collective": _collective,
    "host": _host,
    "agcu": _agcu,
}


def _instead(before: float, now: float, kind: Kind, said: str, one: str | None = None) -> str:
    """Both values, or that they are the same. `one`: what is said where the value here is 1."""
    here = one if one is not None and now == 1 else said.format(show(now, kind))
    return f"{here} in both" if isclose(before, now, rel_tol=SAME) else f"{here} instead of {show(before, kind)}"
