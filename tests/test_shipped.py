"""What comes with rdusim can be found by name."""

from __future__ import annotations

from rdusim.shipped import names, shipped


def test_every_shipped_machine_has_a_name_and_a_file() -> None:
    assert {"sn40l", "sn40l-x16", "sn50", "sn10", "toy"} <= set(names("arch"))
    assert all((shipped("arch") / f"{name}.yaml").is_file() for name in names("arch"))
