"""The command line: parses and prints, computes nothing. One module a command, imported when it is called."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Final, NoReturn

import click

from rdusim import __version__
from rdusim.cli.signals import Terminated
from rdusim.errors import RdusimError

WRONG_INPUT: Final = 2
BUG: Final = 3
INTERRUPTED: Final = 130
TERMINATED: Final = 143
TRACEBACK: Final = "RDUSIM_TRACEBACK"  # environment variable: set, a bug shows its whole traceback

# Command -> module that has it under the name `command`, and the line that `rdusim --help` shows for it.
COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "run": ("rdusim.cli.run", "Time a model on a machine: latency, throughput, what bounds it."),
    "compare": ("rdusim.cli.compare", "Runs side by side, and the reason for each difference."),
    "sweep": ("rdusim.cli.sweep", "Vary machine, model or options: tables, best points, fronts."),
    "sensitivity": ("rdusim.cli.sensitivity", "Which fields of the machine move a figure most."),
    "serve": ("rdusim.cli.serve", "Serve requests: latency, experts in memory, how many nodes."),
    "explain": ("rdusim.cli.explain", "Show what a run is made of: sections, placement, bounds."),
    "validate": ("rdusim.cli.validate", "Compare predictions with published results."),
    "micro": ("rdusim.cli.micro", "Time a microbenchmark, in one engine or in all."),
    "arch": ("rdusim.cli.arch", "Show or check a machine."),
    "models": ("rdusim.cli.models", "List the shipped models, or show one."),
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and summaries, and imports a command only to call it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = import_module(COMMANDS[cmd_name][0]).command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
            raise click.UsageError(f"there is no command {args[0]!r} ({hint})", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rdusim")
def cli() -> None:
    """Simulate AI models on reconfigurable dataflow accelerators such as SambaNova's SN40L.

    Results go to stdout, everything else to stderr. Exit codes: 0 done; 1 a check found what it looks for; 2 wrong
    input; 3 a bug of rdusim; 130 interrupted; 143 terminated.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and leave with its exit code; no user sees a traceback for wrong input."""
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = cli.main(args=None if arguments is None else list(arguments), prog_name="rdusim", standalone_mode=False)
        sys.stdout.flush()  # a pipe that closed early shows here, not when Python ends
        return code if isinstance(code, int) else 0
    except RdusimError as error:
        for problem in error.problems:
            click.echo(f"error: {problem}", err=True)
        return WRONG_INPUT
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        more = f" (see '{context.command_path} --help')" if context is not None else ""
        click.echo(f"error: {error.format_message()}{more}", err=True)
        return WRONG_INPUT
    except (KeyboardInterrupt, click.Abort) as error:
        terminated = isinstance(error.__cause__ or error, Terminated)
        click.echo("terminated" if terminated else "interrupted", err=True)
        return TERMINATED if terminated else INTERRUPTED
    except (BrokenPipeError, SystemExit):
        # Whoever read has what he wanted; click and rich leave with SystemExit then, and nothing else here does.
        # Python flushes stdout once more when it ends: let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EIO, errno.EDQUOT):
            return _report_bug(error)
        click.echo(f"error: the output cannot be written: {error.strerror}", err=True)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return WRONG_INPUT
    except Exception as error:
        return _report_bug(error)


def _report_bug(error: Exception) -> int:
    if os.environ.get(TRACEBACK):
        raise error
    click.echo(f"error: {_bug(error)}", err=True)
    return BUG


def _bug(error: Exception) -> str:
    """One line for a mistake of ours: what, and the place in rdusim where it came up."""
    place, trace = "", error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "")
        place = f" at {name}:{trace.tb_lineno}" if name.startswith("rdusim.") else place
        trace = trace.tb_next
    said = str(error).splitlines()[0] if str(error) else "no message"
    return f"a bug in rdusim: {type(error).__name__}: {said}{place} ({TRACEBACK}=1 shows more; please report it)"
