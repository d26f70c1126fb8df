"""What is broken on purpose is found: each test spoils one thing that the mapping prescribes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rdusim.errors import DeadlockError
from rdusim.mapping.types import Mapping
from rdusim.net.types import TransferPlan
from rdusim.sim.functional import ProgramFault, collective, section
from rdusim.sim.functional.buffer import Buffer
from tests.sim.functional_cases import DECODE, PREFILL, Case, chain, small, streams, with_stream

put, place, release = Buffer.put, Buffer.place, Buffer.release


def pipelined(case: Case) -> list[str]:
    """Tensors that stream in more than two tiles, through two copies or more."""
    return [each.tensor for each in streams(case.mapping) if each.tiles > 2 and each.depth >= 2 and not each.resident]


def test_two_tiles_of_a_stream_swapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = chain(tmp_path)
    for tensor in pipelined(case):

        def swapped(self: Buffer, values: Sequence[Any], chosen: str = tensor) -> None:
            at = self.written
            self.written = 1 - at if self.tensor == chosen and at < 2 else at
            put(self, values)
            self.written = at + 1

        monkeypatch.setattr(Buffer, "put", swapped)
        assert case.differs() == ["y"], tensor


def test_a_credit_too_many_overwrites_a_tile_that_is_still_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy fewer than there are credits: the producer writes where nobody has read yet."""
    case = chain(tmp_path)
    for tensor in pipelined(case):

        def shorter(self: Buffer, storages: Any, addresses: Sequence[int], chosen: str = tensor) -> None:
            place(self, storages, addresses[:-1] if self.tensor == chosen else addresses)

        monkeypatch.setattr(Buffer, "place", shorter)
        assert case.differs() == ["y"], tensor


def test_a_credit_that_does_not_come_back_stops_the_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lossy(self: Buffer, firing: int) -> None:
        if not (self.tensor == "a" and firing == 3):
            release(self, firing)

    monkeypatch.setattr(Buffer, "release", lossy)
    with pytest.raises(DeadlockError, match="stage 'act' waits on tile 5 for room in a>second"):
        chain(tmp_path).run()


def test_a_buffer_without_copies_is_a_deadlock_that_names_it(tmp_path: Path) -> None:
    case = chain(tmp_path)
    for stream in streams(case.mapping):
        with pytest.raises(DeadlockError, match=f"room in {stream.name}"):
            case.run(with_stream(case.mapping, stream.name, depth=0))


def test_a_stream_left_out(tmp_path: Path) -> None:
    case = chain(tmp_path)
    for at, stream in enumerate(streams(case.mapping)):
        (mapped,) = case.mapping.sections
        rest = tuple(each for number, each in enumerate(mapped.section.streams) if number != at)
        mutated = replace(mapped, section=replace(mapped.section, streams=rest))
        with pytest.raises(ProgramFault, match=f"{stream.tensor}.* is read, but no stream or load brings it"):
            case.run(replace(case.mapping, sections=(mutated,)))


