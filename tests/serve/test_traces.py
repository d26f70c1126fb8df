"""Traces that ship are read as they are; traces that are wrong are refused with the place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rdusim.errors import OptionError, TraceError
from rdusim.serve.arrivals import Clients, Deterministic, Gamma, Replay
from rdusim.serve.arrivals.clients import Client, Window
from rdusim.serve.client_traces import read_clients
from rdusim.serve.lengths import ByClient, LogNormal, Recorded
from rdusim.serve.requests import make_requests
from rdusim.serve.traces import read_lengths, read_trace

SHIPPED = Path(__file__).parents[2] / "experiments" / "traces"


@pytest.mark.parametrize(
    ("file", "count", "last", "prompt"),
    [
        ("azure-conv-2023.csv", 10_000, 1787.309283, 374),
        ("mooncake-conversation.jsonl", 2_000, 669.0, 6758),
        ("sharegpt-llama-3.1-8b.csv", 300, 29.136836395, 2358),
    ],
)
def test_shipped_traces_are_read(file: str, count: int, last: float, prompt: int) -> None:
    requests = read_trace(SHIPPED / file)
    assert (len(requests), requests.prompt_tokens[0]) == (count, prompt)
    assert requests.arrival[0] == 0 and requests.arrival[-1] == pytest.approx(last, abs=1e-6)
    assert len(read_trace(SHIPPED / file, limit=7)) == 7
    assert read_lengths(SHIPPED / file)[1].min() >= 1


def test_every_shipped_trace_has_its_source_and_licence_said() -> None:
    said = (SHIPPED / "README.md").read_text(encoding="utf-8")
    assert all(file.name in said for file in SHIPPED.iterdir() if file.is_file() and file.name != "README.md")


def test_lengths_without_arrivals_are_lengths_only() -> None:
    prompt, output = read_lengths(SHIPPED / "vidur-arxiv-lengths.csv")
    assert (prompt[0], output[0]) == (3772, 54)
    with pytest.raises(TraceError, match="no arrivals"):
        read_trace(SHIPPED / "vidur-arxiv-lengths.csv")


HEADER = "arrival_s,prompt_tokens,output_tokens,expert\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ["the trace is empty"]),
        (HEADER, ["the trace has no requests"]),
        ("arrival_s,prompt_tokens\n1,2\n", [":1: columns missing: output_tokens"]),
        (HEADER + "2,5,5,a\n1,5,5,b\n", [":3:1: arrival_s: '1' is before the row above it (2): time runs backwards"]),
        (HEADER + "1,0,5,a\n2,5,-1,a\n", [":2:2: prompt_tokens: '0' is no whole", ":3:3: output_tokens: '-1' is no"]),
        (HEADER + "1,5,5,c\n", [":2:4: expert: 'c' is no known expert (one of a, b)"]),
        (HEADER + "x,5,5,a\nnan,5,1e400,0\n", [":2:1: arrival_s: 'x' is no number", ":3:1: ", ":3:3: "]),
        (HEADER + "1,5,5\n", [":2: has 3 values, the header 4 columns"]),
        ('{"timestamp": 1}\n{"timestamp"\n', [":2: is no JSON"]),
        ('{"timestamp": 1, "input_length": 2, "output_length": null}', [":1: output_length: None is no number"]),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\nnoon,1,1\n", [":2:1: TIMESTAMP: 'noon' is no date with time"]),
    ],
)
def test_wrong_traces_are_refused_with_line_column_and_value(tmp_path: Path, text: str, said: list[str]) -> None:
    file = tmp_path / "trace"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(TraceError) as raised:
        read_trace(file, ["a", "b"])
    for part in said:
        assert f"{file}{part}" in str(raised.value) or part in str(raised.value)
    assert all(problem.hint for problem in raised.value.problems)


def test_experts_go_by_name_or_number(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text(HEADER + "5,1,1,b\n6,1,1,0\n", encoding="utf-8")
    requests = read_trace(tmp_path / "trace.csv", ["a", "b"])
    assert requests.expert.tolist() == [1, 0] and requests.arrival.tolist() == [0.0, 1.0]
    with pytest.raises(TraceError, match="there is no such file"):
        read_trace(tmp_path / "none.csv")


def test_clients_keep_their_rate_and_their_lengths() -> None:
    clients, lengths = read_clients(SHIPPED / "servegen")
    requests = make_requests(Clients(clients=clients), ByClient(periods=lengths), 50_000, np.random.default_rng(1))
    assert requests.arrival[-1] > 600
    for number, client in enumerate(clients):
        first_window = np.sum((requests.client == number) & (requests.arrival < 600))
        assert first_window == pytest.approx(client.windows[0].rate * 600, rel=0.05)
    assert requests.output_tokens.min() >= 1 and np.all(np.diff(requests.arrival) >= 0)
    with pytest.raises(OptionError, match="the clients send"):
        Clients(clients=[Client(name="a", windows=(Window(start=0, rate=0.01),))]).draw(np.random.default_rng(1), 99)


def test_servegen_files_that_are_wrong_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="has no files"):
        read_clients(tmp_path)
    (tmp_path / "c-trace.csv").write_text("0,1,1,Gamma,1,1\n0,1,1,Pareto,1,1\n0,1,1,Gamma,0,1\n0,1\n0,0,0,,0,0\n")
    (tmp_path / "c-dataset.json").write_text('{"0": {"input_tokens": "{0: -1}", "output_tokens": "{1: 1}"}}')
    with pytest.raises(TraceError) as raised:
        read_clients(tmp_path)
    assert [problem.line for problem in raised.value.problems] == [2, 3, 4, 5, None]


@pytest.mark.parametrize("family", ["gamma", "weibull", "exponential"])
def test_every_family_has_the_rate_it_was_asked_for(family: str) -> None:
    client = Client(name="a", windows=(Window(start=0, rate=20, family=family, shape=0.7),))
    times, _ = Clients(clients=[client], length=2000).draw(np.random.default_rng(2), 38_000)
    assert 38_000 / times[-1] == pytest.approx(20, rel=0.05)


def test_bursts_have_the_cv_and_lengths_the_mean_they_were_asked_for() -> None:
    rng = np.random.default_rng(5)
    waits = np.diff(Gamma(rate=10, cv=3).draw(rng, 100_000)[0])
    assert waits.std() / waits.mean() == pytest.approx(3, rel=0.03)
    prompt, _ = LogNormal(prompt=500, output=9, prompt_cv=2).draw(rng, waits, waits.astype(np.int64))
    assert prompt.mean() == pytest.approx(500, rel=0.05)


def test_a_replay_starts_at_zero_and_goes_as_fast_as_wanted() -> None:
    recorded = Recorded(prompt=np.array([1, 2]), output=np.array([3, 4]))
    requests = make_requests(Replay(arrival=np.array([5.0, 7, 9]), speed=2), recorded, 3, np.random.default_rng(0))
    assert requests.arrival.tolist() == [0, 1, 2] and requests.prompt_tokens.tolist() == [1, 2, 1]
    assert Deterministic(rate=2).draw(np.random.default_rng(0), 3)[0].tolist() == [0, 0.5, 1]
    with pytest.raises(OptionError, match="the trace has 2"):
        Replay(arrival=np.array([5.0, 7])).draw(np.random.default_rng(0), 3)
