"""What a stage reads from its own PMUs, in the engine `cycle`."""

from __future__ import annotations

from pathlib import Path

import pytest

from rdusim.pipeline.micro import load_micro
from rdusim.sim.cycle import cycle
from rdusim.sim.cycle.own import overlaps
from rdusim.sim.trace import Reason

# 4 x 4 accumulators, vectors of 8 B: a block of k steps takes a vector of each operand in every step.
PRODUCT = """\
schema: rdusim-micro/1
name: product
arch: toy
section:
  tiles: 8
  stages:
    make: {{pcus: 1, pmus: 1, simd: {{elements: 64}}}}
    product: {{pcus: 4, pmus: {pmus}, systolic: {{m: 4, n: 16, k: 256}}}}
  streams:
{streams}
  loads:
    w: {{stage: product, tile_bytes: 8192, tiles: 1, agcus: 2}}
{loads}
"""
STREAM = "    x: {from: make, to: product, tile_bytes: 2048, depth: 2, multicast: true}"
LOAD = "    x: {stage: product, tile_bytes: 2048, agcus: 1, prefetch: 8192, moving: true}"


def execution(tmp_path: Path, pmus: int, *, streamed: bool) -> tuple[float, set[tuple[Reason, str]]]:
    text = PRODUCT.format(pmus=pmus, streams=STREAM if streamed else "    {}", loads="" if streamed else LOAD)
    (tmp_path / "product.yaml").write_text(text)
    found = load_micro(tmp_path / "product.yaml")
    section = cycle(found.mapping, found.arch).sections[0]
    stage = next(stage for stage in section.stages if stage.name == "product")
    return section.execution_cycles, {(stall.reason, stall.on) for stall in stage.stalls if stall.cycles > 50}


def test_too_few_ports_for_the_stationary_operand_stretch_the_interval(tmp_path: Path) -> None:
    """Four PCUs take a stream of weights each: 256 cycles a tile from four PMUs, 1024 from one.

    That one also writes 1024 vectors of weights first, into the bank that is read meanwhile.
    """
    four, _ = execution(tmp_path, 4, streamed=True)
    one, stalls = execution(tmp_path, 1, streamed=True)
    assert 8 * 256 < four < 8 * 256 + 600
    assert 8 * 1024 < one < 9 * 1024 + 600
    assert (Reason.BANDWIDTH, "pmu") in stalls


def test_a_moving_operand_that_is_loaded_takes_ports_of_the_same_pmus(tmp_path: Path) -> None:
    """256 vectors of rows beside 4 x 256 of weights: 1280 / 4 = 320 cycles a tile instead of 256."""
    streamed, _ = execution(tmp_path, 4, streamed=True)
    loaded, _ = execution(tmp_path, 4, streamed=False)
    assert loaded - streamed == pytest.approx(8 * 64, rel=0.25)


def test_overlaps_cut_the_whole_at_the_cuts_of_both_sides() -> None:
    assert list(overlaps([1.0, 1.0], [1.0])) == [(0, 0, 0.5), (1, 0, 0.5)]
    assert list(overlaps([1.0], [3.0, 1.0])) == [(0, 0, 0.75), (0, 1, 0.25)]
    found = list(overlaps([1.0] * 3, [1.0] * 2))
    assert [(one, other) for one, other, _ in found] == [(0, 0), (1, 0), (1, 1), (2, 1)]
    assert sum(share for _, _, share in found) == pytest.approx(1.0)
    assert list(overlaps([], [1.0])) == []
