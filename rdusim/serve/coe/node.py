"""One node's time line: route, copy, run, one thing after the other, or a copy beside a run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from rdusim.serve.coe.columns import Columns
from rdusim.serve.coe.overlap import Beside, beside
from rdusim.serve.coe.prices import Prices
from rdusim.serve.coe.record import Record
from rdusim.serve.coe.types import CoeSettings
from rdusim.serve.expert_cache import ExpertCache, Queued
from rdusim.serve.types import Expert


class Group(NamedTuple):
    """Requests of one expert that run as one batch. `stalled`: the node's stalls when they were taken."""

    requests: Sequence[int]
    expert: int
    stalled: float


class Node:
    """The state of a node that runs one group at a time. `now` only grows; `stalled`: seconds it only copied so far;
    `busy`: seconds it routed, copied or ran.

    A static batch: all of it runs until its longest answer is written, each request ends with its own.
    """

    def __init__(
        self,
        number: int,
        columns: Columns,
        experts: Sequence[Expert],
        prices: Prices,
        cache: ExpertCache,
        queued: Queued,
        settings: CoeSettings,
        record: Record,
        *,
        told: bool,
    ) -> None:
        self.now = 0.0
        self.stalled = 0.0
        self.busy = 0.0
        self.cache = cache
        self._number = number
        self._arrival, self._prompt, self._output, self._expert = columns
        self.shapes = [expert.shape for expert in experts]
        self._prices = prices
        self._queued = queued
        self._settings = settings
        self._record = record
        self._kv = [float(settings.kv_per_token.get(shape, 0)) for shape in self.shapes]
        # A router that writes one token only reads: its prefill leaves no cache behind.
        writes = settings.router is not None and settings.router_tokens > 1
        self._router_kv = float(settings.kv_per_token.get(settings.router or "", 0)) if writes else 0.0
        self._told = told  # the queue already holds all that will come

    def route(self, requests: Sequence[int]) -> None:
        """The router on one batch; after it, the experts are known."""
        seconds = self._prices.route(len(requests), max(self._prompt[request] for request in requests))
        if self._router_kv:
            tokens = sum(self._prompt[request] + self._settings.router_tokens for request in requests)
            kv = self._router_kv * tokens
            self._record.changed(self.now, self._number, len(self.cache.resident), len(requests), kv)
        scheduled, route = self._record.scheduled, self._record.route
        for request in requests:
            scheduled[request] = self.now
            route[request] = seconds
            if not self._told:
                self._queued.push(self._expert[request])
        self.now += seconds
        self.busy += seconds

    def load(self, group: Group, keep: Collection[int] = ()) -> None:
        """Copy the group's expert in, if it is not there; nothing runs meanwhile."""
        seconds = self._activate(group, keep)
        self.now += seconds
        self.busy += seconds
        self.stalled += seconds

    def run(self, group: Group, following: Group | None = None) -> bool:
        """The group, whose expert is in, and beside it the copy of the following one's.

        Whether that was done: the two experts may not fit together. The node goes on when both have ended.
        """
        shape, size = self.shapes[group.expert], len(group.requests)
        prompts = [self._prompt[request] for request in group.requests]
        outputs = [max(self._output[request], 1) for request in group.requests]
        longest, context = max(outputs), -(-sum(prompts) // size)
        prefill = self._prices.prefill(shape, size, max(prompts))
        sums = self._prices.sums(shape, size, context + longest)
        decode = sums[context + longest - 1] - sums[context]
        kv = self._kv[group.expert] * (sum(prompts) + sum(outputs))
        self._record.changed(self.now, self._number, len(self.cache.resident), size, kv)
        together: Beside | None = None
        fits = following is not None and self.cache.fits(following.expert, (group.expert,))
        if following is not None and fits:
            together = self._copy_beside(group, following, prefill, decode, context, longest)
        self._write(group, prefill, sums, context, outputs, together)
        begin, seconds = self.now, prefill + decode
        self.now = begin + (seconds if together is None else together.seconds)
        if together is not None and (late := begin + together.copied - self.now) > 0.0:
            self.now += late
            self.stalled += late
        self.busy += self.now - begin
        self._record.done += size
        return fits

    def idle(self) -> None:
        self._record.changed(self.now, self._number, len(self.cache.resident), 0)

    def _activate(self, group: Group, keep: Collection[int]) -> float:
        """Seconds of the copies that it takes; they are recorded as if nothing else ran."""
        expert = group.expert
        self._queued.serve(expert, len(group.requests))
        missed, evicted, back = self.cache.activate(expert, self.now, self._queued, keep)
        if not missed:
            return 0.0
        seconds = self._prices.load[expert]
        if back:
            seconds += sum(self._prices.back[victim] for victim in evicted)
        self._record.copied(self.now, self.now + seconds, self._number, expert, evicted, back)
        return seconds

    def _copy_beside(
        self, group: Group, following: Group, prefill: float, decode: float, context: int, longest: int
    ) -> Beside | None:
        """How the group runs beside the copy of the following expert; None if nothing has to be copied."""
        copy = self._activate(following, (group.expert,))
        if copy == 0.0:
            return None  # it is there, or weighs nothing
        shape, size = self.shapes[group.expert], len(group.requests)
        # A prefill reads what a step does, weights and cache, once.
        once = float(self._prices.step_bytes(shape, size, float(context)))
        steps = (longest - 1) * float(self._prices.step_bytes(shape, size, context + 0.5 * longest))
        phases = ((prefill, once), (decode, steps))
        together = beside(phases, copy, self._prices.copy_rate[following.expert], self._prices.near_rate)
        self._record.last_copy_ends(self.now + together.copied)
        return together

    def _write(
        self,
        group: Group,
        prefill: float,
        sums: Sequence[float],
        context: int,
        outputs: Sequence[int],
        together: Beside | None,
    ) -> None:
        """The rows of the group's requests. What a copy beside them costs them counts as switching."""
        record, begin, base = self._record, self.now, sums[context]
        waited = self.stalled - group.stalled
        slowest = 1.0 if together is None else together.slowest
        for request, output in zip(group.requests, outputs, strict=True):
            last = prefill + sums[context + output - 1] - base
            first_at, last_at = (prefill, last) if together is None else (together.at(prefill), together.at(last))
            record.first_token[request] = begin + first_at
            record.finish[request] = begin + last_at
            gap = 0.0
            if output > 1:
                gap = max(sums[context + 1] - base, sums[context + output - 1] - sums[context + output - 2])
            record.worst_gap[request] = slowest * gap
            record.compute[request] = last
            record.switch[request] = waited + last_at - last
            record.queue[request] = begin - self._arrival[request] - record.route[request] - waited
