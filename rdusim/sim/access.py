"""What a section asks of its memories: the pattern of a load or store, and the share of the peak that it gets."""

from __future__ import annotations

from rdusim.arch.types import MemoryTier
from rdusim.program.types import MemoryStream, Section
from rdusim.timing import dram


def efficiency_of(stream: MemoryStream, section: Section, tier: MemoryTier, written: float) -> dram.Efficiency:
    """Of a load or store of a section of which the share `written` is written. docs/model.md, "HBM, DDR".

    Each of its AGCUs walks its own part of a stream, and they all take turns.
    """
    streams = max(1, section.agcu_streams)
    return dram.efficiency(tier, stream.contiguous, written, streams=streams, gathered=stream.gathered)


def written_share(section: Section) -> float:
    """Share of written bytes while tiles stream: reads and writes then turn the bus around."""
    read = sum(load.bytes for load in section.loads if load.tiles > 1)
    written = sum(store.bytes for store in section.stores if store.tiles > 1)
    return written / (read + written) if read + written else 0.0
