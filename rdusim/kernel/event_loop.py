"""The event loop over actors: one function on plain columns, so that numba can compile it and Python can run it.

Events are ordered by (time, order of being scheduled): the end of a firing, the arrival of a channel's next tokens, the
release of an exclusive resource. A channel keeps its tokens in order, so only its next arrival is on the heap. Compiled
or not, it does the same operations in the same order: results are equal to the last bit.
"""

from __future__ import annotations

from typing import Any, Final

SELF: Final = -1  # cause of a start: the firing before has just ended, or the run has just begun
NOTHING: Final = -1


def loop(
    firings: Any,
    service: Any,
    first: Any,
    input_first: Any,
    inputs: Any,
    output_first: Any,
    outputs: Any,
    use_first: Any,
    use_resource: Any,
    use_cycles: Any,
    use_side: Any,
    use_turn: Any,
    held: Any,
    held_cycles: Any,
    held_share: Any,
    rank: Any,
    step: Any,
    block: Any,
    member_first: Any,
    members: Any,
    source: Any,
    target: Any,
    delay: Any,
    give: Any,
    give_block: Any,
    need: Any,
    need_block: Any,
    at_start: Any,
    count: Any,  # tokens at the far end of each channel, the initial ones to begin with; worked on
    fired: Any,  # zeros, by actor
    busy: Any,  # zeros, by actor
    waits: Any,  # zeros, by actor: everything is there but the exclusive resource
    given: Any,  # zeros, by channel: batches of tokens sent
    come: Any,  # zeros, by channel: batches arrived
    free: Any,  # zeros, by shared resource: when it has served all so far
    taken: Any,  # zeros, by exclusive resource
    turned: Any,  # zeros, by shared resource: what turning may still cost side 1 since side 0 was served
    todo: Any,  # room for as many actors as there are, and one more
    heap_time: Any,  # room for actors + channels + exclusive resources
    heap_order: Any,
    heap_event: Any,
    start: Any,  # results, by firing
    end: Any,
    ready: Any,  # everything but the exclusive resource was there
    cause: Any,  # channel whose tokens came last, or SELF
    slowed: Any,  # use of a shared resource that ended last, NOTHING if the service did
) -> int:
    """Fire until nothing can; the number of events. `fired` then says whether everything has."""
    actors = len(firings)
    channels = len(source)
    now = 0.0
    trigger = -1
    events = 0
    order = 0
    size = 0
    for number in range(actors):
        todo[number] = actors - 1 - number
    waiting = actors
    while True:
        while waiting > 0:
            waiting -= 1
            actor = todo[waiting]
            firing = fired[actor]
            if firing >= firings[actor] or busy[actor] != 0:
                continue
            place = first[actor] + firing
            if waits[actor] == 0:
                there = True
                for at in range(input_first[actor], input_first[actor + 1]):
                    channel = inputs[at]
                    if count[channel] < need[channel] * (firing // need_block[channel] + 1):
                        there = False
                        break
                if not there:
                    continue
                ready[place] = now
                cause[place] = trigger
            resource = held[actor]
            if resource >= 0 and taken[resource] != 0:
                waits[actor] = 1
                continue
            waits[actor] = 0
            # ---- fire ----
            until = now + service[actor]
            last_use = -1
            hold = held_cycles[actor]
            for use in range(use_first[actor], use_first[actor + 1]):
                shared = use_resource[use]
                begin = free[shared] if free[shared] > now else now
                finish = begin + use_cycles[use]
                if use_side[use] == 0:
                    turned[shared] = use_turn[use]
                else:
                    lost = use_turn[use] if use_turn[use] < turned[shared] else turned[shared]
                    turned[shared] -= lost
                    finish += lost
                free[shared] = finish
                if use == use_first[actor] and (finish - now) * held_share[actor] > hold:
                    hold = (finish - now) * held_share[actor]
                if finish > until:
                    until = finish
                    last_use = use
            start[place] = now
            end[place] = until
            slowed[place] = last_use
            fired[actor] = firing + 1
            busy[actor] = 1
            # Up to three kinds of events: this end, the release of the resource, tokens on each output.
            outs = output_first[actor + 1] - output_first[actor]
            for item in range(outs + 2):
                if item == 0:
                    time = until
                    event = actor
                elif item == 1:
                    if resource < 0:
                        continue
                    taken[resource] = 1
                    time = now + hold
                    event = actors + channels + resource
                else:
                    channel = outputs[output_first[actor] + item - 2]
                    if (firing if at_start[channel] != 0 else firing + 1) % give_block[channel] != 0:
                        continue
                    given[channel] += 1
                    if given[channel] != come[channel] + 1:
                        continue  # behind others on the way: its turn comes when they have arrived
                    time = (now if at_start[channel] != 0 else until) + delay[channel]
                    event = actors + channel
                at = size
                size += 1
                while at > 0:
                    above = (at - 1) // 2
                    if heap_time[above] <= time:
                        break
                    heap_time[at] = heap_time[above]
                    heap_order[at] = heap_order[above]
                    heap_event[at] = heap_event[above]
                    at = above
                heap_time[at] = time
                heap_order[at] = order
                heap_event[at] = event
                order += 1
        if size == 0:
            return events
        # ---- the next event ----
        now = heap_time[0]
        event = heap_event[0]
        events += 1
        size -= 1
        if size > 0:
            time = heap_time[size]
            rank_of = heap_order[size]
            moved = heap_event[size]
            at = 0
            while True:
                below = 2 * at + 1
                if below >= size:
                    break
                other = below + 1
                if other < size and (
                    heap_time[other] < heap_time[below]
                    or (heap_time[other] == heap_time[below] and heap_order[other] < heap_order[below])
                ):
                    below = other
                if heap_time[below] > time or (heap_time[below] == time and heap_order[below] > rank_of):
                    break
                heap_time[at] = heap_time[below]
                heap_order[at] = heap_order[below]
                heap_event[at] = heap_event[below]
                at = below
            heap_time[at] = time
            heap_order[at] = rank_of
            heap_event[at] = moved
        if event < actors:
            busy[event] = 0
            trigger = -1
            todo[0] = event
            waiting = 1
        elif event < actors + channels:
            channel = event - actors
            count[channel] += give[channel]
            come[channel] += 1
            if come[channel] < given[channel]:
                place = first[source[channel]] + come[channel] * give_block[channel]
                time = delay[channel]
                time += start[place] if at_start[channel] != 0 else end[place + give_block[channel] - 1]
                at = size
                size += 1
                while at > 0:
                    above = (at - 1) // 2
                    if heap_time[above] <= time:
                        break
                    heap_time[at] = heap_time[above]
                    heap_order[at] = heap_order[above]
                    heap_event[at] = heap_event[above]
                    at = above
                heap_time[at] = time
                heap_order[at] = order
                heap_event[at] = event
                order += 1
            trigger = channel
            todo[0] = target[channel]
            waiting = 1
        else:
            resource = event - actors - channels
            taken[resource] = 0
            best = -1
            best_urgency = 0.0
            for at in range(member_first[resource], member_first[resource + 1]):
                actor = members[at]
                if waits[actor] != 0:
                    urgency = rank[actor] + fired[actor] // block[actor] * step[actor]
                    if (
                        best < 0
                        or urgency < best_urgency
                        or (
                            urgency == best_urgency
                            and ready[first[actor] + fired[actor]] < ready[first[best] + fired[best]]
                        )
                    ):
                        best = actor
                        best_urgency = urgency
            if best >= 0:
                todo[0] = best
                waiting = 1
