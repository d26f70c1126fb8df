"""What a user did wrong, said in one clear message: file, line, field, value and the way out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with one input. Lines and columns count from 1."""

    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    field: str | None = None
    hint: str | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        field = f"{self.field}: " if self.field else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}: {field}{self.message}{hint}" if place else f"{field}{self.message}{hint}"


class RdusimError(Exception):
    """Wrong input. Carries every problem found in one go; the CLI prints one a line and leaves with code 2."""

    def __init__(self, *problems: Problem | str) -> None:
        self.problems: tuple[Problem, ...] = tuple(
            problem if isinstance(problem, Problem) else Problem(message=problem) for problem in problems
        )
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ArchError(RdusimError):
    """The machine description, or an override of it, is wrong."""


class GraphError(RdusimError):
    """The model, or the shape it is asked to run at, is wrong."""


class LowerError(RdusimError):
    """The model cannot be put onto this machine in sections, or cannot be sharded as asked."""


class MappingError(RdusimError):
    """A lowered program does not fit the sites, routes or memories of the machine."""


class OptionError(RdusimError):
    """An option of a run has a value that makes no sense."""


class TraceError(RdusimError):
    """A trace of requests, or a table of their clients or lengths, has lines that make no sense."""


class DeadlockError(RdusimError):
    """Full buffers wait for each other in a circle; the message names the stages and buffers."""


class ServeError(RdusimError):
    """A scenario, a trace or an expert cannot be served as asked."""
