"""Tests of the checks of a resolved plan."""

from __future__ import annotations

from pathlib import Path

from amllog.local.checks.plan_checks import check_plan
from amllog.local.plan.planned_steps import PlannedPipeline, PlannedStep, SourceLine

LINE = SourceLine(Path("/project/pipeline.yml"), 5)


def test_a_correct_plan_has_no_finding() -> None:
    """A plan without a fault gives nothing."""
    assert check_plan(PlannedPipeline("p", LINE, (PlannedStep("a", LINE, command="echo 1"),))) == []
