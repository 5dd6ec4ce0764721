"""Which process is the step, and the places of the others below it."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from amllog.config.variables import CHILD, STEP_PROCESS
from amllog.context.step_process import Place, mark_process, place_below_step

STEP, SPAN = "step_1", "aaaaaaaaaaaaaaaa"
GIVEN = "bbbbbbbbbbbbbbbb"


def place(environ: dict[str, str], token: str) -> Place | None:
    """Return the place of a process of the step."""
    return place_below_step(environ, STEP, SPAN, token)


def test_the_first_process_is_the_step() -> None:
    """The process that sets the variable is the step, also if it asks again. Others are below it, each with a span."""
    environ: dict[str, str] = {}
    assert place(environ, "1.1") is None
    mark_process(environ, STEP, "1.1", None)
    assert place(environ, "1.1") is None
    one, two = place(environ, "1.2"), place(environ, "2.1")
    assert one is not None and two is not None
    assert one.parent_span_id == two.parent_span_id == SPAN
    assert len({SPAN, one.span_id, two.span_id}) == 3
    assert place(environ, "1.2") == one


def test_workers_and_other_steps_have_no_place() -> None:
    """A worker has the span of its parent, and the variables of another step say nothing."""
    environ = {STEP_PROCESS: f"{STEP} 1.1"}
    assert place(environ, "") is None
    assert place_below_step(environ, "step_2", SPAN, "2.1") is None
    assert place_below_step({CHILD: f"{STEP} {GIVEN}"}, "step_2", SPAN, "2.1") is None


def test_a_given_span_is_for_one_process() -> None:
    """A process that got its span from trace_environment() keeps it, and its own children are below that span."""
    environ = {
        STEP_PROCESS: f"{STEP} 1.1",
        CHILD: f"{STEP} {GIVEN}",
        "TRACEPARENT": f"00-{'c' * 32}-{'d' * 16}-01",
    }
    mine = place(environ, "2.1")
    assert mine == Place(GIVEN, "d" * 16)
    mark_process(environ, STEP, "2.1", mine)
    assert place(environ, "2.1") == place(environ, "") == mine
    below = place(environ, "3.1")
    assert below is not None and below.parent_span_id == GIVEN and below.span_id not in {SPAN, GIVEN}
    mark_process(environ, STEP, "3.1", below)
    assert place(environ, "3.1") == below


@pytest.mark.parametrize("name", [CHILD, STEP_PROCESS])
@given(value=st.text(), token=st.text(max_size=3))
def test_any_value(name: str, value: str, token: str) -> None:
    """Any text in a variable gives no place or a valid one."""
    found = place({name: value}, token)
    assert found is None or len(found.span_id) == 16
