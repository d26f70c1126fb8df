"""Speculative decoding of one request: the draft model's steps and the target's check, on the same sockets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rdusim.arch.types import Arch
from rdusim.graph.types import RunShape
from rdusim.pipeline.model_flops import step_flops
from rdusim.report.speculative import prefill, speculative
from rdusim.report.summarize import peak_flops
from rdusim.units import Bytes

if TYPE_CHECKING:
    from rdusim.pipeline.stages import Stages
    from rdusim.report.types import Report


def round_report(target: Stages, draft: Stages, context: int) -> Report:
    """A step at `context`: proposals over a context that grows by one each, then all of them through the target."""
    length, acceptance = target.plan.draft_length, target.plan.acceptance_rate
    assert acceptance is not None
    proposed = draft.report_of(draft.plan.decode(drafted_context(target, context)))
    checked = target.report_of(checked_shape(target, context))
    peak = peak_flops(target.arch, checked.setting.dtype, checked.setting.sockets_used)
    needed = step_flops(target, context)
    return speculative(proposed, checked, length=length, acceptance=acceptance, needed=needed, peak_flops=peak)


def checked_shape(target: Stages, context: int) -> RunShape:
    """All proposals of a round through the target, and the token before them."""
    length, one = target.plan.draft_length, target.plan.decode(context)
    return replace(one, query_tokens=length + 1, context_tokens=one.context_tokens + length)


def drafted_context(target: Stages, context: int) -> int:
    """The context of a proposal in the middle of a round, which stands for all of them."""
    return context + target.plan.draft_length // 2


def prefill_report(target: Stages, draft: Stages, found: Report) -> Report:
    """The prompt through both models; `found` is the target's."""
    peak = peak_flops(target.arch, found.setting.dtype, found.setting.sockets_used)
    return prefill(draft.report_of(draft.plan.prefill()), found, peak_flops=peak)


def beside(arch: Arch, held: Bytes) -> Arch:
    """The machine that is left when another model holds `held` bytes of each socket's nearest memory."""
    nearest, *others = arch.socket.memory
    left = replace(nearest, capacity=Bytes(max(0, nearest.capacity - held)))
    return replace(arch, socket=replace(arch.socket, memory=(left, *others)))
