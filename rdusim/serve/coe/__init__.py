"""Composition of Experts: a router, experts that are copied in when wanted, and what that costs a request."""

from __future__ import annotations

from rdusim.serve.coe.footprint import Footprint, NodeMemory, footprint, nodes_needed
from rdusim.serve.coe.kv_need import kv_need
from rdusim.serve.coe.latency import CoeLatency, CurvePoint, coe_latency, latency_curve
from rdusim.serve.coe.run import serve_coe
from rdusim.serve.coe.types import CoeSettings, Grouping

__all__ = [
    "CoeLatency",
    "CoeSettings",
    "CurvePoint",
    "Footprint",
    "Grouping",
    "NodeMemory",
    "coe_latency",
    "footprint",
    "kv_need",
    "latency_curve",
    "nodes_needed",
    "serve_coe",
]
