"""rdusim arch: the merged machine with every value's origin, or its problems."""

from __future__ import annotations

import click

from rdusim.cli.output import emit, emit_rich

FOUND = 1  # the exit code of a check that found what it looks for

_overrides = click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Change a field; repeatable.")


@click.group("arch")
def command() -> None:
    """Show or check a machine: ARCH is a shipped name, or a YAML file."""


@command.command("show")
@click.argument("arch", default="sn40l")
@_overrides
@click.option("--json", "as_json", is_flag=True, help="Print rows as JSON.")
def show(arch: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Print every value of ARCH, where it comes from and on whose word."""
    from rdusim.arch.show import show_arch

    rows = show_arch(arch, overrides)
    if as_json:
        from rdusim.report.export import json_text

        emit(json_text([dict(row._asdict()) for row in rows]), None)
        return
    from rich.console import Console
    from rich.text import Text

    # One line a row however wide: made for grep, and a terminal wraps by itself.
    path, value, origin = (max(len(row[column]) for row in rows) for column in range(3))

    def print_to(console: Console) -> None:
        for row in rows:
            known = f"{row.path:<{path}}  {row.value:<{value}}  "
            console.print(Text.assemble(known, (f"{row.origin:<{origin}}  {row.note}".rstrip(), "dim")), soft_wrap=True)

    emit_rich(print_to, None)


@command.command("check")
@click.argument("arch", default="sn40l")
@_overrides
def check(arch: str, overrides: tuple[str, ...]) -> int:
    """Print every problem of ARCH; exit code 1 if there is one."""
    from rdusim.arch.load import load_arch
    from rdusim.errors import ArchError

    try:
        machine = load_arch(arch, overrides)
    except ArchError as error:
        # Problems of a file are what this command looks for; a machine that is not there is wrong input.
        if all(problem.file is None for problem in error.problems):
            raise
        emit("".join(f"{problem}\n" for problem in error.problems), None)
        return FOUND
    emit(f"{machine.name}: no problems\n", None)
    return 0
