"""Small mapped programs of every family, with inputs and the numbers that they must give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rdusim.arch.load import load_arch
from rdusim.arch.types import Arch
from rdusim.graph.evaluate import evaluate
from rdusim.graph.load import load_constants, load_graph, shipped_file
from rdusim.graph.scale import Scale, scaled_down, write_config
from rdusim.graph.settings import read_settings
from rdusim.graph.types import OperatorGraph, Phase, RunShape
from rdusim.mapping.map_onto import map_onto
from rdusim.mapping.types import MappedSection
from rdusim.mapping.types import Mapping as Mapped
from rdusim.pipeline.check_numbers import compare, observed
from rdusim.program.lower import lower
from rdusim.program.types import Fusion, LowerOptions, Parallelism, Stream
from rdusim.sim.functional import Counts, Executed, execute
from rdusim.sim.functional.inputs import random_inputs

FAMILIES = {
    "llama": "llama-3.1-8b", "mistral": "mistral-7b", "qwen2": "qwen2.5-7b", "bloom": "bloom-176b",
    "falcon": "falcon-40b", "gpt2": "gpt2", "qwen3": "qwen3-8b", "mixtral": "mixtral-8x7b",
    "qwen3_moe": "qwen3-30b-a3b", "gpt_oss": "gpt-oss-20b", "deepseek_v3": "deepseek-v3",
}  # fmt: skip
PREFILL = RunShape(phase=Phase.PREFILL, batch=2, query_tokens=8, context_tokens=8, full_routing=True)
DECODE = RunShape(phase=Phase.DECODE, batch=3, query_tokens=1, context_tokens=9, full_routing=True)
ONCE = RunShape(phase=Phase.PREFILL, batch=1, query_tokens=1, context_tokens=1)

CHAIN = """schema: rdusim-graph/1
name: chain
description: Two products with a residual around them, 16 rows.
tensors:
  x: {role: input, shape: [16, 12]}
  up: {role: weight, shape: [12, 24]}
  down: {role: weight, shape: [24, 12]}
  scale: {role: weight, shape: [12]}
operators:
  first:
    do: linear x[b,k], up[k,f] -> h[b,f]
    parallel: [f]
  act: relu h[b,f] -> a[b,f]
  second: linear a[b,f], down[f,k] -> d[b,k]
  add: add x[b,k], d[b,k] -> r[b,k]
  norm: mul r[b,k], scale[k] -> y[b,k]
"""


@dataclass(frozen=True)
class Case:
    graph: OperatorGraph
    arch: Arch
    mapping: Mapped
    inputs: Mapping[str, Any]

    def run(self, mapping: Mapped | None = None) -> Executed:
        return execute(mapping or self.mapping, self.graph, self.arch, self.inputs, observed(self.graph))

    def differs(self, mapping: Mapped | None = None) -> list[str]:
        """Results that are not those of the graph."""
        return self.check(mapping)[0]

    def check(self, mapping: Mapped | None = None) -> tuple[list[str], Counts]:
        ran = self.run(mapping)
        wanted = evaluate(self.graph, self.inputs, observed(self.graph))
        found = compare(wanted, {**ran.kept, **ran.results})
        return [each.tensor for each in found if not each.equal], ran.counts


def small(
    family: str,
    shape: RunShape,
    folder: Path,
    *,
    ways: int = 1,
    machine: str = "toy",
    least_tiles: int = 1,
    unfused: bool = False,
    cut_after: tuple[str, ...] = (),
    **config: Any,
) -> Case:
    """A shipped model of the family, scaled down; `config` changes its keys."""
    settings = read_settings(shipped_file(FAMILIES[family]))
    values = scaled_down(settings, Scale(ways=ways, tokens=shape.context_tokens, few=shape.context_tokens))
    path = write_config({**values, **config}, folder)
    return case(load_graph(path, shape), load_constants(path, shape), ways, machine, least_tiles, unfused, cut_after)


def case(
    graph: OperatorGraph, known: Mapping[str, Any], ways: int = 1, machine: str = "toy", least_tiles: int = 1,
    unfused: bool = False, cut_after: tuple[str, ...] = (),
) -> Case:  # fmt: skip
    arch = load_arch(machine, (f"system.sockets={max(2, ways)}",))
    fusion = Fusion.UNFUSED if unfused else Fusion.FUSED
    options = LowerOptions(
        fusion=fusion, parallelism=Parallelism(tp=ways), sockets=ways, cut_after=cut_after, least_tiles=least_tiles
    )
    return Case(graph, arch, map_onto(lower(graph, arch, options), arch), random_inputs(graph, known, seed=3))


def chain(folder: Path, ways: int = 1) -> Case:
    """One section through which 16 rows flow one by one."""
    path = folder / "chain.yaml"
    path.write_text(CHAIN)
    return case(load_graph(path, ONCE), {}, ways, least_tiles=16)


def with_stream(mapping: Mapped, name: str, **changes: Any) -> Mapped:
    """The mapping with one stream changed."""

    def changed(stream: Stream) -> Stream:
        return replace(stream, **changes) if stream.name == name else stream

    def section(mapped: MappedSection) -> MappedSection:
        streams = tuple(changed(stream) for stream in mapped.section.streams)
        return replace(mapped, section=replace(mapped.section, streams=streams))

    return replace(mapping, sections=tuple(section(each) for each in mapping.sections))


def streams(mapping: Mapped) -> list[Stream]:
    return [stream for mapped in mapping.sections for stream in mapped.section.streams]
