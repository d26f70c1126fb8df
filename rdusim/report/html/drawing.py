"""A drawing that was made as a file of its own, put into a page: its names and its colours stay its own."""

from __future__ import annotations

import re
from typing import Final

from rdusim.report.html.text import plain

_RULE: Final = re.compile(r"([^{}@]+)\{([^{}]*)\}")
_STYLE: Final = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_CLASS: Final = re.compile(r' class="([^"]*)"')
_HEAD: Final = re.compile(r'<svg [^>]*viewBox="([^"]*)"[^>]*>\s*<title>.*?</title>', re.DOTALL)


def inline(drawing: str, key: str, title: str, description: str) -> str:
    """The text of an SVG file of ours as a part of a page. `key`: a word that nothing else of the page has as its id.

    Its ids and classes get the key in front, so that neither the page's style nor another drawing's is about them; dark
    colours are for screens alone, as those of the page.
    """
    body = _STYLE.sub(lambda found: f"<style>{_own(found[1], key)}</style>", drawing)
    body = _CLASS.sub(lambda found: f' class="{" ".join(f"{key}-{each}" for each in found[1].split())}"', body)
    body = body.replace(' id="', f' id="{key}-').replace(' href="#', f' href="#{key}-')
    said = f'<title id="{key}-title">{plain(title)}</title><desc id="{key}-desc">{plain(description)}</desc>'
    found = _HEAD.search(body)
    assert found is not None, "no SVG file of ours"
    head = (
        f'<svg id="{key}" class="chart wide" viewBox="{found[1]}" role="img" aria-labelledby="{key}-title {key}-desc">'
    )
    return f"{head}{said}{body[found.end() :]}".strip()


def _own(sheet: str, key: str) -> str:
    """Classes by their new names; elements only within the drawing, no stronger than its classes."""

    def selector(text: str) -> str:
        named = re.sub(r"\.([a-zA-Z])", rf".{key}-\1", text.strip())
        return named if named.startswith(".") else f"svg:where(#{key}) {named}"

    def scoped(rule: re.Match[str]) -> str:
        return f"{','.join(selector(each) for each in rule[1].split(','))}{{{rule[2]}}}"

    parts = re.split(r"(@media\([^)]*\)\s*\{)", sheet)
    return "".join(
        part.replace("@media(", "@media screen and (") if part.startswith("@media") else _RULE.sub(scoped, part)
        for part in parts
    )
