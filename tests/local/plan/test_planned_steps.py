"""Tests of the planned steps."""

from pathlib import Path

from amllog.local.plan.planned_steps import (
    Finding,
    LiteralValue,
    PlannedStep,
    Severity,
    SourceLine,
    StepOutput,
)

HERE = SourceLine(Path("pipeline.yml"), 3)


def test_steps_require_the_sources_of_their_inputs_once() -> None:
    """A step requires each step whose output it reads, and those that must end before it, once and in order."""
    inputs = {
        "a": StepOutput("prepare", "x"),
        "b": StepOutput("prepare", "y"),
        "c": LiteralValue(1, "integer"),
    }
    assert PlannedStep("train", HERE, inputs=inputs, after=("check", "prepare")).requires == (
        "prepare",
        "check",
    )


def test_findings_name_their_line() -> None:
    """A finding is `file:line: message`. Line 0 is the whole file, and other severities than an error are named."""
    whole = SourceLine(HERE.file, 0)
    texts = [str(Finding(HERE, "no step x")), str(Finding(whole, "is empty", Severity.WARNING))]
    assert texts == ["pipeline.yml:3: no step x", "pipeline.yml: warning: is empty"]
