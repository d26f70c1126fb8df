"""Microbenchmarks from YAML: a small machine, and one section made by hand or lowered from a small graph.

The format: experiments/micro/README.md.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import yaml

from rdusim.arch.load import load_arch
from rdusim.arch.types import Arch
from rdusim.errors import GraphError, Problem, RdusimError
from rdusim.graph.readers.document import Document, Node
from rdusim.graph.readers.yaml import read_document, read_yaml
from rdusim.graph.types import OperatorGraph, Phase, RunShape
from rdusim.mapping.map_onto import map_onto
from rdusim.mapping.types import Mapping, SramRange
from rdusim.pipeline.micro_section import read_section
from rdusim.program.lower import lower
from rdusim.program.types import Fusion, LowerOptions
from rdusim.shipped import names

SCHEMA: Final = "rdusim-micro/1"
KEYS: Final = ("schema", "name", "about", "arch", "set", "graph", "fusion", "section", "banks")
BANKS: Final = ("one", "two")
ANY_SHAPE: Final = RunShape(phase=Phase.PREFILL, batch=1, query_tokens=1, context_tokens=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Micro:
    """A microbenchmark, ready to be simulated by any engine."""

    name: str
    about: str
    arch: Arch
    mapping: Mapping


def load_micro(path: str | Path) -> Micro:
    """The microbenchmark of a file, mapped. Raises RdusimError with every problem of the file at once."""
    path = Path(path)
    document = Document(path)
    top = document.mapping(document.root, "micro", KEYS)
    _check_schema(document, top)
    arch = _arch(document, top, path.parent)
    if ("graph" in top) == ("section" in top):
        message = "needs either 'graph' or 'section'"
        document.wrong(document.root, message, field="micro", hint="a graph is lowered, a section is taken as it is")
    name = document.text(top["name"], "name") if "name" in top else path.stem
    fusion = Fusion(document.word(top.get("fusion"), "fusion", list(Fusion), Fusion.FUSED))
    banks = document.word(top["banks"], "banks", BANKS, BANKS[1]) if "banks" in top else None
    hand = read_section(document, top["section"], name) if "section" in top else None
    document.check()
    assert arch is not None
    if hand is not None:
        mapping = map_onto(hand.program, arch, sites=hand.sites)
    else:
        graph = _graph(document, top["graph"], path, name)
        mapping = map_onto(lower(graph, arch, LowerOptions(fusion=fusion, sockets=1)), arch)
    if banks is not None:
        mapping = _in_banks(mapping, arch, BANKS.index(banks) + 1, path)
    about = document.text(top["about"], "about") if "about" in top else ""
    return Micro(name=name, about=about, arch=arch, mapping=mapping)


def _check_schema(document: Document, top: dict[str, Node]) -> None:
    schema = document.text(top["schema"], "schema") if "schema" in top else ""
    if schema != SCHEMA:
        hint = f"the first key is 'schema: {SCHEMA}'"
        document.wrong(top.get("schema", document.root), f"{schema!r} is not a schema", field="schema", hint=hint)
        document.check()


def _arch(document: Document, top: dict[str, Node], folder: Path) -> Arch | None:
    """A shipped machine, or a file beside this one, with overrides. What is wrong with it is told with the rest."""
    node = top.get("arch")
    name = document.text(node, "arch") if node is not None else "toy"
    overrides = [document.text(entry, "set") for entry in document.sequence(top.get("set"), "set")]
    try:
        return load_arch(name if name in names("arch") else folder / name, overrides)
    except RdusimError as error:
        for problem in error.problems:
            document.wrong(node, str(problem), field="arch")
        return None


def _graph(document: Document, node: Node, path: Path, name: str) -> OperatorGraph:
    if isinstance(node, yaml.ScalarNode):
        return read_yaml(path.parent / document.text(node, "graph"), ANY_SHAPE)
    inner = copy(document)  # the same file and the same list of problems, another root
    inner.root = node
    return read_document(inner, name, ANY_SHAPE)


def _in_banks(mapping: Mapping, arch: Arch, banks: int, path: Path) -> Mapping:
    """Buffers of streams with their copies in one bank, or in two: what else is in the PMUs is in nobody's way."""
    pmu = arch.socket.tile.pmu
    bank = pmu.capacity // pmu.banks
    sections, problems = [], []
    for mapped in mapping.sections:
        pmus = {placement.stage: max(1, len(placement.pmus)) for placement in mapped.placements}
        sram = {}
        for stream in mapped.section.streams:
            size = -(-stream.tile_bytes // pmus[stream.source])
            if size * (stream.depth if banks == 1 else 1) > bank:
                problems.append(
                    Problem(
                        message=f"a tile of stream {stream.name!r} takes {size} bytes in each PMU, a bank has {bank}",
                        file=str(path),
                        field="banks",
                        hint="make tiles smaller or give the stage more PMUs",
                    )
                )
            sram[stream.name] = tuple(
                SramRange(
                    flow=stream.name,
                    stage=stream.source,
                    copy=number,
                    offset=number * size if banks == 1 else number % pmu.banks * bank,
                    size=size,
                )
                for number in range(stream.depth)
            )
        sections.append(replace(mapped, sram=sram))
    if problems:
        raise GraphError(*problems)
    return replace(mapping, sections=tuple(sections))
