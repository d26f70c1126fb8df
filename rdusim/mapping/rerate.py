"""A mapping on a machine of other rates: sites, routes, memory and starts stay; its pace is said anew."""

from __future__ import annotations

from dataclasses import replace

from rdusim.arch.types import Arch
from rdusim.mapping.claim import capacity, claimed_cycles
from rdusim.mapping.pieces import places_at
from rdusim.mapping.types import Mapping


def rerated(mapping: Mapping, arch: Arch) -> Mapping:
    """The mapping as it runs on `arch`, which has the structure (arch/structure.py) of the machine it was made for."""
    nearest = places_at(mapping.allocations, 0)
    links = arch.socket.tile.rdn.vector_links
    sections = []
    for mapped in mapping.sections:
        claimed = claimed_cycles(mapped.section, nearest, arch)
        slowdown = max(1.0, mapped.link_load * links / capacity(claimed, arch))
        sections.append(replace(mapped, claimed=claimed, slowdown=slowdown))
    return replace(mapping, sections=tuple(sections))
