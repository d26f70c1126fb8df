"""What cannot be seen from outside a process, in CPU seconds of this one: mapping from cold, and events of `discrete`.

Run by bench.py in a fresh process, once for each name; prints one JSON object.
"""

from __future__ import annotations

import json
import sys
from time import process_time

from rdusim.arch.load import load_arch
from rdusim.arch.types import Arch
from rdusim.graph.load import load_graph
from rdusim.graph.types import Phase, RunShape
from rdusim.kernel.events import fire
from rdusim.mapping.map_onto import map_onto
from rdusim.program.lower import lower
from rdusim.program.types import LowerOptions, Program
from rdusim.sim.discrete.section_net import section_net


def lowered(model: str, shape: RunShape, arch: Arch) -> Program:
    return lower(load_graph(model, shape), arch, LowerOptions(sockets=8))


def mapping_seconds() -> dict[str, float]:
    """All of Llama-2-7B's decode step, of which the decoder section takes nearly all."""
    arch = load_arch("sn40l")
    program = lowered("llama-2-7b", RunShape(phase=Phase.DECODE, batch=1, query_tokens=1, context_tokens=4096), arch)
    before = process_time()
    map_onto(program, arch)
    return {"cpu_seconds": process_time() - before}


def events_per_second() -> dict[str, float]:
    """The decoder section of Llama-3.1-8B's prefill of 16384 tokens; the loop compiled before the clock starts."""
    arch = load_arch("sn40l")
    shape = RunShape(phase=Phase.PREFILL, batch=1, query_tokens=16384, context_tokens=16384)
    mapping = map_onto(lowered("llama-3.1-8b", shape, arch), arch)
    largest = max(mapping.sections, key=lambda mapped: mapped.section.tiles)
    net = section_net(largest, mapping.allocations, arch).net
    fire(net, compiled=True)
    before = process_time()
    events = fire(net, compiled=True).events
    return {"events_per_second": events / (process_time() - before), "events": events}


MEASURES = {"mapping": mapping_seconds, "events": events_per_second}

if __name__ == "__main__":
    print(json.dumps(MEASURES[sys.argv[1]]()))
