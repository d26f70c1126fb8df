"""A slow serving loop, one decode step at a time, in the plainest words: what the fast one is held against."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, nan

from rdusim.serve.costs import LeapCosts
from rdusim.serve.kv_cache import Admission, KvMemory
from rdusim.serve.options import ServeOptions
from rdusim.serve.types import Requests


@dataclass
class Sequence:
    request: int
    context: int
    final: int
    left: int
    last: float
    tier: int


@dataclass
class Slow:
    """One node, one expert, continuous or chunked batches."""

    requests: Requests
    costs: LeapCosts
    options: ServeOptions
    now: float = 0.0
    running: list[Sequence] = field(default_factory=list)
    chunking: list[tuple[Sequence, int, int]] = field(default_factory=list)
    made: dict[int, tuple[int, float]] = field(default_factory=dict)
    preemptions: int = 0

    def run(self) -> dict[str, list[float]]:
        count = len(self.requests)
        self.columns = {name: [nan] * count for name in ("scheduled", "first", "finish")}
        self.columns |= {"worst": [0.0] * count, "compute": [0.0] * count}
        self.coming = list(range(count))
        self.waiting: list[int] = []
        turn = self.chunked if self.options.scheduler == "chunked" else self.continuous
        while self.coming or self.waiting or self.running or self.chunking:
            while self.coming and self.requests.arrival[self.coming[0]] <= self.now:
                request = self.coming.pop(0)
                if self.possible(request):
                    self.waiting.append(request)
            if not (self.waiting or self.running or self.chunking):
                if self.coming:
                    self.now = float(self.requests.arrival[self.coming[0]])
                continue
            turn()
        return self.columns

    def continuous(self) -> None:
        chosen: list[Sequence] = []
        tokens = 0
        while self.waiting and len(self.running) + len(chosen) < self.options.max_batch:
            if self.options.decode_first and self.running:
                break
            tokens += self.tokens(self.waiting[0])
            if chosen and tokens > self.options.prefill_tokens:
                break
            if (sequence := self.start(self.waiting[0], chosen)) is None:
                break
            self.waiting.pop(0)
            chosen.append(sequence)
        if not chosen:
            self.decode(0.0)
            return
        mean = ceil(sum(sequence.context for sequence in chosen) / len(chosen))
        spent = self.costs.prefill("s", len(chosen), mean)
        self.now += spent
        for sequence in chosen:
            self.columns["compute"][sequence.request] += spent
            self.join(sequence)

    def chunked(self) -> None:
        limit = self.options.chunk_tokens
        while self.waiting and len(self.running) + len(self.chunking) < self.options.max_batch:
            under_way = sum(total - done for _, done, total in self.chunking)
            if under_way >= limit - len(self.running):
                break
            if (sequence := self.start(self.waiting[0], [s for s, _, _ in self.chunking])) is None:
                break
            self.waiting.pop(0)
            self.chunking.append((sequence, 0, sequence.context))
        budget, spent, begin, after = limit - len(self.running), 0.0, self.now, []
        took = []
        for sequence, done, total in self.chunking:
            piece = min(budget, total - done)
            budget -= piece
            if piece:
                before = self.costs.prefill("s", 1, done) if done else 0.0
                spent += self.costs.prefill("s", 1, done + piece) - before
                took.append(sequence)
            after.append((sequence, done + piece, total))
        if self.running:
            batch, context = len(self.running), self.mean()
            step = self.costs.decode("s", batch, context)
            if not self.decode(max(spent - min(self.costs.decode("s", 1, 0.0), step), 0.0) if took else 0.0):
                self.now += spent
        else:
            self.now += spent
        self.chunking = []
        for sequence, done, total in after:
            if sequence in took:
                self.columns["compute"][sequence.request] += self.now - begin
            if done == total:
                self.join(sequence)
            else:
                self.chunking.append((sequence, done, total))

    def start(self, request: int, beside: list[Sequence]) -> Sequence | None:
        tokens, final = self.tokens(request), self.final(request)
        tier = self.place(tokens, final, [*self.running, *beside])
        if tier is None:
            return None
        made = self.made.get(request, (0, 0.0))[0]
        if made == 0:
            self.columns["scheduled"][request] = self.now
        left = int(self.requests.output_tokens[request]) - made
        return Sequence(request, tokens, final, left, self.now, tier)

    def join(self, sequence: Sequence) -> None:
        request = sequence.request
        if request in self.made:
            last = self.made.pop(request)[1]
            self.columns["worst"][request] = max(self.columns["worst"][request], self.now - last)
        else:
            self.columns["first"][request] = self.now
        sequence.left -= 1
        sequence.last = self.now
        self.running.append(sequence)
        self.leave()

    def leave(self) -> None:
        for sequence in [sequence for sequence in self.running if not sequence.left]:
            self.columns["finish"][sequence.request] = self.now
            self.running.remove(sequence)

    def decode(self, extra: float) -> bool:
        begin = self.now
        self.make_room()
        if not self.running:
            return False
        moved = self.now - begin
        spent = self.costs.decode("s", len(self.running), self.mean()) + extra
        if (kv := self.options.kv) is not None:
            far, near = self.costs.memory_bandwidth("ddr"), self.costs.memory_bandwidth("hbm")
            bytes_far = kv.bytes_per_token * sum(s.context for s in self.running if s.tier == 1)
            spent += bytes_far / far - bytes_far / near
        self.now += spent
        for sequence in self.running:
            gap = self.now - sequence.last
            self.columns["worst"][sequence.request] = max(self.columns["worst"][sequence.request], gap)
            self.columns["compute"][sequence.request] += spent
            sequence.last = self.now
            sequence.context += 1
            sequence.left -= 1
        self.leave()
        return moved >= 0

    def mean(self) -> float:
        return sum(sequence.context for sequence in self.running) / len(self.running)

    def tokens(self, request: int) -> int:
        return int(self.requests.prompt_tokens[request]) + self.made.get(request, (0, 0.0))[0]

    def final(self, request: int) -> int:
        return int(self.requests.prompt_tokens[request] + self.requests.output_tokens[request]) - 1

    # -- memory --------------------------------------------------------------------------------------------------------

    def blocks(self, tokens: int) -> int:
        assert self.options.kv is not None
        return -(-tokens // self.options.kv.block_tokens)

    def totals(self, kv: KvMemory) -> tuple[int, int]:
        block = kv.block_tokens * kv.bytes_per_token
        return kv.near // block, kv.far // block

    def possible(self, request: int) -> bool:
        kv = self.options.kv
        return kv is None or self.blocks(self.final(request)) <= max(self.totals(kv))

    def held(self, sequence: Sequence) -> int:
        assert self.options.kv is not None
        return self.blocks(sequence.final if self.options.kv.admission is Admission.RESERVE else sequence.context)

    def place(self, tokens: int, final: int, others: list[Sequence]) -> int | None:
        kv = self.options.kv
        if kv is None:
            return 0
        for tier, total in enumerate(self.totals(kv)):
            there = [sequence for sequence in others if sequence.tier == tier]
            if kv.admission is Admission.RESERVE:
                need = self.blocks(final)
            else:
                need = self.blocks(min(tokens + 1, final)) + len(there)
            if need + sum(self.held(sequence) for sequence in there) <= total:
                return tier
        return None

    def make_room(self) -> None:
        kv = self.options.kv
        if kv is None or kv.admission is Admission.RESERVE:
            return
        while (tier := self.full_tier(kv)) is not None:
            victim = [sequence for sequence in self.running if sequence.tier == tier][-1]
            if tier == 0 and self.used(1) + self.blocks(victim.context + 1) <= self.totals(kv)[1]:
                victim.tier = 1
                size = self.blocks(victim.context) * kv.block_tokens * kv.bytes_per_token
                self.now += size / self.costs.copy_bandwidth("hbm", "ddr")
            else:
                self.running.remove(victim)
                prompt = int(self.requests.prompt_tokens[victim.request])
                self.made[victim.request] = (victim.context - prompt + 1, victim.last)
                self.waiting.insert(0, victim.request)
                self.preemptions += 1

    def used(self, tier: int) -> int:
        prompts = [sequence for sequence, _, _ in self.chunking]
        return sum(self.held(sequence) for sequence in [*self.running, *prompts] if sequence.tier == tier)

    def full_tier(self, kv: KvMemory) -> int | None:
        for tier, total in enumerate(self.totals(kv)):
            growing = [s for s in self.running if s.tier == tier and s.context % kv.block_tokens == 0]
            if growing and self.used(tier) + len(growing) > total:
                return tier
        return None
