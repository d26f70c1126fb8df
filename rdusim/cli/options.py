"""The options that every command about one run shares, and the request they make. Values are judged in `pipeline`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from rdusim.pipeline import RunRequest

Command = TypeVar("Command", bound=Callable[..., Any])

# Checked in `pipeline`, together with everything else that may be wrong, so text rather than click.Choice.
_OPTIONS: Final = (
    click.argument("model"),
    click.option(
        "--arch", default="sn40l", metavar="ARCH", show_default=True, help="A shipped machine, or a YAML file."
    ),
    click.option("--sockets", type=int, metavar="N", help="Sockets to use.  [default: all of the machine]"),
    click.option("--phase", metavar="prefill|decode|generate|train", help="[default: decode]"),
    click.option("--batch", type=int, metavar="B", help="Sequences at once.  [default: 1]"),
    click.option("--input-tokens", type=int, metavar="N", help="Length of the prompt.  [default: 2048]"),
    click.option("--output-tokens", type=int, metavar="N", help="Tokens that generate makes.  [default: 128]"),
    click.option(
        "--context-tokens",
        type=int,
        metavar="N",
        help="KV-cache length of a decode step.  [default: --input-tokens, else 4096]",
    ),
    click.option("--dtype", metavar="bf16|fp8|int8|fp32", help="Number format.  [default: bf16]"),
    click.option(
        "--parallel",
        metavar="tp=8,pp=1,ep=1,dp=1,sp=1",
        help="Ways of cutting the model, or auto.  [default: tp over all sockets that divide the model]",
    ),
    click.option("--micro-batches", type=int, metavar="N", help="Parts of the batch in a pipeline.  [default: pp]"),
    click.option("--pipeline-schedule", metavar="gpipe|1f1b|interleaved", help="[default: 1f1b]"),
    click.option(
        "--pipeline-chunks", type=int, metavar="N", help="Chunks of layers a stage, if interleaved.  [default: 2]"
    ),
    click.option("--compiled-tokens", type=int, metavar="N", help="Tokens the machine was compiled for; padded to it."),
    click.option("--compiled-batch", type=int, metavar="B", help="Batch the machine was compiled for; padded to it."),
    click.option("--draft", metavar="MODEL", help="Draft model of speculative decoding."),
    click.option("--draft-length", type=int, metavar="N", help="Tokens drafted in a round.  [default: 4]"),
    click.option("--acceptance-rate", type=float, metavar="0..1", help="Chance that a drafted token is accepted."),
    click.option("--optimizer", metavar="adamw|sgd", help="Of a training step.  [default: adamw]"),
    click.option(
        "--recompute", metavar="none|selective|full", help="Activations that training computes again.  [default: none]"
    ),
    click.option(
        "--precision", metavar="mixed|uniform", help="Whether training keeps fp32 weights too.  [default: mixed]"
    ),
    click.option(
        "--routing-skew", type=float, metavar="X", help="Zipf exponent of how popular experts are.  [default: 0]"
    ),
    click.option("--fusion", default="fused", metavar="fused|modules|unfused", show_default=True),
    click.option("--cut-after", multiple=True, metavar="OPERATOR", help="End a section behind it; repeatable."),
    click.option(
        "--orchestration", metavar="hardware|host", help="Who starts sections.  [default: hardware if fused, else host]"
    ),
    click.option(
        "--kernel-looping/--no-kernel-looping",
        default=False,
        help="Let the next section's weights run ahead while one drains.",
    ),
    click.option(
        "--kv-cache", default="contiguous", metavar="contiguous|paged", show_default=True, help="How it lies in memory."
    ),
    click.option("--kv-block", type=int, metavar="N", help="Tokens of a block of a paged KV cache.  [default: 16]"),
    click.option(
        "--spill",
        default="transfer",
        metavar="transfer|density",
        show_default=True,
        help="What leaves a full tier first: least traffic (weights last), or least traffic a byte.",
    ),
    click.option("--memory-hints", metavar="FILE.yaml", help="Symbols, and the tier of memory that each must lie in."),
    click.option("--engine", default="steady", metavar="steady|discrete|cycle", show_default=True),
    click.option(
        "--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Change a field of the machine; repeatable."
    ),
)


def run_options(command: Command) -> Command:
    """MODEL and the options of `rdusim run` that say what is simulated."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def request_of(values: dict[str, Any]) -> RunRequest:
    """The request that parsed `run_options` make."""
    from rdusim.pipeline import RunRequest

    return RunRequest(**values)
