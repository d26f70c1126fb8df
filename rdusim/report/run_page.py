"""One offline HTML file about a run: how fast, what bounds it, where the time goes, what lies where, what was asked.

Charts are SVG of our own, as on the page of a serving run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rdusim.report.html.drawing import inline
from rdusim.report.html.page import Section, page, paragraphs, scroll
from rdusim.report.html.text import plain
from rdusim.report.render import asked, bound_by
from rdusim.report.roofline_figure import roofline_figure
from rdusim.report.run_tables import (
    headline,
    machine_table,
    memory_table,
    plans_table,
    sections_table,
    settings_table,
    spill_table,
    units_table,
)
from rdusim.report.run_time import time_figures
from rdusim.units import show

if TYPE_CHECKING:
    from rdusim.arch.show import Row
    from rdusim.report.roofline import Ceilings
    from rdusim.report.types import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A drawing made as an SVG file. `name`: of what; `said`: a word about it, such as its share of the time."""

    name: str
    said: str
    svg: str


def run_page(
    report: Report,
    *,
    ceilings: Ceilings,
    command: str = "",
    machine: Sequence[Row] = (),
    floorplans: Sequence[Picture] = (),
    memory_maps: Sequence[Picture] = (),
) -> str:
    """The text of an HTML file, the same for the same arguments; how long the simulation took is not in it.

    `command`: what makes this page again. `machine`: rows of `rdusim arch show`. `floorplans`, `memory_maps`: those to
    be shown first come first.
    """
    setting = report.setting
    bound = str(bound_by(report))
    title = f"{setting.model}, {setting.phase or 'one run'} on {setting.arch}"
    return page(
        title,
        list(_sections(report, ceilings, command, machine, floorplans, memory_maps)),
        lead=f"{paragraphs(asked(setting), f'{bound[:1].upper()}{bound[1:]}.')}\n{headline(report)}",
        foot=f"Made by rdusim {report.simulator.version}. Nothing in this file is loaded from elsewhere.",
    )


def _sections(
    report: Report,
    ceilings: Ceilings,
    command: str,
    machine: Sequence[Row],
    floorplans: Sequence[Picture],
    memory_maps: Sequence[Picture],
) -> Iterator[Section]:
    yield Section(key="where", title="Where the time goes", body=time_figures(report))
    yield Section(key="roofline", title="Roofline", body=roofline_figure(report.sections, ceilings))
    yield Section(key="sections", title="Sections", body=sections_table(report))
    yield Section(key="memory", title="Memory", body=_memory(report, memory_maps))
    yield Section(key="units", title="Units and links", body=units_table(report))
    if floorplans:
        yield Section(key="floorplan", title="Floorplan", body=_floorplans(floorplans))
    if report.plans:
        body = plans_table(report.plans, report.latency.total_seconds)
        yield Section(key="plans", title="Plans", body=body)
    if notes := list(_notes(report)):
        items = "".join(f"<li>{plain(note)}</li>" for note in notes)
        yield Section(key="notes", title="Notes", body=f"<ul>{items}</ul>")
    yield Section(key="asked", title="What was asked", body=_asked(report, command))
    if machine:
        yield Section(key="machine", title="Machine", body=machine_table(machine))


def _memory(report: Report, maps: Sequence[Picture]) -> str:
    parts = [memory_table(report)]
    if report.spill is not None:
        parts.append(f"<h3>What does not fit</h3>\n{spill_table(report.spill, report.memory[1].tier)}")
    if maps:
        told = (
            "What lies where in the memory of one socket: time from left to right, addresses from below; the line is "
            "the highest address in use."
        )
        parts.append(f"<h3>Memory map</h3>\n{paragraphs(told)}\n{_choice(maps, 'map', 'Memory map')}")
    return "\n".join(parts)


def _floorplans(plans: Sequence[Picture]) -> str:
    told = (
        "Sections on the units of a socket, and below how much of each link's capacity they use; those that take most "
        "time come first. A name opens the drawing."
    )
    return f"{paragraphs(told)}\n{_choice(plans, 'plan', 'Floorplan')}"


def _choice(pictures: Sequence[Picture], key: str, what: str) -> str:
    """One open, the others behind their names: no script, for details of one name close each other."""
    found = []
    for number, picture in enumerate(pictures, start=1):
        name = f"{what}: {picture.name}"
        drawn = inline(picture.svg, f"{key}{number}", name, f"{name}, {picture.said}")
        opened = ' open=""' if number == 1 else ""
        found.append(
            f'<details name="{key}"{opened}><summary>{plain(picture.name)}, {plain(picture.said)}</summary>\n'
            f"{scroll(drawn, name)}\n</details>"
        )
    return "\n".join(found)


def _notes(report: Report) -> Iterator[str]:
    yield from report.notes
    if contexts := report.simulator.decode_contexts:
        shown = ", ".join(show(context, "count") for context in contexts)
        yield f"decode steps simulated at contexts {shown}; straight lines between them, within 0.5% of the total"


def _asked(report: Report, command: str) -> str:
    made = f"<p>This page is made by</p>\n<pre><code>{plain(command)}</code></pre>\n" if command else ""
    return f"{made}{settings_table(report.setting)}"
