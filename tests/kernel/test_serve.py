from __future__ import annotations

import pytest

from rdusim.kernel.serve import serve


def wants(_: int, job: int) -> tuple[float, float]:
    return 10.0, 0.1  # a server alone can fill its resource


def test_servers_share_a_resource_and_none_another() -> None:
    orders = {0: [(0, 100.0)], 1: [(1, 100.0)], 2: [(2, 100.0)]}
    assert serve(orders, wants)[2] == pytest.approx((0.0, 30.0))
    apart = serve(orders, wants, {0: "hbm", 1: "ddr", 2: "ddr"})
    assert [end for _, end in apart.values()] == pytest.approx([10.0, 20.0, 20.0])


def test_a_slow_job_holds_up_what_is_behind_it_on_its_server() -> None:
    orders = {0: [(0, 100.0), (1, 100.0)], 1: [(2, 100.0)]}
    times = serve(orders, wants, {0: "ddr", 1: "hbm", 2: "ddr"})
    assert times[0] == pytest.approx((0.0, 20.0))
    assert times[1] == pytest.approx((20.0, 30.0))


def test_a_job_that_must_wait_lets_others_pass_and_then_comes_first() -> None:
    orders = {0: [(0, 100.0), (1, 300.0)], 1: [(2, 50.0)]}
    times = serve(orders, wants, {0: "a", 1: "b", 2: "c"}, {0: [2]})
    assert times[2] == pytest.approx((0.0, 5.0))
    assert times[0] == pytest.approx((5.0, 15.0))
    assert times[1] == pytest.approx((0.0, 40.0))  # begun, then interrupted
