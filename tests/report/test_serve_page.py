"""A serving report is one file that asks the network for nothing and says what the metrics say."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rdusim.report.html.axes import linear, logarithmic, tail
from rdusim.report.html.heat import count_levels, even_levels
from rdusim.report.html.style import LEVELS
from rdusim.report.html.text import apart
from rdusim.report.serve_page import serve_page
from rdusim.report.serve_residency import residency_of, switch_counts
from rdusim.report.serve_series import (
    causes_by_percentile,
    causes_over_time,
    edges_of,
    load,
    mean_of_steps,
    most_of_steps,
    quantiles,
    rates,
)
from rdusim.serve.metrics import PERCENTILES, Metrics, measure
from rdusim.serve.slo import Slo
from rdusim.serve.types import Cause, Expert, Occupancy, Requests, Served, ServeResult, Switches
from rdusim.units import Bytes, Seconds
from tests.report.page_checks import parsed, tags

MOST_BYTES = 2_000_000
SLO = Slo(limits={"ttft": Seconds(2.0), "tpot": Seconds(0.05)})
FOOTPRINT = {"SN40L": [(50, 1), (850, 1)], "DGX A100": [(50, 1), (850, 19)]}
EXPERT = "math & <code>"


def made(count: int, experts: int = 6, nodes: int = 1, switches: int = 0, unfinished: int = 0) -> ServeResult:
    """A run with the shape of a real one, drawn at random: a report must not care where its numbers come from."""
    rng = np.random.default_rng(3)
    arrival = np.sort(rng.uniform(0.0, 100.0, count))
    causes = rng.exponential([0.5, 0.01, 0.2, 1.0, 0.002], (count, len(Cause)))
    finish = arrival + causes.sum(axis=1)
    first = arrival + 0.3 * (finish - arrival)
    late = np.arange(count) >= count - unfinished
    finish[late] = np.nan
    causes[late] = np.nan
    expert = rng.integers(experts, size=count)
    served = Served(
        requests=Requests(
            arrival=arrival,
            prompt_tokens=rng.integers(1, 500, count),
            output_tokens=rng.integers(1, 100, count),
            expert=expert,
            client=np.zeros(count, np.int64),
        ),
        scheduled=arrival + causes[:, Cause.QUEUE],
        first_token=first,
        finish=finish,
        worst_gap=np.where(late, np.nan, 0.02),
        causes=causes,
        node=rng.integers(nodes, size=count),
    )
    begin = np.sort(rng.uniform(0.0, 100.0, switches))
    into = rng.integers(experts, size=switches)
    times = np.linspace(0.0, 100.0, min(count, 20_000))
    return ServeResult(
        served=served,
        switches=Switches(
            begin=begin,
            end=begin + 0.01,
            node=rng.integers(nodes, size=switches),
            expert=into,
            evicted=(into + 1) % experts,
            copied_back=np.zeros(switches),
        ),
        occupancy=Occupancy(
            time=times,
            node=rng.integers(nodes, size=len(times)),
            resident=rng.integers(1, 4, len(times)),
            kv_near_bytes=rng.uniform(0, 1e9, len(times)),
            kv_far_bytes=rng.uniform(0, 1e8, len(times)),
            running=rng.integers(0, 32, len(times)),
        ),
        experts=tuple(
            Expert(name=f"{EXPERT} {number:03}", shape="7b", weight_bytes=Bytes(10**9)) for number in range(experts)
        ),
        nodes=nodes,
        seconds=Seconds(float(np.nanmax(finish, initial=0.0))),
        hits=3 * switches,
        misses=switches,
        busy=np.full(nodes, 20.0),
        notes=("a note with <tags> & \x00 and \ud800",),
        settings={"scheduler": "continuous", "kv": {"near": 10**9, "far": None}, "prompts": (128, 256)},
    )


@pytest.fixture(scope="module")
def result() -> ServeResult:
    return made(2_000, nodes=2, switches=300)


@pytest.fixture(scope="module")
def metrics(result: ServeResult) -> Metrics:
    return measure(result, SLO)


@pytest.fixture(scope="module")
def text(result: ServeResult, metrics: Metrics) -> str:
    return serve_page(result, metrics, title="Six experts", asked="2,000 requests", slo=SLO, footprint=FOOTPRINT)


def test_nothing_is_loaded_and_nothing_runs(text: str) -> None:
    assert not re.search(r"https?://|//[a-z]|@import|@font-face|data:", text)
    assert set(re.findall(r"url\(([^)]*)\)", text)) <= {f"#p{number}" for number in range(1, 7)}
    for tag, attributes in tags(text):
        assert tag not in {"script", "link", "img", "iframe", "object", "embed", "base", "image", "use"}
        assert not any(name.startswith("on") for name in attributes)
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
    assert "default-src 'none'" in text


def test_every_chart_has_title_description_and_numbers(text: str) -> None:
    root = parsed(text)
    ids = [each.get("id") for each in root.iter() if each.get("id")]
    assert len(ids) == len(set(ids))
    figures = list(root.iter("figure"))
    charts = [chart for figure in figures for chart in figure.iter("svg")]
    assert len(charts) == len(figures) == 8 + 2 * 2 + 2
    for figure, chart in zip(figures, charts, strict=True):
        assert chart.get("role") == "img"
        for part, name in zip(("title", "desc"), (chart.get("aria-labelledby") or "").split(), strict=True):
            found = chart.find(part)
            assert found is not None and found.get("id") == name and found.text
        assert figure.find("details/summary") is not None
        assert len(list(figure.iter("tr"))) > 2
        assert figure.find("figcaption") is not None
    assert all(each.get("tabindex") == "0" for each in root.iter("div") if each.get("class") == "scroll")
    assert {f"#{each.get('id')}" for each in root.iter("section")} == {each.get("href") for each in root.iter("a")}


def test_coordinates_are_numbers_inside_the_drawing(text: str) -> None:
    for chart in parsed(text).iter("svg"):
        if chart.get("class") != "chart":
            continue
        width, height = map(float, (chart.get("viewBox") or "").split()[2:])
        for shape in chart.iter("path"):
            drawn = shape.get("d") or ""
            assert re.fullmatch(r"[MLHVhvz0-9 .\-]*", drawn), drawn[:80]
        for shape in (*chart.iter("rect"), *chart.iter("text")):
            if shape.get("transform") is None:
                assert 0 <= float(shape.get("x") or 0) <= width and 0 <= float(shape.get("y") or 0) <= height


def test_numbers_of_the_page_are_those_of_the_metrics(text: str, metrics: Metrics) -> None:
    told = {each.get("class"): float(each.get("value") or "") for each in parsed(text).iter("data")}
    for name in ("ttft", "tpot", "tbt", "e2e", "queue"):
        spread = getattr(metrics, name)
        assert told[f"m-{name}-count"] == spread.count
        assert told[f"m-{name}-mean"] == spread.mean
        assert told[f"m-{name}-largest"] == spread.largest
        assert [told[f"m-{name}-p{each:g}"] for each in PERCENTILES] == [
            spread.percentiles[each] for each in PERCENTILES
        ]
    for name in (
        "requests",
        "finished",
        "seconds",
        "tokens_per_second",
        "switch_share",
        "hit_rate",
        "attained",
        "goodput",
    ):
        assert told[f"m-{name}"] == getattr(metrics, name)
    assert [told[f"m-cause_{name}"] for name in metrics.causes] == list(metrics.causes.values())
    assert [told["m-busy_0"], told["m-busy_1"]] == list(metrics.utilisation)


def test_the_same_run_gives_the_same_bytes(result: ServeResult, metrics: Metrics, text: str) -> None:
    again = serve_page(result, metrics, title="Six experts", asked="2,000 requests", slo=SLO, footprint=FOOTPRINT)
    assert again.encode("utf-8") == text.encode("utf-8")


def test_what_people_wrote_cannot_break_the_page(text: str) -> None:
    said = "".join(parsed(text).itertext())
    assert f"{EXPERT} 003" in said
    assert "a note with <tags> & \ufffd and \ufffd" in said
    assert "kv.near" in said and "128, 256" in said and "continuous" in said


def test_a_partial_run_says_so_first() -> None:
    whole = made(300, unfinished=40)
    for partial in (False, True):
        result = replace(whole, partial=partial)
        root = parsed(serve_page(result, measure(result)))
        banner = [each for each in root.iter("p") if each.get("class") == "warn"]
        assert bool(banner) == partial
        assert (root.findtext("head/title") or "").startswith("[partial]") == partial
    assert "260 of 300" in "".join(root.itertext())


@pytest.mark.parametrize("count", [0, 1])
def test_a_run_in_which_nothing_happened_has_a_page(count: int) -> None:
    result = made(count, unfinished=count)
    result = replace(result, served=replace(result.served, first_token=result.served.finish))
    said = "".join(parsed(serve_page(result, measure(result))).itertext())
    assert "No request came to its first token." in said and "No request finished." in said
    assert "nan" not in said


def test_a_run_of_equal_requests_without_experts_has_a_page() -> None:
    result = made(5, experts=1)
    causes = np.zeros((5, len(Cause)))
    served = replace(result.served, finish=result.served.requests.arrival, causes=causes)
    served = replace(served, first_token=served.finish, scheduled=served.finish)
    quiet = replace(
        result.occupancy, resident=np.zeros(5, np.int64), kv_near_bytes=np.zeros(5), kv_far_bytes=np.zeros(5)
    )
    said = "".join(parsed(serve_page(replace(result, served=served, occupancy=quiet), measure(result))).itertext())
    assert "There was no expert cache" in said and "No expert was switched to" in said and "no memory for KV" in said


def test_a_million_requests_stay_below_two_megabytes() -> None:
    result = made(1_000_000, experts=150, nodes=12, switches=200_000)
    text = serve_page(result, measure(result), footprint=FOOTPRINT)
    assert len(text.encode("utf-8")) < MOST_BYTES
    assert "The 8 nodes with most requests, of 12." in text


# -- what the charts are drawn from ----------------------------------------------------------------------------------


def test_bins_keep_the_integral_of_steps() -> None:
    times, values, edges = np.array([1.0, 2.5, 2.5, 7.0]), np.array([4.0, 9.0, 2.0, 0.0]), np.linspace(0.0, 8.0, 5)
    assert mean_of_steps(times, values, edges, before=1.0) == pytest.approx([2.5, 2.5, 2.0, 1.0])
    assert most_of_steps(times, values, edges).tolist() == [4.0, 9.0, 2.0, 2.0]


def test_bins_conserve_requests_and_tokens(result: ServeResult) -> None:
    edges = edges_of(result, 37)
    rate, wide = rates(result, edges), np.diff(edges)
    assert (rate.arrived * wide).sum() == pytest.approx(2_000)
    assert (rate.finished * wide).sum() == pytest.approx(2_000)
    assert (rate.tokens * wide).sum() == pytest.approx(result.served.requests.output_tokens.sum())


def test_tokens_lie_between_first_and_last() -> None:
    result = made(1)
    served = replace(
        result.served,
        requests=replace(result.served.requests, arrival=np.array([0.0]), output_tokens=np.array([9])),
        first_token=np.array([1.0]),
        finish=np.array([5.0]),
    )
    result = replace(result, served=served, seconds=Seconds(8.0))
    assert rates(result, np.arange(9.0)).tokens.tolist() == [0, 3, 2, 2, 2, 0, 0, 0]


def test_load_is_the_sum_over_nodes() -> None:
    result = made(2, nodes=2)
    occupancy = Occupancy(
        time=np.array([0.0, 2.0, 0.0, 1.0]),  # in order of nodes, not of time, as compositions write it
        node=np.array([0, 0, 1, 1]),
        resident=np.zeros(4, np.int64),
        kv_near_bytes=np.array([10.0, 0.0, 4.0, 8.0]),
        kv_far_bytes=np.zeros(4),
        running=np.array([1, 3, 2, 0]),
    )
    found = load(replace(result, occupancy=occupancy, seconds=Seconds(4.0)), np.linspace(0.0, 4.0, 5))
    assert found.running.tolist() == [3, 1, 3, 3]
    assert found.most_running.tolist() == [2, 1, 3, 3]
    assert found.kv_near.tolist() == [14, 18, 8, 8]


def test_quantiles_end_where_one_request_is_left(result: ServeResult, metrics: Metrics) -> None:
    shares, found = quantiles(result)
    assert found["e2e"][shares == 0.5] == pytest.approx(metrics.e2e.percentiles[50.0])
    assert found["e2e"][-1] == metrics.e2e.largest
    few = quantiles(made(30))[1]["ttft"]
    assert np.isnan(few[97:-1]).all() and np.isfinite(few[:97]).all()


def test_causes_of_groups_are_means_of_all_finished(result: ServeResult) -> None:
    for causes in (causes_by_percentile(result), causes_over_time(result, edges_of(result, 10), ("",) * 10)):
        assert causes.requests.sum() == 2_000
        weighted = np.nansum(causes.seconds * causes.requests[:, None], axis=0)
        assert weighted == pytest.approx(result.served.causes.sum(axis=0))
    ranked = causes_by_percentile(result).seconds.sum(axis=1)
    assert np.all(np.diff(ranked) > 0)


def test_residency_is_told_from_switches() -> None:
    """On node 0: expert 1 comes at 2 (in at 3) and goes at 6; 0 is there from the start and goes at 2, back in at 7."""
    result = made(12, experts=4)
    served = result.served
    requests = replace(served.requests, expert=np.array([0] * 6 + [1] * 4 + [2] * 2))
    switches = Switches(
        begin=np.array([2.0, 6.0]),
        end=np.array([3.0, 7.0]),
        node=np.array([0, 0]),
        expert=np.array([1, 0]),
        evicted=np.array([0, 1]),
        copied_back=np.zeros(2),
    )
    result = replace(result, served=replace(served, requests=requests), switches=switches, seconds=Seconds(8.0))
    found = residency_of(result, 0, np.arange(9.0), most=3)
    assert found.experts.tolist() == [0, 1, 2] and found.requests.tolist() == [6, 4, 2] and found.used == 3
    assert found.share.tolist() == [[1, 1, 0, 0, 0, 0, 0, 1], [0, 0, 0, 1, 1, 1, 0, 0], [1] * 8]
    counted = switch_counts(result, np.arange(9.0), most=1)
    assert counted.experts.tolist() == [0] and counted.others == 1
    assert counted.counts.tolist() == [[0, 0, 0, 0, 0, 0, 1, 0]] and counted.rest.tolist() == [0, 0, 1, 0, 0, 0, 0, 0]


def test_further_evictions_are_no_switches() -> None:
    result = made(3, switches=4)
    switches = replace(result.switches, expert=np.array([2, -1, -1, 3]), evicted=np.array([0, 1, 4, -1]))
    counted = switch_counts(replace(result, switches=switches), edges_of(result, 4), most=9)
    assert counted.total.tolist() == [1, 1]


def test_levels_cover_what_they_say() -> None:
    levels, named = even_levels(np.array([[0.0, 1e-6, 0.5, 1.0]]))
    assert levels.tolist() == [[-1, 0, 2, LEVELS - 1]] and named[2] == (2, "to 50%")
    levels, named = count_levels(np.array([[0, 1, 2, 3]]))
    assert levels.tolist() == [[-1, 0, 2, 5]] and named == ((0, "1"), (2, "2"), (5, "3"))
    levels, named = count_levels(np.array([[1, 10, 1000]]))
    assert levels[0, 0] == 0 and levels[0, 2] == LEVELS - 1 and named[-1][1].endswith("-1,000")


def test_axes_write_round_numbers_where_they_stand() -> None:
    axis = linear("", 0.037, "time")
    assert [text for _, text in axis.ticks] == ["0 s", "10 ms", "20 ms", "30 ms", "40 ms"]
    assert axis.place(np.array([0.02, 9.0])).tolist() == [0.5, 1.0]
    assert [text for _, text in linear("", 3 * 2**30, "size").ticks][-1] == "3 GiB"
    axis = logarithmic("", 0.002, 7.0, "time")
    assert axis.ticks[0] == (0.0, "1 ms") and axis.ticks[-1] == (1.0, "10 s")
    assert axis.place(np.array([0.0, 0.1])) == pytest.approx([0.0, 0.5])
    assert [text for _, text in tail("", 0.999).ticks] == ["0%", "50%", "90%", "99%", "99.9%"]


def test_short_names_stay_apart() -> None:
    names = [f"some-organisation/expert-number-{number}-7b-chat" for number in range(12)]
    short = apart(names, 18)
    assert len(set(short)) == 12 and max(map(len, short)) <= 18
    assert apart(["a", "b"], 18) == ["a", "b"]


# -- in a browser ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_chromium_shows_the_page_without_a_network(
    chromium: str, closed_port: int, text: str, tmp_path: Path, scheme: str
) -> None:
    """On a phone's screen: nothing is asked for, nothing is wrong, nothing is wider, and keys open the numbers."""
    from playwright.sync_api import sync_playwright

    file = tmp_path / "report.html"
    file.write_text(text, encoding="utf-8")
    asked: list[str] = []
    wrong: list[str] = []
    with sync_playwright() as driver:
        proxy = {"server": f"http://127.0.0.1:{closed_port}", "bypass": "<-loopback>"}
        browser = driver.chromium.launch(executable_path=chromium, proxy=proxy, args=["--no-sandbox"])  # type: ignore[arg-type]
        context = browser.new_context(
            offline=True,
            viewport={"width": 390, "height": 844},
            color_scheme=scheme,  # type: ignore[arg-type]
        )
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(file.as_uri())
        assert page.title() == "Six experts"
        assert page.locator("svg.chart").count() == len(re.findall('<svg class="chart"', text))
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        paper = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 23, 27)")
        summary = page.locator("details > summary").first
        summary.focus()
        page.keyboard.press("Enter")
        assert page.locator("details").first.evaluate("each => each.open")
        browser.close()
    assert asked == [file.as_uri()]
    assert wrong == []
