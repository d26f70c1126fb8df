"""Memory for keys and values: blocks in the near tier, spill to the far tier, and how long a batch can grow in them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rdusim.errors import OptionError, Problem
from rdusim.units import Bytes

NEAR, FAR = 0, 1


class Admission(StrEnum):
    """What a sequence needs before it may start: memory for all its tokens, or for its prompt and one token more."""

    RESERVE = "reserve"
    GROW = "grow"


@dataclass(frozen=True, slots=True, kw_only=True)
class KvMemory:
    """A node's memory for KV. `bytes_per_token` of one sequence over all layers, over the whole node."""

    bytes_per_token: Bytes
    near: Bytes
    far: Bytes = Bytes(0)
    block_tokens: int = 16
    admission: Admission = Admission.GROW


def check_memory(memory: KvMemory) -> None:
    """Raises OptionError with everything that makes no sense."""
    problems = [
        Problem(
            message=f"{value} is not above 0", field=f"kv.{name}", hint="a size such as '512 KiB', a number of tokens"
        )
        for name, value in (
            ("bytes_per_token", memory.bytes_per_token),
            ("near", memory.near),
            ("block_tokens", memory.block_tokens),
        )
        if value <= 0
    ]
    if memory.far < 0:
        problems.append(Problem(message=f"{memory.far} is below 0", field="kv.far", hint="0 B for no spill"))
    if problems:
        raise OptionError(*problems)


class _Tier:
    """Blocks of one tier. `phases[p]`: how many of its sequences need a block in steps s with (s + p) % block == 0."""

    __slots__ = ("block", "members", "phases", "sequences", "total", "used")

    def __init__(self, total: int, block: int) -> None:
        self.total, self.block = total, block
        self.used = self.sequences = self.members = 0
        self.phases = [0] * block

    def growth(self, step: int, steps: int) -> int:
        """Blocks that `steps` further steps take. Equation: docs/model.md, "KV blocks"."""
        cycles, rest = divmod(steps, self.block)
        return cycles * self.sequences + sum(self.phases[(-step - i) % self.block] for i in range(rest))

    def fits(self, step: int, steps: int) -> int:
        """How many of `steps` further steps there is space for."""
        free = self.total - self.used
        if not self.sequences or (steps // self.block + 1) * self.sequences <= free:
            return steps
        done = free // self.sequences * self.block
        free -= done // self.block * self.sequences
        while done < steps and (need := self.phases[(-step - done) % self.block]) <= free:
            free -= need
            done += 1
        return min(done, steps)


class KvBlocks:
    """Blocks of one node in a run. A sequence lies in one tier as a whole; the near one is filled first.

    `step` counts the decode steps of the node: every running sequence has one token more after each.
    """

    __slots__ = ("block", "bytes_per_block", "held", "reserve", "tiers")

    def __init__(self, memory: KvMemory) -> None:
        check_memory(memory)
        self.block = memory.block_tokens
        self.bytes_per_block = memory.block_tokens * memory.bytes_per_token
        self.reserve = memory.admission is Admission.RESERVE
        self.tiers = tuple(_Tier(size // self.bytes_per_block, self.block) for size in (memory.near, memory.far))
        self.held: dict[int, tuple[int, int, int]] = {}

    def blocks(self, tokens: int) -> int:
        return -(-tokens // self.block)

    def ever(self, tokens: int) -> bool:
        """Whether a sequence of so many tokens fits at all, alone."""
        return any(self.blocks(tokens) <= tier.total for tier in self.tiers)

    def place(self, sequence: int, tokens: int, final: int) -> bool:
        """Take blocks for a sequence that has `tokens` and will have `final`; whether there was space.

        It does not grow before `start`. One that will grow leaves a free block for each that is there already, or the
        batch would soon have to give way again.
        """
        for index, tier in enumerate(self.tiers):
            take = self.blocks(final if self.reserve else tokens)
            need = take if self.reserve else self.blocks(min(tokens + 1, final)) + tier.members
            if tier.used + need <= tier.total:
                tier.used += take
                tier.members += 1
                self.held[sequence] = (index, take, -1)
                return True
        return False

    def start(self, sequence: int, tokens: int, step: int) -> None:
        """From now on it grows by a token a step."""
        index, take, _ = self.held[sequence]
        if self.reserve:
            return
        phase = (tokens - step) % self.block
        self.held[sequence] = (index, take, phase)
        self.tiers[index].phases[phase] += 1
        self.tiers[index].sequences += 1

    def release(self, sequence: int, tokens: int) -> None:
        """Give back the blocks of a sequence that has `tokens` by now."""
        index, take, phase = self.held.pop(sequence)
        tier = self.tiers[index]
        if phase >= 0:
            tier.phases[phase] -= 1
            tier.sequences -= 1
            take = self.blocks(tokens)
        tier.members -= 1
        tier.used -= take

    def move(self, sequence: int, tokens: int, step: int) -> int:
        """Put a running sequence from the near tier into the far one: the bytes moved, 0 if there is no space."""
        blocks = self.blocks(tokens)
        far = self.tiers[FAR]
        if far.used + self.blocks(tokens + 1) > far.total:
            return 0
        self.release(sequence, tokens)
        far.used += blocks
        far.members += 1
        self.held[sequence] = (FAR, blocks, -1)
        self.start(sequence, tokens, step)
        return blocks * self.bytes_per_block

    def tier(self, sequence: int) -> int:
        return self.held[sequence][0]

    def fits(self, step: int, steps: int) -> int:
        """How many of `steps` further steps of the batch there is space for."""
        return min(tier.fits(step, steps) for tier in self.tiers)

    def full(self, step: int) -> int:
        """The tier without space for one step more."""
        return NEAR if not self.tiers[NEAR].fits(step, 1) else FAR

    def grow(self, step: int, steps: int) -> None:
        for tier in self.tiers:
            if tier.sequences:
                tier.used += tier.growth(step, steps)

    def bytes_in(self, tier: int) -> int:
        return self.tiers[tier].used * self.bytes_per_block
