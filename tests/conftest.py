"""Hypothesis: the same examples on every machine, so that a red test is red for everybody.

`pytest --hypothesis-profile explore` looks further, with new examples each time.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A shared machine is slow at times: neither a deadline nor a slow data generator says anything about rdusim.
settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "explore", deadline=None, derandomize=False, max_examples=2000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci")
