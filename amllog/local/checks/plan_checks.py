"""The checks of a resolved plan, in the order of its steps."""

from __future__ import annotations

from collections.abc import Collection

from amllog.local.plan.planned_steps import Finding, PlannedPipeline


def check_plan(plan: PlannedPipeline, *, ignored: Collection[str] = ()) -> list[Finding]:
    """Return the findings about a resolved plan. Steps in `ignored` do not run."""
    return []
