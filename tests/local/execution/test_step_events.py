"""The states of steps, and the result of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from amllog.local.execution.step_events import RunResult, RunState, StepState, StepStatus


def test_only_waiting_and_running_steps_can_change() -> None:
    """All states are final, except that of a step that waits or runs."""
    assert {state for state in StepState if not state.is_final} == {StepState.WAITING, StepState.RUNNING}


def test_a_result_finds_a_step() -> None:
    """A result returns a step by its name, and raises KeyError for other names."""
    result = RunResult("r", RunState.COMPLETED, (StepStatus("a"), StepStatus("b")), Path("/"), 0)
    assert result.step("b").name == "b"
    with pytest.raises(KeyError):
        result.step("c")
