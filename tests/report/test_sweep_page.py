from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from rdusim.report.sweep import Best, Front, Goal, Scalar, Sense, SweepAxis, SweepResult
from rdusim.report.sweep_page import best_of, goals_of, sweep_page
from rdusim.report.sweep_shape import is_grid, kind_of, numbers, said, varied
from tests.report.page_checks import MOST_BYTES, check_in_browser, check_page, data, parsed

SECONDS = "latency.total_seconds"
RATE = "throughput.tokens_per_second"
HBM = "socket.memory.hbm.bandwidth"
LEAST = Goal(name=SECONDS, sense=Sense.MIN)
MOST = Goal(name=RATE, sense=Sense.MAX)
AXES: dict[str, tuple[SweepAxis, tuple[tuple[Scalar, str], ...]]] = {
    "batch": (SweepAxis(path="batch"), ((1, "1"), (4, "4"), (16, "16"))),
    HBM: (SweepAxis(path=HBM, dimension="bandwidth"), tuple((each * 1e12, f"{each} TB/s") for each in (1, 2, 4, 8))),
    "fusion": (SweepAxis(path="fusion"), (("fused", "fused"), ("unfused", "unfused"))),
    "sockets": (SweepAxis(path="sockets"), ((1, "1"), (2, "2"), (4, "4"), (8, "8"))),
}


def seconds_of(point: dict[str, Scalar]) -> float:
    """More of everything is quicker, by less than in proportion."""
    slow = 3.0 if point.get("fusion") == "unfused" else 1.0
    rate = float(point.get(HBM, 1e12)) / 1e12 * float(point.get("sockets", 1)) ** 0.8
    return slow * (0.2 + 0.1 * float(point.get("batch", 1)) ** 0.5) / rate


def swept(
    *paths: str, fails: Callable[[dict[str, Scalar]], bool] = lambda _: False, title: str = "a sweep"
) -> SweepResult:
    """Every combination of some axes."""
    combined = list(product(*(AXES[path][1] for path in paths)))
    points = [dict(zip(paths, (value for value, _ in each), strict=True)) for each in combined]
    times = [None if fails(point) else seconds_of(point) for point in points]
    rates = [
        None if time is None else float(point.get("batch", 1)) / time for time, point in zip(times, points, strict=True)
    ]
    known = [at for at, time in enumerate(times) if time is not None]
    best = min(known, key=lambda at: times[at] or 0.0) if known else None
    most = max(known, key=lambda at: rates[at] or 0.0) if known else None
    member = tuple(
        time is not None
        and not any(
            (times[other] or 0) <= time
            and (rates[other] or 0) >= (rate or 0)
            and (times[other], rates[other]) != (time, rate)
            for other in known
        )
        for time, rate in zip(times, rates, strict=True)
    )
    return SweepResult(
        title=title,
        axes=tuple(AXES[path][0] for path in paths),
        points={path: tuple(point[path] for point in points) for path in paths},
        texts={path: tuple(each[at][1] for each in combined) for at, path in enumerate(paths)},
        metrics={
            SECONDS: tuple(times),
            RATE: tuple(rates),
            "bound": tuple(None if t is None else "hbm" for t in times),
        },
        shown=(SECONDS, RATE, "bound"),
        errors=tuple("does not fit <ddr> & more" if time is None else None for time in times),
        best=(Best(goal=LEAST, point=best), Best(goal=MOST, point=most)),
        front=Front(goals=(LEAST, MOST), member=member),
    )


def drawn(count: int, title: str = "drawn") -> SweepResult:
    """Points at random, as a Latin hypercube has them."""
    rng = np.random.default_rng(1)
    batch, width = rng.uniform(1, 64, count), rng.uniform(1e12, 4e12, count)
    times = 0.1 + batch / width * 1e11
    return SweepResult(
        title=title,
        axes=(SweepAxis(path="batch"), SweepAxis(path=HBM, dimension="bandwidth")),
        points={"batch": batch.tolist(), HBM: width.tolist()},
        texts={"batch": [f"{each:.2f}" for each in batch], HBM: [f"{each / 1e12:.3f} TB/s" for each in width]},
        metrics={SECONDS: times.tolist(), RATE: (batch / times).tolist()},
        shown=(SECONDS,),
        errors=(None,) * count,
        best=(Best(goal=LEAST, point=int(times.argmin())),),
        front=Front(goals=(LEAST, MOST), member=tuple(bool(each) for each in rng.random(count) < 0.05)),
    )


@pytest.mark.parametrize(
    "paths",
    [
        ("batch",),
        ("fusion",),
        ("batch", HBM),
        ("fusion", HBM),
        ("batch", HBM, "fusion"),
        ("batch", HBM, "sockets", "fusion"),
    ],
    ids=len,
)
def test_a_sweep_over_any_number_of_axes_has_a_page(paths: tuple[str, ...]) -> None:
    result = swept(*paths)
    text = sweep_page(result, command="rdusim sweep toy")
    check_page(text)
    said_ = "".join(parsed(text).itertext())
    assert all(path in said_ for path in paths)


