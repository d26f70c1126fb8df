"""Starting a section: program load, argument load, execute, by the host or in hardware (MICRO'24 sec. IV-D).

docs/model.md, "Launch".
"""

from __future__ import annotations

from dataclasses import dataclass

from rdusim.arch.types import Host, LaunchCosts
from rdusim.units import BytesPerSecond, Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchTime:
    """`staged` can run while the section before still executes; `exposed` cannot, it stands between the two."""

    staged: Seconds
    exposed: Seconds


def hardware(
    units: float, streams: int, loads_program: bool, costs: LaunchCosts, scalars: BytesPerSecond
) -> LaunchTime:
    """A static schedule in the AGCUs: the units of a section that was there already keep their program."""
    program = units * costs.program_bytes_per_unit / costs.program_load_bandwidth if loads_program else 0.0
    return LaunchTime(staged=Seconds(0.0), exposed=Seconds(program + _start(streams, costs, scalars)))


def host(units: float, streams: int, costs: LaunchCosts, scalars: BytesPerSecond, link: Host) -> LaunchTime:
    """The host prepares the call and sends program and arguments while the section before runs.

    Every start loads its program, a repeated one too: the host knows nothing of what the units hold.
    """
    size = units * costs.program_bytes_per_unit
    staged = costs.host_call + link.latency + size / link.bandwidth
    return LaunchTime(
        staged=Seconds(staged), exposed=Seconds(size / costs.program_load_bandwidth + _start(streams, costs, scalars))
    )


def _start(streams: int, costs: LaunchCosts, scalars: BytesPerSecond) -> float:
    """Arguments go one stream after the other over the scalar network, `scalars` bytes per second."""
    return streams * costs.argument_bytes_per_stream / scalars + costs.execute
