"""What moves a figure, for people: a bar for each field of the machine, the longest first, and the rest in a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from rdusim.report.render import asked
from rdusim.report.sensitivity import LEAST, compiled_anew
from rdusim.units import show

if TYPE_CHECKING:
    from rdusim.report.sensitivity import End, Influence, Sensitivity

HALF: Final = 5  # cells of a bar on either side
WIDE: Final = 105  # columns in which the values themselves have room
AWAY: Final = 0.02  # of a value: farther from where it was to be moved to, the value is told
NOTHING: Final = "-"
MARK: Final = "*"  # behind the name of a field whose value is assumed


def print_sensitivity(found: Sequence[Sensitivity], console: Console, *, everything: bool = False) -> None:
    """`everything`: fields that change next to nothing have a row too."""
    ascii_only, wide = not console.encoding.lower().startswith("utf"), console.width >= WIDE
    for number, each in enumerate(found):
        if number:
            console.print()
        for block in blocks(each, everything=everything, ascii_only=ascii_only, wide=wide):
            console.print(block)


def blocks(
    found: Sensitivity, *, everything: bool = False, ascii_only: bool = False, wide: bool = False
) -> Iterator[RenderableType]:
    """What was asked, the bars, and what has none."""
    head = f"{found.name}: {said(found.metric, found.base)}"
    how = f"each field {show(found.by, 'share')} down and up, one at a time; {MARK} its value is assumed"
    yield Group(Text(asked(found.setting), style="dim"), Text(head, style="bold green"), Text(how, style="dim"))
    rows = found.parameters if everything else found.shown()
    if rows:
        yield Group(Text(), _table(found, rows, "#" if ascii_only else "\N{FULL BLOCK}", wide))
    lines = [*_elsewhere(found, rows, wide), *_rest(found, rows, everything)]
    yield Group(Text(), *map(Text, lines))


def said(metric: str, value: float) -> str:
    """A figure with its unit, which its name ends in."""
    last = metric.rpartition(".")[2]
    if last.endswith("bytes_per_second"):
        return f"{metric} {show(value, 'bandwidth')}"
    if last == "flops_per_second":
        return f"{metric} {show(value, 'flops')}"
    if last.endswith("_seconds") or last == "seconds":
        return f"{metric} {show(value, 'time')}"
    if last.endswith("bytes"):
        return f"{metric} {show(value, 'size')}"
    return f"{metric} {show(round(value), 'count') if abs(value) >= 1000.0 else f'{value:.4g}'}"


def _table(found: Sensitivity, rows: Sequence[Influence], block: str, ends: bool) -> Table:
    """`ends`: there is room for the values themselves."""
    table = Table(box=None, padding=(0, 0, 0, 1), pad_edge=False, header_style="dim")
    table.add_column("field", overflow="fold")
    columns = ("low", "at low", "", "at high", "high", "elastic") if ends else ("at low", "", "at high", "elastic")
    for name in columns:
        table.add_column(name, justify="left" if name in ("", "high") else "right", no_wrap=True)
    widest = max(abs(change) for each in rows for change in _changes(each)) or 1.0
    for each in rows:
        low, high = _changes(each)
        cells: list[str | Text] = [
            _percent(low, each.low is not None),
            Text(_bar(low, high, widest, block), style="blue"),
            _percent(high, each.high is not None),
        ]
        if ends:
            cells = [_text(each.low), *cells, _text(each.high)]
        elasticity = NOTHING if each.elasticity is None else f"{each.elasticity:+.2f}"
        table.add_row(f"{each.path}{MARK if each.assumed else ''}", *cells, elasticity)
    return table


def _text(end: End | None) -> str:
    return NOTHING if end is None else end.text


def _changes(each: Influence) -> tuple[float, float]:
    """The figure at both ends, as a change from the machine as it is."""
    ends = (end.metric if end else each.base for end in (each.low, each.high))
    low, high = ((metric - each.base) / abs(each.base) if each.base else metric for metric in ends)
    return low, high


def _percent(change: float, there: bool) -> str:
    """No sign where nothing shows."""
    if not there:
        return NOTHING
    return "0.0%" if abs(change) < 0.0005 else f"{100 * change:+.1f}%"


def _bar(low: float, high: float, widest: float, block: str) -> str:
    """Left of the middle what makes the figure smaller, right of it what makes it larger."""
    left = round(HALF * max(0.0, -min(low, high)) / widest)
    right = round(HALF * max(0.0, low, high) / widest)
    return f"{' ' * (HALF - left)}{block * left}|{block * right}{' ' * (HALF - right)}"


def _elsewhere(found: Sensitivity, rows: Sequence[Influence], wide: bool) -> Iterator[str]:
    """Values that are not where they were to be: ranges of doubt, and counts that the machine does not allow."""
    away = [] if wide else [each for each in rows if each.ranged or any(map(partial(_away, each, found.by), (-1, 1)))]
    if away:
        yield f"moved to: {', '.join(f'{each.path} {_text(each.low)} .. {_text(each.high)}' for each in away)}"


def _away(each: Influence, by: float, sign: int) -> bool:
    end = each.low if sign < 0 else each.high
    return end is not None and abs(end.value - (1.0 + sign * by) * each.value) > AWAY * each.value


def _rest(found: Sensitivity, rows: Sequence[Influence], everything: bool) -> Iterator[str]:
    """What has no row, and why."""
    if others := () if everything else found.parameters[len(rows) :]:
        least, still = show(LEAST, "share"), sum(each.swing == 0.0 for each in others)
        fields = "field moves" if len(others) == 1 else "fields move"
        yield f"{len(others)} other {fields} it by less than {least} between their ends, {still} of them by nothing"
    for each in rows:
        if each.problem is not None:
            yield f"{each.path}, one end only: {each.problem}"
    for each in found.refused:
        yield f"{each.path} = {each.text} cannot be varied: {each.problem}"
    if told := compiled_anew(found):
        yield told
