"""One offline HTML file about a serving run: how fast, why, what was in memory, and what was asked.

Charts are SVG of our own: a library for them would be most of a megabyte in every file, and would need JavaScript.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rdusim.report.html.page import Section, page, paragraphs, table
from rdusim.report.html.text import plain
from rdusim.report.serve_experts import residency_figures, switch_figure
from rdusim.report.serve_latency import cause_figures, latency_figures
from rdusim.report.serve_load import footprint_figure, load_figures
from rdusim.report.serve_metrics import headline, metrics_tables
from rdusim.serve.metrics import Metrics
from rdusim.serve.slo import Slo
from rdusim.serve.types import ServeResult

_PARTIAL = "Partial: the run was interrupted. Everything here is about what had happened until then."


def serve_page(
    result: ServeResult,
    metrics: Metrics,
    *,
    title: str = "A serving run",
    asked: str = "",
    settings: Mapping[str, object] | None = None,
    slo: Slo | None = None,
    footprint: Mapping[str, Sequence[tuple[int, int]]] | None = None,
    notes: Sequence[str] = (),
) -> str:
    """The text of an HTML file, the same for the same arguments, below 2 MB however many requests there were.

    `asked`: the run in one sentence. `settings`: what was asked for, value by value, nested or not; those of the result
    if None. `slo`: for its limits in the charts. `footprint`: by name of a machine, ascending (experts, nodes).
    `notes`: besides those of the result.
    """
    about = settings if settings is not None else result.settings
    sections = [
        Section(key="metrics", title="Metrics", body=metrics_tables(metrics, slo)),
        Section(key="latency", title="Latency", body=latency_figures(result, slo)),
        Section(key="causes", title="Causes of latency", body=cause_figures(result)),
        Section(key="load", title="Throughput, batch and KV cache", body=load_figures(result)),
        Section(key="residency", title="Experts in near memory", body=residency_figures(result)),
        Section(key="switch", title="Switches", body=switch_figure(result)),
    ]
    if footprint:
        sections.append(Section(key="foot", title="Footprint", body=footprint_figure(footprint)))
    sections.append(Section(key="asked", title="What was asked", body=_asked(result, about)))
    if said := list(dict.fromkeys((*result.notes, *notes))):
        items = "".join(f"<li>{plain(note)}</li>" for note in said)
        sections.append(Section(key="notes", title="Notes", body=f"<ul>{items}</ul>"))
    return page(
        title,
        sections,
        lead=f"{paragraphs(asked)}\n{headline(metrics)}",
        foot="Made by rdusim serve. Nothing in this file is loaded from elsewhere.",
        warning=_PARTIAL if result.partial else "",
    )


def _asked(result: ServeResult, settings: Mapping[str, object]) -> str:
    shapes = sorted({expert.shape for expert in result.experts})
    rows = [
        ("nodes", str(result.nodes)),
        ("experts", f"{len(result.experts):,} of {_few(shapes, 'shape')}"),
        *_flat(settings, ""),
    ]
    return table(["setting", "value"], ((plain(name), plain(value)) for name, value in dict(rows).items()), words=2)


def _few(names: Sequence[str], word: str) -> str:
    """At most six names."""
    if len(names) > 6:
        return f"{len(names)} {word}s"
    return f"the {word}{'' if len(names) == 1 else 's'} {', '.join(names)}" if names else f"no {word}"


def _flat(settings: Mapping[str, object], before: str) -> Iterator[tuple[str, str]]:
    """`kv.near` for what is nested; long lists by their length, for a page is read by people."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        elif isinstance(value, list | tuple) and len(value) > 20:
            yield f"{before}{name}", f"{len(value)} values"
        elif isinstance(value, list | tuple):
            yield f"{before}{name}", ", ".join(str(each) for each in value) or "none"
        else:
            yield f"{before}{name}", "none" if value is None else str(value)
