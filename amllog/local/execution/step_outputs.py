"""The outputs of a step after its end: the output `artifacts`, and the copies at the paths that the user wants."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from amllog.local.execution.step_folders import ARTIFACTS
from amllog.local.execution.step_values import StepValues
from amllog.local.plan.planned_steps import PlannedPipeline, PlannedStep


def fill_artifacts(step: PlannedStep, values: StepValues) -> None:
    """Copy `./outputs` to the output `artifacts`, as `outputs/` in it. Raises OSError."""
    if ARTIFACTS in step.outputs:
        target = Path(values.outputs[ARTIFACTS]) / "outputs"
        shutil.copytree(values.work / "outputs", target, symlinks=True, dirs_exist_ok=True)


def wanted_paths(plan: PlannedPipeline, step: PlannedStep) -> list[tuple[str, Path]]:
    """Return the outputs of a step that the user wants at a path of this machine."""
    result = [(name, output.path) for name, output in step.outputs.items() if output.path]
    for name, path in plan.output_paths.items():
        source = plan.outputs.get(name)
        if source and source.step == step.name and (source.output, path) not in result:
            result.append((source.output, path))
    return result


def copy_outputs(wanted: list[tuple[str, Path]], outputs: Mapping[str, Path]) -> None:
    """Copy outputs to the paths that the user wants. Files of the same name are replaced, no other file is deleted."""
    for name, target in wanted:
        source = outputs.get(name)
        if source is None or not source.exists():
            continue
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, copy_function=replace_file)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            replace_file(str(source), str(target / name if target.is_dir() else target))


def replace_file(source: str, target: str) -> str:
    """Copy a file beside its target, and rename it. A reader of the target sees the old or the new file."""
    new = Path(f"{target}.amllog-new")
    shutil.copy2(source, new)
    new.replace(target)
    return target
