"""Colours and style sheet: Okabe and Ito's colours, light or dark as the reader's system is, for screens and paper."""

from __future__ import annotations

from typing import Final

# Okabe and Ito (2008), "Color Universal Design": told apart by every kind of colour vision. By place: on a light page,
# on a dark one. Their yellow and sky blue are too pale for lines on white, their blue and black too dark on black.
SERIES: Final = (
    ("#0072b2", "#56b4e9"),
    ("#d55e00", "#e69f00"),
    ("#009e73", "#009e73"),
    ("#cc79a7", "#cc79a7"),
    ("#000000", "#f0e442"),
    ("#b87f00", "#d55e00"),
)
# One hue, even steps of lightness: the order is the same for every eye and in grey. Little is near the page's colour.
_HEAT_LIGHT: Final = ("#cfe1f2", "#a3c8e6", "#6aa9d6", "#3a86c4", "#1a5f9e", "#08335f")
_HEAT_DARK: Final = ("#1c3a57", "#245682", "#3376ae", "#5598d0", "#8dbde6", "#d5e8f8")
LEVELS: Final = len(_HEAT_LIGHT)
DASHES: Final = ("", "7 3", "2 3", "9 3 2 3", "12 4", "4 2")  # a line is known without its colour

_DAY: Final = "--paper:#fff;--ink:#1c1f24;--soft:#59616d;--line:#c9ced6;--box:#f4f6f8;--warn:#fff3d6;--edge:#b87f00"
_NIGHT: Final = (
    "--paper:#14171b;--ink:#e8eaed;--soft:#a9b1bc;--line:#39404a;--box:#1e2329;--warn:#3a2f12;--edge:#e69f00"
)

_ON_CELLS: Final = ("--low:#1c1f24;--high:#fff", "--low:#fff;--high:#14171b")  # text on little, text on much

_SHEET: Final = """\
*{box-sizing:border-box}
html{background:var(--paper);color:var(--ink);color-scheme:light dark}
body{max-width:60rem;margin:0 auto;padding:1rem;line-height:1.5;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",Arial,sans-serif}
h1{font-size:1.6rem;line-height:1.25;margin:.4rem 0}h2{font-size:1.25rem;margin:2.2rem 0 .4rem}
h3{font-size:1.05rem;margin:1.4rem 0 .2rem}
h1,h2,h3,td,th,li,p,dt,dd,summary,figcaption{overflow-wrap:anywhere}
a{color:inherit}:focus-visible{outline:3px solid var(--s1);outline-offset:2px}
nav ul{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.1rem 1.1rem;margin:.6rem 0}
nav a{display:inline-block;padding:.35rem 0}
.soft,figcaption,footer{color:var(--soft)}
.warn{background:var(--warn);border:2px solid var(--edge);border-radius:.3rem;padding:.6rem .8rem;font-weight:600}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(9.5rem,1fr));gap:.6rem;padding:0;margin:1rem 0}
.tiles div{background:var(--box);border-radius:.3rem;padding:.5rem .7rem}
.tiles dt{color:var(--soft);font-size:.85rem}.tiles dd{margin:0;font-size:1.3rem;font-weight:600}
figure{margin:1rem 0 1.6rem}figcaption{font-size:.9rem;margin-bottom:.3rem}
.scroll{overflow-x:auto}
svg.chart{display:block;height:auto}svg.chart:not(.small){width:100%;min-width:34rem}
details{margin:.3rem 0}summary{cursor:pointer;padding:.35rem 0}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--soft)}
th,td{padding:.2rem .7rem .2rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
td.n,th.n{text-align:right;white-space:nowrap;overflow-wrap:normal}
td:not(.n){min-width:6rem}tbody th{font-weight:400}
svg text{fill:var(--ink);font-size:12.5px;font-family:inherit}
svg .q{fill:var(--soft)}svg .e{text-anchor:end}svg .m{text-anchor:middle}
svg .g{stroke:var(--line);stroke-width:1;fill:none}svg .x{stroke:var(--soft);stroke-width:1;fill:none}
svg .l{fill:none;stroke-width:2;stroke-linejoin:round}svg .b{stroke:var(--paper);stroke-width:.8}
svg .lim{stroke:var(--ink);stroke-width:1.2;stroke-dasharray:1 3;fill:none}
svg .h{stroke:var(--paper);stroke-width:4px;stroke-linejoin:round;paint-order:stroke}svg .s{font-size:10.5px}
svg .hatch{stroke:var(--paper);stroke-width:1.4;fill:none}
svg.chart.wide{min-width:56rem}svg .ink{stroke:var(--ink)}svg .none{fill:var(--box)}
svg .mark{stroke:var(--paper);stroke-width:1.2;fill-opacity:.85}svg .ring{fill:none;stroke:none}
svg .cloud{stroke:var(--soft);stroke-width:4;stroke-opacity:.55;fill:none}
svg .best{fill:none;stroke:var(--ink);stroke-width:3}svg .inner{stroke:var(--paper);stroke-width:2}
svg .on-low{fill:var(--low)}svg .on-high{fill:var(--high)}
.pt{cursor:pointer}.pt:focus{outline:none}.pt:focus .ring,.pt:hover .ring{stroke:var(--ink);stroke-width:2.5}
.pt .says{display:none}.pt:focus .says,.pt:hover .says{display:inline}
.pts:hover .pt:not(:hover) .says,.chart:has(.pt:hover,.pt:focus) .hint{display:none}
code{font-family:ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;font-size:.9em}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--box);padding:.6rem .8rem;border-radius:.3rem}
.long,.name{display:inline-block;min-width:18rem}.name{min-width:11rem}.whole{white-space:nowrap}
.mini{display:flex;flex-wrap:wrap;gap:.6rem 1.4rem}.mini>div{max-width:100%}.mini p{margin:.3rem 0}
.flag{font-weight:600}.skip:not(:focus){position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
"""
_PRINT: Final = """\
@page{margin:14mm}
@media print{body{max-width:none;padding:0;font-size:10pt}nav,details:not([open]),svg .hint{display:none}
figure,tr,.tiles div{break-inside:avoid}h2,h3{break-after:avoid}.scroll{overflow:visible}
svg.chart.chart:not(.small){min-width:0}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
"""


def sheet() -> str:
    """The whole style sheet. Paper is light, whatever the system is."""
    classes = "".join(
        f"svg .c{place}{{stroke:var(--s{place})}}svg .k{place}{{fill:var(--s{place})}}"
        for place in range(1, len(SERIES) + 1)
    )
    heat = "".join(f"svg .f{level}{{fill:var(--f{level})}}" for level in range(LEVELS))
    return (
        f":root{{{_DAY};{_ON_CELLS[0]};{_colours(0, _HEAT_LIGHT)}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{_NIGHT};{_ON_CELLS[1]};{_colours(1, _HEAT_DARK)}}}}}\n"
        f"{_SHEET}{classes}\n{heat}\n{_PRINT}"
    )


def _colours(page: int, heat: tuple[str, ...]) -> str:
    series = [f"--s{place}:{pair[page]}" for place, pair in enumerate(SERIES, start=1)]
    return ";".join(series + [f"--f{level}:{colour}" for level, colour in enumerate(heat)])
