"""The page around everything: head, contents, sections, tables; one file that asks the network for nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rdusim.report.html.style import sheet
from rdusim.report.html.text import plain

# The browser itself is told to load nothing and to run nothing.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

_MANY: Final = 12  # points of a chart that one may want to pass

# Hatching for areas, defined once: filled areas are told apart without colour too.
_HATCHES: Final = (
    "",
    "M0 6L6 0",
    "M3 1V3",
    "M0 0L6 6",
    "M0 3H6",
    "M3 0V6",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading and what stands under it, as HTML. `key`: its id, a word."""

    key: str
    title: str
    body: str


def page(title: str, sections: Sequence[Section], *, lead: str = "", foot: str = "", warning: str = "") -> str:
    """The text of an HTML file that is well-formed XML too. `lead`, HTML, stands under the title; others are text.

    `warning` stands before everything else; the page's name begins with `[partial]` if there is one.
    """
    contents = "".join(f'<li><a href="#{each.key}">{plain(each.title)}</a></li>' for each in sections)
    body = "\n".join(
        f'<section id="{each.key}" aria-labelledby="{each.key}-h">\n'
        f'<h2 id="{each.key}-h">{plain(each.title)}</h2>\n{each.body}\n</section>'
        for each in sections
    )
    return "\n".join(
        (
            "<!DOCTYPE html>",
            '<html lang="en">',
            '<head>\n<meta charset="utf-8"/>',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"/>',
            '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
            f"<title>{'[partial] ' if warning else ''}{plain(title)}</title>",
            f"<style>\n{sheet()}</style>\n</head>",
            f"<body>\n{_hatches()}\n<header>\n<h1>{plain(title)}</h1>",
            f'<p class="warn" role="note">{plain(warning)}</p>' if warning else "",
            f'{lead}\n<nav aria-label="Contents"><ul>{contents}</ul></nav>\n</header>',
            f"<main>\n{body}\n</main>",
            f"<footer><p>{plain(foot)}</p></footer>" if foot else "",
            "</body>\n</html>\n",
        )
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "", words: int = 1) -> str:
    """Cells are HTML (see `plain`). The first `words` columns hold words, the others numbers."""

    def cell(tag: str, column: int, text: str, more: str = "") -> str:
        kind = ' class="n"' if column >= words else ""
        return f"<{tag}{more}{kind}>{text}</{tag}>"

    head = "".join(cell("th", column, plain(text), ' scope="col"') for column, text in enumerate(heads))
    body = "\n".join(f"<tr>{''.join(cell('td', column, text) for column, text in enumerate(row))}</tr>" for row in rows)
    said = f"<caption>{plain(caption)}</caption>" if caption else ""
    return scroll(f"<table>{said}<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>", caption or "Table")


def figure(drawing: str, *, label: str, caption: str, numbers: str, key: str = "") -> str:
    """A chart, what it shows and how it was made, and its numbers as a table behind a line to open.

    `key`: of a chart with points that one can go to. Past many of them there is a way for those who go by Tab.
    """
    points = drawing.count('class="pt"')
    past = f'<a class="skip" href="#{key}-n">Past {points} points, to the numbers</a>' if key and points > _MANY else ""
    own = f' id="{key}-n"' if key else ""
    return (
        f"<figure>\n<figcaption>{plain(caption)}</figcaption>\n{past}{scroll(drawing, label)}\n"
        f"<details{own}><summary>Numbers: {plain(label)}</summary>\n{numbers}\n</details>\n</figure>"
    )


def paragraphs(*texts: str) -> str:
    return "\n".join(f"<p>{plain(text)}</p>" for text in texts if text)


def tiles(facts: Iterable[tuple[str, str]]) -> str:
    """Name and value (HTML) of what a reader looks for first."""
    inside = "".join(f"<div><dt>{plain(name)}</dt><dd>{value}</dd></div>" for name, value in facts)
    return f'<dl class="tiles">{inside}</dl>'


def exact(value: float | None, text: str, name: str) -> str:
    """`text` for people; the number with all its digits, and its name, for programs."""
    if value is None:
        return text
    return f'<data value="{value!r}" class="{name}">{plain(text)}</data>'


def scroll(inside: str, label: str) -> str:
    """What is wider than a phone scrolls by itself; it takes the focus so that keys can scroll it."""
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{plain(label)}">{inside}</div>'


def _hatches() -> str:
    patterns = "".join(
        f'<pattern id="p{number}" width="6" height="6" patternUnits="userSpaceOnUse">'
        f'<rect class="k{number}" width="6" height="6"/>'
        + (f'<path class="hatch" d="{path}"/>' if path else "")
        + "</pattern>"
        for number, path in enumerate(_HATCHES, start=1)
    )
    return f'<svg width="0" height="0" aria-hidden="true" focusable="false"><defs>{patterns}</defs></svg>'