@pytest.mark.parametrize("keys", [True, False])
def test_a_tile_of_kept_keys_or_values_missing(keys: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of four tiles of either: the attention behind it has no number."""
    case = small("llama", PREFILL, tmp_path, machine="sn40l", least_tiles=4)
    kept = [each.tensor for each in streams(case.mapping) if each.resident and each.tiles > 1]
    chosen = kept[0] if keys else kept[1]
    for missing in range(3):  # nobody but the last queries see the last keys

        def skipping(self: Buffer, values: Sequence[Any], skipped: int = missing) -> None:
            if self.tensor == chosen and self.keeps and self.written == skipped:
                self.written += 1
            else:
                put(self, values)

        monkeypatch.setattr(Buffer, "put", skipping)
        assert "head/next_token" in case.differs() or "head/logits" in case.differs()


def test_two_copies_of_a_buffer_at_the_same_place(tmp_path: Path) -> None:
    case = chain(tmp_path)
    (mapped,) = case.mapping.sections
    for name in (each.name for each in streams(case.mapping) if each.tensor in pipelined(case)):
        first, *rest = mapped.sram[name]
        same = (first, *(replace(each, offset=first.offset) for each in rest))
        mutated = replace(mapped, sram={**mapped.sram, name: same})
        assert case.differs(replace(case.mapping, sections=(mutated,))) == ["y"], name


def test_a_buffer_in_the_place_of_another_one_of_its_stage(tmp_path: Path) -> None:
    case = chain(tmp_path)
    (mapped,) = case.mapping.sections
    weight, moving = mapped.sram["load up>first kept"], mapped.sram["load x>first"]
    onto = tuple(replace(each, offset=weight[0].offset) for each in moving)
    mutated = replace(mapped, sram={**mapped.sram, "load x>first": onto})
    assert case.differs(replace(case.mapping, sections=(mutated,))) == ["y"]


@pytest.mark.parametrize("ways", [2, 4])
def test_any_transfer_of_a_collective_lost(ways: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = chain(tmp_path, ways)
    (work,) = (stage.collective for stage in case.mapping.program.sections[0].stages if stage.collective)
    plan = collective.plan_of(work, case.arch)
    for lost in range(len(plan.transfers)):

        def lossy(*_: Any, at: int = lost) -> TransferPlan:
            empty = replace(plan.transfers[at], shards=range(0))
            return TransferPlan(transfers=(*plan.transfers[:at], empty, *plan.transfers[at + 1 :]))

        monkeypatch.setattr(section, "plan_of", lossy)
        assert case.differs() == ["y"], lost


def test_a_transfer_that_waits_for_one_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = chain(tmp_path, 2)
    (work,) = (stage.collective for stage in case.mapping.program.sections[0].stages if stage.collective)
    plan = collective.plan_of(work, case.arch)
    rest = tuple(replace(each, after=(len(plan.transfers),)) for each in plan.transfers)
    monkeypatch.setattr(section, "plan_of", lambda *_: TransferPlan(transfers=rest))
    with pytest.raises(ProgramFault, match="wait for each other"):
        case.run()


@pytest.mark.parametrize("gone", [0, 3])
def test_a_socket_left_out_of_a_collective(gone: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = chain(tmp_path, 4)
    (work,) = (stage.collective for stage in case.mapping.program.sections[0].stages if stage.collective)
    plan = collective.plan_of(work, case.arch)
    rest = tuple(
        replace(each, shards=range(0)) if gone in (each.source, each.target) else each for each in plan.transfers
    )
    monkeypatch.setattr(section, "plan_of", lambda *_: TransferPlan(transfers=rest))
    assert case.differs() == ["y"]


def test_a_cut_arg_max_without_the_last_exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the head's: sockets that keep their own candidate disagree."""
    case = small("llama", DECODE, tmp_path, ways=2, machine="sn40l")
    (work,) = (stage.collective for stage in case.mapping.sections[-1].section.stages if stage.collective)
    original = collective.plan_of
    monkeypatch.setattr(
        section, "plan_of", lambda asked, arch: TransferPlan(transfers=()) if asked == work else original(asked, arch)
    )
    assert case.differs() == ["head/next_token"]


def moved(mapping: Mapping, name: str, onto: str) -> Mapping:
    there = mapping.allocations[onto]
    here = replace(mapping.allocations[name], tier=there.tier, offset=there.offset)
    return replace(mapping, allocations={**mapping.allocations, name: here})


def test_an_allocation_moved_onto_another(tmp_path: Path) -> None:
    """Every weight, constant and cache onto every weight: whatever of both is read later is spoilt."""
    case = small("llama", DECODE, tmp_path, machine="sn40l", num_hidden_layers=1)
    kept = [each.name for each in case.mapping.program.buffers if each.resident and each.transfer_bytes]
    given = [name for name in kept if name in case.inputs]
    weights = [name for name in given if name.endswith("weight")]
    for number, name in enumerate(given):
        onto = weights[number % len(weights)]
        if onto != name:
            assert case.differs(moved(case.mapping, name, onto)), (name, onto)


def test_an_allocation_moved_by_some_bytes_into_the_next(tmp_path: Path) -> None:
    case = chain(tmp_path)
    up, down = (case.mapping.allocations[name] for name in ("up", "down"))
    near = replace(up, tier=down.tier, offset=type(down.offset)(down.offset + 6))  # a few elements in common
    allocations = {**case.mapping.allocations, "up": near}
    assert case.differs(replace(case.mapping, allocations=allocations)) == ["y"]


def test_an_input_that_dies_before_the_last_repeat_is_found(tmp_path: Path) -> None:
    """Positions are read by every layer: memory that a later section of the first layer may use is not theirs."""
    case = small("falcon", PREFILL, tmp_path)
    last = max(number for number, each in enumerate(case.mapping.program.sections) if each.repeats > 1)
    positions = next(each for each in case.mapping.program.buffers if each.name == "position_ids")
    assert positions.last_use >= last
    others = {each.name for each in case.mapping.program.buffers if each.role == "activation"}
    broken = [name for name in others if case.differs(moved(case.mapping, name, "position_ids"))]
    assert broken
