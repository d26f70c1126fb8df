"""A problem reads as one line that names the place, the field and the way out."""

from __future__ import annotations

from rdusim.errors import ArchError, Problem, RdusimError


def test_a_problem_names_place_field_message_and_way_out_in_this_order() -> None:
    problem = Problem(message="no unit", file="a.yaml", line=3, column=7, field="socket.clock", hint="write 1 GHz")
    assert str(problem) == "a.yaml:3:7: socket.clock: no unit (write 1 GHz)"


def test_what_is_not_known_of_a_problem_leaves_no_trace() -> None:
    assert str(Problem(message="too large")) == "too large"
    assert str(Problem(message="empty", file="a.yaml")) == "a.yaml: empty"
    assert str(Problem(message="must be positive", field="batch")) == "batch: must be positive"


def test_an_error_carries_every_problem_and_says_one_a_line() -> None:
    error = ArchError(Problem(message="first", line=1), "second")
    assert isinstance(error, RdusimError)
    assert [problem.message for problem in error.problems] == ["first", "second"]
    assert str(error) == "1: first\nsecond"
