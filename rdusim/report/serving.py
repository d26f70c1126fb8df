"""The answer to a scenario: what was asked, metrics, caches, what it rests on; its documented JSON (docs/cli.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

import numpy as np

from rdusim.report.export import Json, to_json
from rdusim.serve.coe import CurvePoint
from rdusim.serve.find import Found
from rdusim.serve.metrics import Metrics, Prices, Spread
from rdusim.serve.slo import Slo
from rdusim.serve.types import ServeResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The scenario in words and numbers, every default filled in. `machine`: as its report calls it."""

    scenario: str
    about: str
    machine: str
    sockets: int
    nodes: int
    scheduler: str
    batch: int
    experts: int
    router: str | None
    routing: str
    cache: str
    load: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUse:
    """Bytes of a node's nearest tier by what they are for. `home_bytes`: what all experts take where they live."""

    capacity_bytes: int
    router_bytes: int
    expert_bytes: int
    kv_bytes: int
    home_bytes: int
    home_capacity_bytes: int | None
    resident_experts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheUse:
    """Over all nodes. `moved_bytes` into the nearest tier, `copied_back_bytes` out of it. `copy_seconds`: of copies."""

    hits: int
    misses: int
    hit_rate: float | None
    moved_bytes: int
    copied_back_bytes: int
    evictions: int
    copy_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TableUse:
    """What step costs of a shape rest on; errors are relative (docs/model.md)."""

    shape: str
    measured: int
    error_inside: float
    error_beyond: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FootprintCurve:
    """Of one machine: mean latency by number of experts, how many a node holds, and the nodes that hold `experts`.

    `nodes_near`: to hold all of them in the nearest tier.
    """

    machine: str
    resident: int
    held: int
    nodes: int
    nodes_near: int
    points: tuple[CurvePoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeReport:
    """Everything that `rdusim serve` prints and exports. `result` has the columns that it was made from."""

    asked: Asked
    metrics: Metrics
    cache: CacheUse
    memory: NodeUse
    tables: tuple[TableUse, ...]
    result: ServeResult
    slo: Slo | None = None
    prices: Prices | None = None
    wanted: str | None = None
    found: Found | None = None
    footprint: tuple[FootprintCurve, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def partial(self) -> bool:
        return self.result.partial


def cache_use(result: ServeResult) -> CacheUse:
    """Read off the switches."""
    switches = result.switches
    sizes = np.array([expert.weight_bytes for expert in result.experts], dtype=np.int64)
    copied = switches.expert[switches.expert >= 0]
    asked = result.hits + result.misses
    return CacheUse(
        hits=result.hits,
        misses=result.misses,
        hit_rate=result.hits / asked if asked else None,
        moved_bytes=int(sizes[copied].sum()),
        copied_back_bytes=round(float(switches.copied_back.sum())),
        evictions=int((switches.evicted >= 0).sum()),
        copy_seconds=float((switches.end - switches.begin).sum()),
    )


def as_json(report: ServeReport) -> dict[str, Json]:
    """The contract of docs/cli.md, 'The JSON of serve': SI units; what does not apply is absent."""
    metrics, result = report.metrics, report.result
    found: dict[str, Json] = {
        "partial": report.partial,
        "asked": to_json(report.asked),
        "requests": {
            "asked": metrics.requests,
            "finished": metrics.finished,
            "rejected": metrics.rejected,
            "per_second": _finite(metrics.requests_per_second),
            "input_tokens": metrics.input_tokens,
            "output_tokens": metrics.output_tokens,
            "output_tokens_per_second": _finite(metrics.tokens_per_second),
            "preemptions": result.preemptions,
        },
        "seconds": float(metrics.seconds),
        "latency_seconds": {name: spread_json(spread) for name, spread in spreads(metrics).items()},
        "cause_shares": to_json(metrics.causes),
        "utilization": to_json(metrics.utilisation),
        "expert_cache": to_json(report.cache),
        "memory": to_json(report.memory),
        "kv_peak_bytes": {
            "near": _largest(result.occupancy.kv_near_bytes),
            "far": _largest(result.occupancy.kv_far_bytes),
        },
        "step_costs": to_json(report.tables),
        "notes": list(report.notes),
    }
    optional: dict[str, Json] = {
        "slo": _slo_json(report),
        "price_per_million_output_tokens": metrics.price_per_million_tokens,
        "joules_per_output_token": metrics.joules_per_token,
        "found": _found_json(report),
        "footprint": [_curve_json(curve) for curve in report.footprint] or None,
    }
    return found | {name: value for name, value in optional.items() if value is not None}


def spreads(metrics: Metrics) -> Mapping[str, Spread]:
    """Latencies by name, those that a request can have."""
    return {
        "ttft": metrics.ttft,
        "tpot": metrics.tpot,
        "tbt": metrics.tbt,
        "e2e": metrics.e2e,
        "queue": metrics.queue,
    }


def spread_json(spread: Spread) -> Json:
    """Of nothing, only the count."""
    if not spread.count:
        return {"count": 0}
    percentiles: dict[str, Json] = {f"p{place:g}": value for place, value in spread.percentiles.items()}
    return {"count": spread.count, "mean": spread.mean, **percentiles, "max": spread.largest}


def _slo_json(report: ServeReport) -> Json:
    if report.slo is None:
        return None
    found: dict[str, Json] = {
        "limits_seconds": to_json(report.slo.limits),
        "wanted_share": report.slo.share,
        "kept_share": report.metrics.attained,
        "goodput_requests_per_second": _finite(report.metrics.goodput),
    }
    return {name: value for name, value in found.items() if value is not None}


def _found_json(report: ServeReport) -> Json:
    found = report.found
    if found is None:
        return None
    said: dict[str, Json] = {
        "wanted": report.wanted,
        "met": found.value is not None,
        "value": found.value,
        "bounded": found.bounded,
        "message": found.message,
        "missed": {name: _finite(times) for name, times in found.missed.items()},
        "trials": to_json(found.trials),
    }
    return {name: value for name, value in said.items() if value is not None}


def _curve_json(curve: FootprintCurve) -> Json:
    points: list[Json] = []
    for point in curve.points:
        said: dict[str, Json] = {"experts": point.experts, "resident": point.resident}
        if (latency := point.latency) is not None:
            said |= {
                "route_seconds": float(latency.route),
                "switch_seconds": float(latency.switch),
                "execute_seconds": float(latency.execute),
                "total_seconds": float(latency.total),
            }
        points.append(said)
    return {
        "machine": curve.machine,
        "resident": curve.resident,
        "held": curve.held,
        "nodes": curve.nodes,
        "nodes_near": curve.nodes_near,
        "points": points,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None


def _largest(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    return float(values.max()) if len(values) else 0.0
