"""What every page has to be, whatever it is about: well-formed, by itself, told in words, readable in a browser."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

MOST_BYTES = 1_500_000
PHONE = {"width": 360, "height": 640}

# Text whose colour and whose ground's colour differ too little: its class, text and ratio. Drawings with grounds of
# their own colour (class wide, and cells of a grid) are looked at elsewhere.
_FAINT = """() => {
  const parse = text => (text.match(/[0-9.]+/g) || []).map(Number);
  const linear = v => v <= 10.3 ? v / 3294.6 : ((v / 255 + .055) / 1.055) ** 2.4;
  const light = rgb => rgb.slice(0, 3).map(linear).reduce((sum, v, at) => sum + v * [.2126, .7152, .0722][at], 0);
  const ground = each => { for (; each; each = each.parentElement) {
    const c = parse(getComputedStyle(each).backgroundColor);
    if (c.length && (c.length < 4 || c[3] > 0)) return c; } return [255, 255, 255]; };
  const faint = [];
  for (const each of document.querySelectorAll("body *")) {
    const own = [...each.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!own || each.closest("svg.wide, .on-low, .on-high, style, title, desc") || !each.checkVisibility()) continue;
    const style = getComputedStyle(each);
    const ink = parse(each.closest("svg") ? style.fill : style.color);
    const [a, b] = [light(ink), light(ground(each.closest("svg") ? each.closest("svg").parentElement : each))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) faint.push([each.tagName, each.className.baseVal || each.className, each.textContent, ratio]);
  }
  return faint;
}"""


def parsed(text: str) -> ElementTree.Element:
    """Strictly: the page is XML as well as HTML."""
    assert text.startswith("<!DOCTYPE html>\n")
    return ElementTree.fromstring(text)


class _Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def tags(text: str) -> list[tuple[str, dict[str, str | None]]]:
    return _Tags(text).found


def data(text: str) -> dict[str, list[float]]:
    """By name, the numbers of a page for programs, in its order."""
    found: dict[str, list[float]] = {}
    for each in parsed(text).iter("data"):
        found.setdefault(each.get("class") or "", []).append(float(each.get("value") or ""))
    return found


def check_page(text: str) -> None:
    """Small, alone, and told in words: no request, no script, a name for every drawing, table and thing to go to."""
    assert len(text.encode()) < MOST_BYTES
    assert not re.search(r"https?://|//[a-z]|@import|@font-face|data:", text)
    for tag, attributes in tags(text):
        assert tag not in {"script", "link", "img", "iframe", "object", "embed", "base", "image"}
        assert not any(name.startswith("on") for name in attributes)
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
    root = parsed(text)
    assert root.get("lang") == "en" and root.findtext("head/title")
    assert "default-src 'none'" in text
    ids = [each.get("id") for each in root.iter() if each.get("id")]
    assert len(ids) == len(set(ids))
    assert {each.get("href", "")[1:] for each in (*root.iter("a"), *root.iter("use"))} <= set(ids)
    levels = [int(each.tag[1]) for each in root.iter() if re.fullmatch("h[1-6]", each.tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(later - before <= 1 for before, later in pairwise(levels))
    for drawing in root.iter("svg"):
        if drawing.get("aria-hidden") == "true":
            continue
        assert drawing.get("role") in {"img", "group"}
        for part, name in zip(("title", "desc"), (drawing.get("aria-labelledby") or "").split(), strict=True):
            found = drawing.find(part)
            assert found is not None and found.get("id") == name and found.text
    for heads in root.iter("thead"):
        assert all(head.get("scope") == "col" for head in heads.iter("th"))
    for each in root.iter():
        if each.get("tabindex") is not None:
            assert each.get("role") and each.get("aria-label")
    said = "".join(root.itertext())
    assert "nan" not in said.replace("finance", "").split() and "None" not in said


def check_in_browser(chromium: str, text: str, folder: Path) -> None:
    """Light and dark on a phone: asks for nothing, has no errors, is no wider, can be read, reached, printed."""
    from playwright.sync_api import sync_playwright

    file = folder / "page.html"
    file.write_text(text, encoding="utf-8")
    asked: list[str] = []
    wrong: list[str] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            context = browser.new_context(offline=True, viewport=PHONE, color_scheme=scheme)  # type: ignore[arg-type]
            page = context.new_page()
            page.on("request", lambda request: asked.append(request.url))
            page.on("console", lambda message: wrong.append(message.text))
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.goto(file.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
            assert page.evaluate(_FAINT) == []
            if scheme == "light" and page.locator(".pt").count():
                _reach_a_point(page)
            if scheme == "dark":
                assert page.pdf(format="A4")[:4] == b"%PDF"
            context.close()
        browser.close()
    assert set(asked) == {file.as_uri()}
    assert wrong == []


def _reach_a_point(page: object) -> None:
    """By Tab alone, from the top; what it says is then to be seen, and a ring around it."""
    for _ in range(60):
        page.keyboard.press("Tab")  # type: ignore[attr-defined]
        if page.evaluate("document.activeElement.matches('.pt')"):  # type: ignore[attr-defined]
            break
    else:
        raise AssertionError("Tab comes to no point")
    assert page.evaluate("getComputedStyle(document.activeElement.querySelector('.says')).display") == "inline"  # type: ignore[attr-defined]
    assert page.evaluate("getComputedStyle(document.activeElement.querySelector('.ring')).stroke") != "none"  # type: ignore[attr-defined]
