"""A scenario as what is swept: policies, load and machine by the paths of its file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rdusim.errors import OptionError
from rdusim.explore.axes import at, axis, is_whole
from rdusim.explore.backends import Backend
from rdusim.explore.evaluate import serve_metrics
from rdusim.explore.experiment import Experiment, wanted_of
from rdusim.explore.identity import Identity
from rdusim.explore.serving import ServeRequest, scenario_of
from rdusim.explore.space import Wanted, space_of
from rdusim.explore.store import Store
from rdusim.explore.sweep import Counts, sweep
from rdusim.pipeline.scenario import load_scenario
from rdusim.pipeline.serving import simulate_serving
from rdusim.units import parse

SCENARIO = """\
schema: rdusim-scenario/1
machine: {arch: gpu/h100}
experts:
  - {model: llama-2-7b, count: 60, home: host}
arrivals: {process: poisson, rate: 2, requests: 50}
lengths: {prompt_tokens: 128, output_tokens: 20}
slo: {e2e: 3 s}
"""


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServeRequest:
    monkeypatch.setenv("RDUSIM_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO)
    return ServeRequest(file=str(path))


def test_a_value_stands_where_the_file_says_another_or_nothing(base: ServeRequest, tmp_path: Path) -> None:
    axes = [axis(base, path, [text]) for path, text in (("arrivals.rate", "3.5"), ("scheduler.batch", "4"))]
    axes.append(axis(base, "experts.0.count", ["40"]))
    asked = at(base, [(each, each.values[0]) for each in axes])
    written = tmp_path / "written.yaml"
    text = SCENARIO.replace("rate: 2", "rate: 3.5").replace("count: 60", "count: 40") + "scheduler: {batch: 4}\n"
    written.write_text(text)
    assert replace(scenario_of(asked), file=written, name="written") == load_scenario(written)


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("scheduler.bach", "4", "'batch'"),
        ("hbm.cache", "lrx", "hbm.cache"),
        ("arrivals.rate", "-1", "arrivals.rate"),
        ("nothing", "1", "is not known"),
        ("experts.7.count", "1", "no number of an entry"),
    ],
)
def test_what_no_scenario_has_is_refused_as_its_reader_refuses_it(
    base: ServeRequest, path: str, text: str, said: str
) -> None:
    with pytest.raises(OptionError) as caught:
        axis(base, path, [text])
    assert said in str(caught.value)


def test_counts_are_whole_and_rates_are_not(base: ServeRequest) -> None:
    assert is_whole(base, "scheduler.batch") and not is_whole(base, "arrivals.rate")


def test_a_sweep_of_a_scenario_has_the_figures_of_serve(base: ServeRequest, tmp_path: Path) -> None:
    asked = Experiment(
        request=base,
        title="served",
        wanted=(wanted_of("arrivals.rate=1,4"), wanted_of("hbm.cache=lru,lfu")),
        objectives=("latency_seconds.e2e.p99",),
        pareto=("latency_seconds.e2e.p99:min", "arrivals.rate:max"),
    )
    counts, store = Counts(), Store(tmp_path / "s.sqlite")
    made = sweep(asked, store=store, backend=Backend(jobs=1), counts=counts)
    assert (made.failed, counts.computed) == (0, 4)
    report = simulate_serving(load_scenario(base.file, (("arrivals.rate", "4"), ("hbm.cache", "lfu"))))
    assert made.metrics["expert_cache.moved_bytes"][3] == report.cache.moved_bytes
    assert made.metrics["requests.finished"] == (50,) * 4
    sweep(asked, store=store, backend=Backend(jobs=1), counts=counts)
    assert (counts.found, counts.computed) == (4, 4)


def test_a_scenario_is_known_by_what_it_says_not_by_its_place_or_spelling(base: ServeRequest, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "scenario.yaml"
    other.parent.mkdir()
    other.write_text(SCENARIO.replace("rate: 2", "rate: 2.0"))
    same = ServeRequest(file=str(other))
    faster = replace(base, changes=(("arrivals.rate", "3"),))
    keys = [Identity().key(each, remap=False) for each in (base, same, faster)]
    assert keys[0] == keys[1] != keys[2]
    assert serve_metrics(base) == serve_metrics(same)


def test_a_range_of_sizes_or_times_of_a_scenario_mixes_units_and_has_whole_bytes(base: ServeRequest) -> None:
    wanted = [
        Wanted(path="hbm.experts", text="30..31 GiB@4"),
        Wanted(path="slo.e2e", text="500 ms..2 s*2"),
        Wanted(path="arrivals.rate", text="1..2@3"),
        Wanted(path="hbm.cache", text="lru,lfu"),
    ]
    experts, slo, rate, _ = space_of(base, wanted).axes
    sizes = [parse(value.text, "size") for value in experts.values]
    assert sizes[0] == 30 * 2**30 and sizes[-1] == 31 * 2**30 and len(sizes) == 4
    assert [value.text for value in slo.values] == ["500 ms", "1000 ms", "2000 ms"]
    assert [value.shown for value in rate.values] == [1, 1.5, 2]
