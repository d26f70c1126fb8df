from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdusim.explore.batches import KEPT, LEAST, batches_of, compiled_alike
from rdusim.pipeline import RunRequest

groups = st.lists(st.integers(1, 300), max_size=8).map(
    lambda sizes: [list(range(sum(sizes[:number]), sum(sizes[: number + 1]))) for number in range(len(sizes))]
)


@given(groups, st.floats(1e-4, 3.0), st.floats(0.0, 3.0), st.integers(1, 64))
def test_every_point_is_in_one_batch_and_points_of_a_group_come_together(
    found: list[list[int]], point: float, compiling: float, jobs: int
) -> None:
    batches = batches_of(found, point=point, compiling=compiling, jobs=jobs)
    assert sorted(number for batch in batches for number in batch) == list(range(sum(map(len, found))))
    for batch in batches[:-1]:
        mixed = len({next(index for index, group in enumerate(found) if number in group) for number in batch}) > 1
        assert not mixed or compiling < LEAST


@given(groups, st.floats(1e-4, 0.01), st.integers(1, 64))
def test_a_batch_is_worth_its_message(found: list[list[int]], point: float, jobs: int) -> None:
    batches = batches_of(found, point=point, compiling=1.0, jobs=jobs)
    whole = {tuple(group) for group in found}
    assert all(len(batch) * point >= LEAST / 2 or tuple(batch) in whole for batch in batches)


@pytest.mark.parametrize(("compiling", "most"), [(0.0, KEPT), (0.8, 4.0)])
def test_a_kill_loses_little_more_than_compiling_costs(compiling: float, most: float) -> None:
    batches = batches_of([list(range(10_000))], point=0.01, compiling=compiling, jobs=1)
    assert max(map(len, batches)) * 0.01 <= most + 0.01


def test_there_is_a_batch_for_every_job() -> None:
    assert len(batches_of([list(range(40))], point=0.1, compiling=0.0, jobs=8)) == 8


def test_requests_that_differ_in_rates_alone_are_compiled_alike() -> None:
    base = RunRequest(model="m", overrides=("a=1",), compiled_overrides=())
    other = replace(base, overrides=("a=2",))
    assert compiled_alike(base, remap=False) == compiled_alike(other, remap=False)
    assert compiled_alike(base, remap=True) != compiled_alike(other, remap=True)
    assert compiled_alike(base, remap=False) == compiled_alike(RunRequest(model="m"), remap=False)
    assert compiled_alike(base, remap=False) == compiled_alike(replace(base, engine="discrete"), remap=False)
    assert compiled_alike(base, remap=False) != compiled_alike(replace(base, batch=2), remap=False)
