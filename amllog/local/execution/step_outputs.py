"""The outputs of a step after its end: the output `artifacts`, and the copies at the paths that the user wants.

Pipes, sockets and devices are no data. They are not copied.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from amllog.local.execution.step_folders import ARTIFACTS
from amllog.local.execution.step_values import StepValues
from amllog.local.plan.planned_steps import PlannedPipeline, PlannedStep


def fill_artifacts(step: PlannedStep, values: StepValues) -> None:
    """Copy `./outputs`, if the step has left it, to the output `artifacts`, as `outputs/` in it. Raises OSError."""
    source = values.work / "outputs"
    if ARTIFACTS in step.outputs and source.is_dir():
        copy_folder(source, Path(values.outputs[ARTIFACTS]) / "outputs")


def _wanted_paths(plan: PlannedPipeline, step: PlannedStep) -> list[tuple[str, Path]]:
    """Return the outputs of a step that the user wants at a path of this machine."""
    result = [(name, output.path) for name, output in step.outputs.items() if output.path]
    for name, path in plan.output_paths.items():
        source = plan.outputs.get(name)
        if source and source.step == step.name and (source.output, path) not in result:
            result.append((source.output, path))
    return result


def copy_outputs(plan: PlannedPipeline, step: PlannedStep, outputs: Mapping[str, str]) -> None:
    """Copy outputs to the paths that the user wants. Files of the same name are replaced, no other file is deleted.

    Raises OSError.
    """
    for name, target in _wanted_paths(plan, step):
        source = Path(outputs[name]) if name in outputs else None
        if source is None or not source.exists():
            continue
        if source.is_dir():
            copy_folder(source, target)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            replace_file(source, target / name if target.is_dir() else target)


def copy_folder(source: Path, target: Path) -> None:
    """Copy the folders, files and links in a folder. Raises OSError with the name of the file."""
    target.mkdir(parents=True, exist_ok=True)
    for child in sorted(source.iterdir()):
        mode = child.lstat().st_mode
        if stat.S_ISDIR(mode):
            copy_folder(child, target / child.name)
        elif stat.S_ISREG(mode) or stat.S_ISLNK(mode):
            replace_file(child, target / child.name, follow_symlinks=False)


def replace_file(source: Path, target: Path, *, follow_symlinks: bool = True) -> None:
    """Copy a file or a link beside its target, and rename it. A reader of the target sees the old or the new file.

    Raises OSError. Nothing is left beside the target then.
    """
    new = target.with_name(f"{target.name}.amllog-new")
    if os.path.lexists(new):
        new.unlink()
    try:
        shutil.copy2(source, new, follow_symlinks=follow_symlinks)
        new.replace(target)
    except OSError:
        new.unlink(missing_ok=True)
        raise
