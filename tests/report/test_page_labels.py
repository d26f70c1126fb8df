"""Labels of pages: as short as their place needs, and still of one thing each."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rdusim.report.html.text import apart, paths

FIELDS = (
    "socket.tile.rdn.scalar_bytes_per_cycle",
    "socket.tile.rdn.vector_bytes_per_cycle",
    "socket.memory.hbm.bandwidth",
    "launch.execute *",
)


def test_fields_that_differ_in_the_middle_stay_apart() -> None:
    for shorter in (apart, paths):
        labels = shorter(FIELDS, 33)
        assert len(set(labels)) == len(FIELDS) and max(map(len, labels)) <= 33
    assert any("scalar" in label for label in labels) and any("vector" in label for label in labels)


def test_a_field_alone_says_which_it_is() -> None:
    (label,) = paths(FIELDS[:1], 33)
    assert label == "\N{HORIZONTAL ELLIPSIS}tile.rdn.scalar_bytes_per_cycle"


@given(
    names=st.lists(st.from_regex(r"[ab]{1,3}(\.[ab]{1,12}){0,4}", fullmatch=True), min_size=1, max_size=8),
    most=st.integers(12, 30),
)
def test_no_label_is_longer_than_its_place_and_what_fits_is_whole(names: list[str], most: int) -> None:
    for shorter in (apart, paths):
        labels = shorter(names, most)
        assert len(labels) == len(names) and max(map(len, labels)) <= most
        if max(map(len, names)) <= most:
            assert labels == names
