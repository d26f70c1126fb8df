"""What must hold between the fields of a GPU, so that no number can break it alone."""

from __future__ import annotations

from collections.abc import Iterator

from rdusim.baselines.gpu.types import Gpu, Node
from rdusim.dtypes import SIZE
from rdusim.errors import Problem
from rdusim.units import show


def check_part(part: object) -> list[Problem]:
    """Broken invariants of one part itself; fields are relative to the part."""
    if isinstance(part, Gpu):
        return list(_gpu(part))
    return list(_node(part)) if isinstance(part, Node) else []


def _gpu(gpu: Gpu) -> Iterator[Problem]:
    if "bf16" not in gpu.tensor_macs_per_cycle:
        yield Problem(field="tensor_macs_per_cycle", message="bf16 is missing", hint="every model can run in bf16")
    for dtype in gpu.tensor_macs_per_cycle.keys() - SIZE.keys():
        known = ", ".join(SIZE)
        yield Problem(field=f"tensor_macs_per_cycle.{dtype}", message="unknown number format", hint=f"known: {known}")
    if not gpu.memory.latency:
        yield Problem(field="memory.latency", message="must be greater than zero", hint="such as 600 ns")
        return
    reach = gpu.sms * gpu.bytes_in_flight / gpu.memory.latency
    if reach < gpu.memory.bandwidth * gpu.memory.streaming:
        most = show(reach, "bandwidth")
        yield Problem(
            field="bytes_in_flight",
            message=f"{gpu.sms} SMs with {show(gpu.bytes_in_flight, 'size')} in flight reach {most}, HBM streams more",
            hint="raise bytes_in_flight, or lower memory.bandwidth, memory.streaming or memory.latency",
        )


def _node(node: Node) -> Iterator[Problem]:
    if node.host_links > node.gpus:
        yield Problem(
            field="host_links",
            message=f"{node.host_links} links, but {node.gpus} GPUs",
            hint="at most one for each GPU",
        )
