"""How a deployment serves: what a run takes besides requests, experts and costs."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan

from rdusim.errors import OptionError, Problem
from rdusim.serve.dispatch import DISPATCHERS
from rdusim.serve.kv_cache import KvMemory, check_memory
from rdusim.serve.schedulers import SCHEDULERS
from rdusim.units import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """One node, or several alike. `scheduler`, `dispatcher`: names of the tables in schedulers/ and dispatch/.

    `max_batch`: sequences that run at once on a node. `decode_first`: no new prompt while any decodes (continuous).
    `prefill_tokens`: prompt tokens of one prefill, at most (continuous; one prompt always goes).
    `chunk_tokens`: tokens of one step, decodes included (chunked).
    `batches`, `prompts`: the compiled shapes that static batches are padded to; none: any size up to `max_batch`, any
    length. `timeout`: how long an incomplete static batch waits for more.
    `patience`: how long requests for other experts wait before the running batch takes no more of its own.
    `router`: the shape of the model that chooses the expert; it runs on what came since the last step.
    `network`: one way between client and node. `near`, `far`: names of the tiers.
    """

    scheduler: str = "continuous"
    dispatcher: str = "least_loaded"
    nodes: int = 1
    max_batch: int = 64
    decode_first: bool = False
    prefill_tokens: int = 8192
    chunk_tokens: int = 512
    batches: tuple[int, ...] = ()
    prompts: tuple[int, ...] = ()
    timeout: Seconds = Seconds(0.05)
    patience: Seconds = Seconds(0.0)
    kv: KvMemory | None = None
    router: str | None = None
    network: Seconds = Seconds(0.0)
    near: str = "hbm"
    far: str = "ddr"


def check_options(options: ServeOptions) -> None:
    """Raises OptionError with every option that makes no sense."""
    problems = [
        Problem(message=f"{name!r} is not known", field=field, hint=f"one of {', '.join(table)}")
        for field, name, table in (
            ("scheduler", options.scheduler, list(SCHEDULERS)),
            ("dispatcher", options.dispatcher, list(DISPATCHERS)),
        )
        if name not in table
    ]
    problems += [
        Problem(message=f"{value} is below 1", field=field, hint="a whole number from 1 on")
        for field, value in (
            ("nodes", options.nodes),
            ("max_batch", options.max_batch),
            ("prefill_tokens", options.prefill_tokens),
            ("chunk_tokens", options.chunk_tokens),
        )
        if value < 1
    ]
    problems += [
        Problem(message=f"{value} is no time", field=field, hint="seconds from 0 on")
        for field, value in (
            ("timeout", options.timeout),
            ("patience", options.patience),
            ("network", options.network),
        )
        if value < 0 or isnan(value)
    ]
    problems += [
        Problem(message=f"{list(sizes)} does not ascend from 1 or more", field=field, hint="for example [1, 8, 16]")
        for field, sizes in (("batches", options.batches), ("prompts", options.prompts))
        if sizes and (sizes[0] < 1 or list(sizes) != sorted(set(sizes)))
    ]
    if options.scheduler == "chunked" and options.chunk_tokens <= options.max_batch:
        problems.append(
            Problem(
                message=f"{options.chunk_tokens} tokens leave none for prompts beside {options.max_batch} decodes",
                field="chunk_tokens",
                hint="more than max_batch",
            )
        )
    if problems:
        raise OptionError(*problems)
    if options.kv is not None:
        check_memory(options.kv)