def test_every_point_of_a_line_can_be_reached_and_says_its_values() -> None:
    result = swept("batch", HBM)
    labels = [
        each.get("aria-label") or "" for each in parsed(sweep_page(result)).iter("g") if each.get("class") == "pt"
    ]
    for at in range(len(result)):
        value = said(float(numbers(result, SECONDS)[at]), "time")
        where = f"{HBM} {result.texts[HBM][at]}, batch {result.texts['batch'][at]}"
        assert f"{SECONDS} {value}; {where}" in labels


def test_grids_hold_every_value_and_ring_the_best() -> None:
    result = swept("batch", HBM, "fusion")
    root = parsed(sweep_page(result))
    section = next(each for each in root.iter("section") if each.get("id") == "objective1")
    grids = [each for each in section.iter("svg") if "small" in (each.get("class") or "")]
    assert len(grids) == 2
    cells = [text.text for grid in grids for text in grid.iter("text") if "on-" in (text.get("class") or "")]
    assert sorted(cells) == sorted(said(float(each), "time") for each in numbers(result, SECONDS))  # type: ignore[type-var]
    assert sum(each.get("class") == "best" for grid in grids for each in grid.iter("rect")) == 1


def test_the_best_and_the_front_are_those_of_the_sweep() -> None:
    result = swept("batch", HBM)
    text = sweep_page(result)
    values = data(text)["b-value"]
    assert values == [min(numbers(result, SECONDS)), max(numbers(result, RATE))]
    assert result.front is not None
    members = sum(result.front.member)
    assert f"{members} of {len(result)} points are on the front" in text
    assert goals_of(result) == (LEAST, MOST)


def test_scaling_is_against_what_would_be_in_proportion() -> None:
    text = sweep_page(swept("sockets"))
    section = next(each for each in parsed(text).iter("section") if each.get("id") == "scaling")
    rows = [[cell.text for cell in row.iter("td")] for row in section.iter("tr")][1:]
    assert [row[2] for row in rows] == ["1", "1.74", "3.03", "5.28"]  # sockets ** 0.8
    assert rows[-1][3] == "66%"
    assert "scaling" not in {each.get("id") for each in parsed(sweep_page(swept(HBM))).iter("section")}


def test_failed_points_stand_with_their_errors() -> None:
    result = swept("batch", HBM, fails=lambda point: point["batch"] == 16, title="<b> & c")
    text = sweep_page(result)
    check_page(text)
    section = next(each for each in parsed(text).iter("section") if each.get("id") == "failed")
    rows = ["".join(row.itertext()) for row in section.iter("tr")][1:]
    assert len(rows) == result.failed == 4 and all("does not fit <ddr> & more" in row for row in rows)
    assert "nan" not in "".join(parsed(text).itertext())


def test_a_sweep_in_which_all_failed_has_a_page() -> None:
    result = swept("batch", HBM, fails=lambda _: True)
    text = sweep_page(result)
    check_page(text)
    assert best_of(result, LEAST) is None
    assert "No point has a value of latency.total_seconds" in text


def test_a_single_point_has_a_page() -> None:
    one = SweepResult(
        title="one", axes=(SweepAxis(path="batch"),), points={"batch": (1,)}, texts={"batch": ("1",)},
        metrics={SECONDS: (1.0,)}, shown=(SECONDS,), errors=(None,),
    )  # fmt: skip
    check_page(sweep_page(one))
    assert goals_of(one) == (LEAST,)


def test_points_at_random_are_drawn_against_every_axis() -> None:
    result = drawn(50)
    assert not is_grid(result, varied(result))
    text = sweep_page(result)
    check_page(text)
    titles = [each.text for each in parsed(text).iter("title")]
    assert f"{SECONDS} over batch" in titles and f"{SECONDS} over {HBM}" in titles


def test_ten_thousand_points_stay_small_and_the_rest_is_said() -> None:
    text = sweep_page(drawn(10_000))
    check_page(text)
    assert len(text.encode()) < MOST_BYTES
    assert "The first 300 of 10,000 points" in text


def test_the_same_sweep_gives_the_same_bytes() -> None:
    assert sweep_page(swept("batch", HBM)) == sweep_page(swept("batch", HBM))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (SECONDS, "time"), ("breakdown_seconds.hbm", "time"), (RATE, "count"), ("memory.hbm.peak_bytes", "size"),
        ("memory.hbm.achieved_bytes_per_second", "bandwidth"), ("throughput.flops_per_second", "flops"),
        ("memory.hbm.bandwidth_utilization", "share"), ("kernel_launches", "count"), (HBM, "bandwidth"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_what_they_are(name: str, kind: str) -> None:
    assert kind_of(swept("batch", HBM), name) == kind


def test_chromium_shows_a_sweep(chromium: str, tmp_path: Path) -> None:
    check_in_browser(chromium, sweep_page(swept("batch", HBM, "sockets")), tmp_path)
