"""One offline HTML file about sensitivities: for each figure a tornado, its numbers, and what could not be varied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from rdusim import __version__
from rdusim.report.html.axes import both_ways
from rdusim.report.html.charts import Chart
from rdusim.report.html.page import Section, exact, figure, page, paragraphs, table
from rdusim.report.html.rows import swings
from rdusim.report.html.text import NOTHING, plain
from rdusim.report.render import asked
from rdusim.report.render_sensitivity import said
from rdusim.report.sensitivity import compiled_anew
from rdusim.units import show

if TYPE_CHECKING:
    from rdusim.report.sensitivity import End, Influence, Sensitivity

MOST: Final = 24  # bars of a tornado
_SEEN: Final = 0.0005  # a change that is not 0.0%


def sensitivity_page(found: Sequence[Sensitivity], *, title: str = "", command: str = "") -> str:
    """The text of an HTML file, the same for the same arguments. `command`: what makes this page again."""
    return page(
        title or f"What moves {found[0].metric} of {found[0].name}",
        list(_sections(found, command)),
        lead=_lead(found),
        foot=f"Made by rdusim {__version__}. Nothing in this file is loaded from elsewhere.",
    )


def _lead(found: Sequence[Sensitivity]) -> str:
    """Of each figure the parameter that moves it most."""
    rows = []
    for each in found:
        first = next(iter(each.shown()), None)
        most, swing = ("nothing", NOTHING) if first is None else (first.path, _share(first.swing, each.base))
        rows.append((plain(each.name), plain(most), plain(said(each.metric, each.base)), swing))
    told = "One parameter of the machine at a time is moved down and up, all others stay as they are."
    return f"{paragraphs(told)}\n{table(['figure', 'moved most by', 'it is', 'between the ends'], rows, words=2)}"


def _sections(found: Sequence[Sensitivity], command: str) -> Iterator[Section]:
    for number, each in enumerate(found, start=1):
        body = [paragraphs(asked(each.setting), f"{said(each.metric, each.base)}.")]
        told = compiled_anew(each)
        body += [
            _tornado(each, f"t{number}"),
            paragraphs(f"{told[0].upper()}{told[1:]}." if told else ""),
            _refused(each),
        ]
        yield Section(key=f"figure{number}", title=each.name, body="\n".join(part for part in body if part))
    if command:
        yield Section(key="asked", title="What was asked", body=f"<pre><code>{plain(command)}</code></pre>")


def _tornado(found: Sensitivity, key: str) -> str:
    """Changes in percent of the figure, a bar for the lower end and one for the higher end of each parameter."""
    shown = found.shown()[:MOST]
    if not shown:
        return paragraphs("No parameter moves it by more than a thousandth.")
    changes = np.array([[_change(each.low, found), _change(each.high, found)] for each in shown])
    reach = (float(changes.min(initial=0.0)), float(changes.max(initial=0.0)))
    drawn = swings(
        Chart(
            key=key,
            title=f"What moves {found.metric}",
            description=f"{shown[0].path} moves it most, {_share(shown[0].swing, found.base)} between its ends.",
        ),
        ("at the lower value", "at the higher value"),
        both_ways(f"change of {found.metric}", *reach, "share"),
        [f"{each.path} *" if each.assumed else each.path for each in shown],
        changes,
        [_beside(pair) for pair in changes.tolist()],
    )
    left = len(found.shown()) - len(shown)
    caption = f"Each parameter {show(found.by, 'share')} down and up unless a range of doubt was given; counts to the "
    caption += "nearest that the machine allows. * its value is assumed: nobody has published it."
    caption += f" {left} more move it by more than a thousandth; the table has them." if left else ""
    return figure(drawn, label=f"tornado of {found.name}", caption=caption, numbers=_table(found))


def _change(end: End | None, found: Sensitivity) -> float:
    """Of the figure, as a share of it; of a figure of 0 in its own unit."""
    if end is None:
        return 0.0
    return (end.metric - found.base) / (abs(found.base) or 1.0)


def _beside(pair: Sequence[float]) -> tuple[str, str]:
    """The least and the largest change, at the ends of a row."""
    low, high = min(*pair, 0.0), max(*pair, 0.0)
    return (f"{100 * low:+.1f}%" if low <= -_SEEN else "", f"{100 * high:+.1f}%" if high >= _SEEN else "")


def _share(swing: float, base: float) -> str:
    return show(swing / abs(base), "share") if base else f"{swing:.3g}"


def _table(found: Sensitivity) -> str:
    rows = (
        (
            plain(each.path),
            "assumed" if each.assumed else "",
            f'<span class="long">{plain(each.note)}</span>',
            plain(each.text),
            _end(each.low),
            _end(each.high),
            exact(each.swing, _share(each.swing, found.base), "i-swing"),
            NOTHING if each.elasticity is None else f"{each.elasticity:+.2f}",
            "yes" if each.compiled_again else "",
        )
        for each in found.parameters
    )
    heads = ["parameter", "assumed", "source", "value", "lower", "higher", "swing", "elasticity", "compiled again"]
    return table(heads, rows, caption="All parameters, the largest swing first", words=3)


def _end(end: End | None) -> str:
    return NOTHING if end is None else f"{plain(end.text)}: {end.metric:.5g}"


def _refused(found: Sensitivity) -> str:
    """Parameters of which no other value could be run."""
    if not found.refused:
        return ""

    def row(each: Influence) -> tuple[str, ...]:
        return plain(each.path), plain(each.text), plain(each.problem or "")

    return table(["parameter", "value", "why"], map(row, found.refused), caption="Not varied", words=3)
