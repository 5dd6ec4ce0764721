"""The check for steps without an environment. They run here, and azure-ai-ml rejects their file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from amllog.local.plan.planned_steps import Finding, PlannedPipeline, PlannedStep, Severity, StepKind

_NEED_ONE = {StepKind.COMMAND, StepKind.PARALLEL, StepKind.SWEEP}  # for Spark, the service has a default
_MAX_NAMES = 5  # in a finding


def missing_environments(plan: PlannedPipeline) -> Iterator[Finding]:
    """Yield one warning for each file with steps that have no environment, and whose components have none."""
    files: dict[Path, list[PlannedStep]] = {}
    for step in plan.steps:
        if step.kind in _NEED_ONE and step.environment is None:
            files.setdefault(step.position.file, []).append(step)
    for lacking in files.values():
        names = [step.name.rpartition(".")[2] for step in lacking]
        more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
        which = f"the step{'s' * (len(names) > 1)} {', '.join(names[:_MAX_NAMES])}{more}"
        message = (
            f"{'the job' if plan.is_single else which} {'has' if len(names) == 1 else 'have'} no environment, "
            "which Azure ML requires: add `environment: azureml:NAME@latest`"
        )
        yield Finding(min(step.position for step in lacking), message, Severity.WARNING)
