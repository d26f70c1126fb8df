"""One node in time: its queues, its running batch, and leaps over runs of equal decode steps. Schedulers drive it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from math import inf, isnan
from typing import TYPE_CHECKING

from rdusim.serve.costs import LeapCosts
from rdusim.serve.expert_cache import Activation, ExpertCache
from rdusim.serve.gaps import Gaps
from rdusim.serve.kv_cache import FAR, NEAR, KvBlocks
from rdusim.serve.record import Record
from rdusim.serve.types import Expert

if TYPE_CHECKING:
    from rdusim.serve.options import ServeOptions

Turn = Callable[["Node", float], float]


class _Waiting:
    """What a cache may know: the arrival of the first request that waits for an expert."""

    __slots__ = ("_node",)

    def __init__(self, node: Node) -> None:
        self._node = node

    def next_use(self, expert: int) -> float:
        node = self._node
        queue = node.queues.get(expert)
        return node.record.arrival[queue[0]] if queue and expert != node.expert else inf


class Node:
    """State of one node. `wake`: when its next turn is due, inf if only an arrival can change anything.

    `chunking`: sequences whose prompts are under way, with the tokens done. `paused`: those that were put out of the
    batch, with the tokens they had made and the time of the last. `longest`: prompt that a compiled shape takes.
    `running`: sequence -> (step after which it has all its tokens, decode clock and place in `gaps` when it joined).
    `steps`: decode steps so far; `decoding`: their seconds; `context`: tokens in the cache of the running batch.
    """

    def __init__(
        self,
        index: int,
        record: Record,
        experts: Sequence[Expert],
        costs: LeapCosts,
        options: ServeOptions,
        turn: Turn,
        cache: ExpertCache | None,
    ) -> None:
        self.index, self.record, self.experts, self.costs, self.options = index, record, experts, costs, options
        self.turn, self.cache = turn, cache
        self.kv = KvBlocks(options.kv) if options.kv is not None else None
        self.now = self.busy = self.decoding = 0.0
        self.wake = inf
        self.pending: deque[int] = deque()
        self.queues: dict[int, deque[int]] = {}
        self.waiting = 0
        self.expert = -1
        self.shape = ""
        self.running: dict[int, tuple[int, float, int]] = {}
        self.ends: list[tuple[int, int]] = []
        self.steps = self.context = 0
        self.far_context = self.far_running = 0
        self.gaps = Gaps()
        self.paused: dict[int, tuple[int, float]] = {}
        self.chunking: dict[int, int] = {}
        self.longest: float = options.prompts[-1] if options.scheduler == "static" and options.prompts else inf
        self.switched: tuple[float, float] = (0.0, 0.0)
        self.accepted = 0
        self.finished: list[float] | None = None

    # -- what the dispatcher does ------------------------------------------------------------------------------------

    def give(self, request: int) -> None:
        """A request comes to this node; in order of arrival."""
        self.record.node[request] = self.index
        self.pending.append(request)
        self.accepted += 1
        self.wake = min(self.wake, max(self.record.arrival[request], self.now))

    def outstanding(self, time: float) -> int:
        """Requests that were given to it and are not over at `time`; times must not run backwards."""
        if self.finished is None:
            raise RuntimeError("this node was not asked to keep the times of its requests")
        while self.finished and self.finished[0] <= time:
            heappop(self.finished)
            self.accepted -= 1
        return self.accepted

    def advance(self, until: float) -> None:
        """Turns until the next one is due at `until` or later. The last step may end after it: no step is cut."""
        while self.wake < until:
            self.step(until)

    def step(self, until: float) -> None:
        self.now = max(self.now, self.wake)
        self.wake = self.turn(self, until)

    # -- what schedulers use -----------------------------------------------------------------------------------------

    def ingest(self) -> None:
        """Take what has come by now into the queues, by expert; the router runs on it first."""
        pending, record = self.pending, self.record
        come = []
        while pending and record.arrival[pending[0]] <= self.now:
            come.append(pending.popleft())
        if not come:
            return
        if self.options.router is not None:
            tokens = -(-sum(record.prompt[request] for request in come) // len(come))
            spent = self.costs.prefill(self.options.router, len(come), tokens)
            self.spend(spent)
            for request in come:
                record.route[request] = spent
        for request in come:
            if self._impossible(request):
                self.refuse(request)
                continue
            self.queue_of(record.expert[request]).append(request)
            self.waiting += 1

    def _impossible(self, request: int) -> bool:
        """Longer than any compiled shape, or than all memory for KV."""
        prompt = self.record.prompt[request]
        if prompt > self.longest:
            return True
        return self.kv is not None and not self.kv.ever(prompt + self.record.output[request] - 1)

    def refuse(self, request: int) -> None:
        if self.finished is not None:
            heappush(self.finished, self.now)
        self.record.reject(request, self.now)

    def queue_of(self, expert: int) -> deque[int]:
        queue = self.queues.get(expert)
        if queue is None:
            queue = self.queues[expert] = deque()
        return queue

    def forget_empty(self, expert: int) -> None:
        """With hundreds of experts, `oldest` shall look only at those that somebody waits for."""
        if not self.queues.get(expert, True):
            del self.queues[expert]

    def next_arrival(self) -> float:
        return max(self.record.arrival[self.pending[0]], self.now) if self.pending else inf

    def spend(self, seconds: float) -> None:
        self.now += seconds
        self.busy += seconds

    def oldest(self, *, but: int = -1) -> int:
        """The expert whose first waiting request came first, -1 if nobody waits."""
        arrival = self.record.arrival
        chosen, time = -1, inf
        for expert, queue in self.queues.items():
            if queue and expert != but and arrival[queue[0]] < time:
                chosen, time = expert, arrival[queue[0]]
        return chosen

    def open_to(self, expert: int) -> bool:
        """Whether a running batch of `expert` may take more, or has to end because others have waited too long."""
        if not self.queues or (other := self.oldest(but=expert)) < 0:
            return True
        return self.now - self.record.arrival[self.queues[other][0]] < self.options.patience

    def activate(self, expert: int) -> None:
        """From now on steps are those of `expert`; what has to be copied for that is copied first."""
        if expert == self.expert:
            return
        self.expert, self.shape = expert, self.experts[expert].shape
        if self.cache is None:
            return
        activation = self.cache.activate(expert, self.now, _Waiting(self))
        self.record.misses += activation.miss
        self.record.hits += not activation.miss
        if activation.miss:
            self._copy(expert, activation)

    def _copy(self, expert: int, activation: Activation) -> None:
        """Mutable bytes of those put out go back first; nothing runs meanwhile."""
        begin, near = self.now, self.options.near
        into, evicted = self.experts[expert], activation.evicted
        spent = float(self.costs.switch(into.weight_bytes, into.home_tier, near))
        for out in evicted:
            if size := self.experts[out].mutable_bytes:
                spent += self.costs.switch(size, near, self.experts[out].home_tier)
        self.spend(spent)
        rows = self.record.switches
        back = float(activation.copied_back)
        rows.append((begin, self.now, self.index, expert, evicted[0] if evicted else -1, back))
        rows.extend((begin, begin, self.index, -1, out, 0.0) for out in evicted[1:])
        self.switched = (begin, self.now)

    def reserve(self, request: int) -> bool:
        """Take memory for a sequence that is about to start; whether there is enough."""
        if self.kv is None:
            return True
        final = self.record.prompt[request] + self.record.output[request] - 1
        return self.kv.place(request, self.tokens_of(request), final)

    def schedule(self, request: int) -> None:
        """A request has left the queue and its prompt begins."""
        record = self.record
        self.forget_empty(record.expert[request])
        if isnan(record.scheduled[request]):
            record.scheduled[request] = self.now
            begin, end = self.switched
            if end == self.now and end > begin:  # it is the switch that it waited for last
                record.switch[request] = end - max(begin, min(record.arrival[request] + record.route[request], end))

    def tokens_of(self, request: int) -> int:
        """Tokens to prefill: the prompt, and what it had made before it was put out."""
        paused = self.paused.get(request)
        return self.record.prompt[request] + (paused[0] if paused else 0)

    def join(self, request: int) -> None:
        """Its prefill ended now: it has one token more, and decodes the others."""
        record = self.record
        made, last = self.paused.pop(request, (0, self.now))
        if made:
            record.worst[request] = max(record.worst[request], self.now - last)
        else:
            record.first[request] = self.now
        tokens = record.prompt[request] + made
        left = record.output[request] - made - 1
        if left <= 0:
            if self.kv is not None:
                self.kv.release(request, tokens)
            self._finish(request)
            return
        self.running[request] = (self.steps + left, self.decoding, self.gaps.join(self.now))
        heappush(self.ends, (self.steps + left, request))
        self.context += tokens
        if self.kv is not None:
            self.kv.start(request, tokens, self.steps)
            if self.kv.tier(request) == FAR:
                self.far_running += 1
                self.far_context += tokens

    def leap(self, until: float, extra: float = 0.0, *, single: bool = False) -> int:
        """Decode steps up to the first completion, the end of KV blocks, or the first that ends at `until` or later.

        Equation: docs/model.md, "Runs of decode steps". `extra` seconds are added to each; `single`: one step.
        Gives the number of steps; 0 if the batch had to give way as a whole.
        """
        batch = len(self.running)
        most = 1 if single else self.ends[0][0] - self.steps
        if self.kv is not None:
            most = self._with_space(most)
            if not most:
                return 0
            batch = len(self.running)
        context = self.context / batch
        line = self.costs.decode_line(self.shape, batch)
        if self.far_running or extra:
            line = line.plus(
                context, extra + self.far_context * self._far_token(), self.far_running * self._far_token()
            )
        total = line.total(context, most)
        if self.now + total > until and most > 1:
            most = line.steps_until(context, until - self.now, most)
            total = line.total(context, most)
        first = line.at(context)
        rest = line.most(context + 1, most - 1) if most > 1 else 0.0
        begin = self.now
        self.spend(total)
        self.decoding += total
        self.gaps.tokens(begin + first, rest, self.now)
        if self.kv is not None:
            self.kv.grow(self.steps, most)
        self.steps += most
        self.context += most * batch
        self.far_context += most * self.far_running
        self._complete()
        return most

    def _far_token(self) -> float:
        """Seconds that a step takes longer for each cached token that is read from the far tier, not the near one."""
        if self.options.kv is None:
            return 0.0
        far, near = (self.costs.memory_bandwidth(tier) for tier in (self.options.far, self.options.near))
        return max(self.options.kv.bytes_per_token * (1 / far - 1 / near), 0.0)

    def _complete(self) -> None:
        ends, running = self.ends, self.running
        while ends and ends[0][0] <= self.steps:
            request = heappop(ends)[1]
            _, clock, place = running.pop(request)
            self._leave(request, self.record.prompt[request] + self.record.output[request] - 1)
            self.record.compute[request] += self.decoding - clock
            self.record.worst[request] = max(self.record.worst[request], self.gaps.since(place))
            self._finish(request)
        if not running:
            self.gaps.clear()

    def _leave(self, request: int, tokens: int) -> None:
        self.context -= tokens
        if self.kv is not None:
            if self.kv.tier(request) == FAR:
                self.far_running -= 1
                self.far_context -= tokens
            self.kv.release(request, tokens)

    def _finish(self, request: int) -> None:
        self.finish_at(request, self.now)

    def finish_at(self, request: int, time: float) -> None:
        self.record.finish[request] = time
        if self.finished is not None:
            heappush(self.finished, time)
        self.record.over(request, time)

    def _with_space(self, most: int) -> int:
        """How many steps KV has space for, after the batch has given way if there was none: 0 if that emptied it."""
        kv = self.kv
        assert kv is not None
        while self.running:
            if fits := kv.fits(self.steps, most):
                return fits
            self._give_way(kv.full(self.steps))
            most = 1  # what gave way has made room: who waits may start after one step
        return 0

    def _give_way(self, tier: int) -> None:
        """Of a full tier the sequence that came last moves to the far one; without space there it starts again."""
        kv = self.kv
        assert kv is not None
        victim = next(request for request in reversed(self.running) if kv.tier(request) == tier)
        end, clock, place = self.running[victim]
        made = self.record.output[victim] - (end - self.steps)
        tokens = self.record.prompt[victim] + made - 1
        if tier == NEAR and (size := kv.move(victim, tokens, self.steps)):
            self.far_running += 1
            self.far_context += tokens
            self.spend(size / self.costs.copy_bandwidth(self.options.near, self.options.far))
            return
        del self.running[victim]
        self.ends.remove((end, victim))
        self.ends.sort()
        self._leave(victim, tokens)
        self.record.compute[victim] += self.decoding - clock
        self.record.worst[victim] = max(self.record.worst[victim], self.gaps.since(place))
        self.paused[victim] = (made, self.gaps.last(place))
        self.record.preemptions += 1
        self.queue_of(self.expert).appendleft(victim)
        self.waiting += 1

    def look(self) -> None:
        """Write down how busy the node is."""
        near, far = (self.kv.bytes_in(NEAR), self.kv.bytes_in(FAR)) if self.kv is not None else (0, 0)
        self._write_down(near, far, len(self.running))

    def look_at(self, running: int, blocks: int) -> None:
        """The same of a batch that runs as one piece from now on."""
        self._write_down(blocks * self.kv.bytes_per_block if self.kv is not None else 0, 0, running)

    def _write_down(self, near: int, far: int, running: int) -> None:
        resident = len(self.cache.resident) if self.cache is not None else 0
        self.record.occupancy.add(self.now, self.index, resident, near, far, running)
