"""rdusim models: what ships with it, and one model in some detail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rdusim.cli.output import emit, emit_rich

if TYPE_CHECKING:
    from rich.console import Console

    from rdusim.graph.catalog import ModelRow, ModelSummary

_json = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")


@click.group("models", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """List the shipped models, or show one."""
    if context.invoked_subcommand is None:
        context.invoke(list_command, as_json=False)


@command.command("list")
@_json
def list_command(as_json: bool) -> None:
    """Print every shipped model: family, layers, parameters."""
    from rdusim.graph.catalog import list_models

    rows = list_models()
    if as_json:
        _emit_json(rows)
    else:
        emit_rich(lambda console: _print_rows(rows, console), None)


@command.command("show")
@click.argument("model")
@_json
def show(model: str, as_json: bool) -> None:
    """Print the size of MODEL and what a block of it is made of, at one token of decode."""
    from rdusim.graph.catalog import describe

    summary = describe(model)
    if as_json:
        _emit_json(summary)
    else:
        emit_rich(lambda console: _print_summary(summary, console), None)


def _emit_json(value: object) -> None:
    from rdusim.report.export import json_text, to_json

    emit(json_text(to_json(value)), None)


def _print_rows(rows: tuple[ModelRow, ...], console: Console) -> None:
    from rich.table import Table

    from rdusim.units import show

    table = Table(box=None, padding=(0, 0, 0, 2), pad_edge=False, header_style="dim")
    table.add_column("model", no_wrap=True)
    table.add_column("family", no_wrap=True)
    table.add_column("layers", justify="right", no_wrap=True)
    table.add_column("parameters", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in rows:
        counts = ("" if count is None else show(count, "count") for count in (row.layers, row.parameters))
        table.add_row(row.name, row.family, *counts, "" if row.supported else "not supported yet")
    console.print(table)


def _print_summary(summary: ModelSummary, console: Console) -> None:
    from rdusim.units import show

    console.print(f"{summary.name}, family {summary.family}, {summary.file}", soft_wrap=True)
    console.print(f"{show(summary.parameters, 'count')} parameters in {show(summary.weight_bytes, 'size')}")
    if summary.active_parameters < summary.parameters:
        console.print(f"a token meets {show(summary.active_parameters, 'count')} of them")
    console.print(f"KV cache: {show(summary.kv_bytes_per_token, 'size')} a token")
    console.print(f"{show(summary.macs_per_token, 'count')} MACs a token")
    for name, operators, repeats in summary.blocks:
        console.print(f"block {name}: {operators} operators, {repeats} times")
    console.print("operators of a repeated block: " + ", ".join(f"{kind} {count}" for kind, count in summary.kinds))
