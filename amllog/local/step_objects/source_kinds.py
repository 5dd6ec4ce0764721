"""The kinds of sources of `Pipeline`: a file, steps of SDK v1, a job of azure-ai-ml, or functions."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

from amllog.errors import UsageError
from amllog.local.step_objects import job_objects, sdk_ports


def classify(source: Any) -> tuple[Any, str]:
    """Return a source in the form of its kind, and the kind. Raises UsageError for anything else."""
    if isinstance(source, (str, PathLike)):
        path = Path(source).absolute()
        if not path.is_file():
            raise UsageError(f"there is no file {source} in {Path.cwd()}")
        return path, "file"
    if sdk_ports.is_step(source):
        return [source], "steps"
    if job_objects.is_job(source):
        return source, "job"
    if callable(source):
        return [_plain_function(source)], "functions"
    elements = list(source) if isinstance(source, Iterable) else []
    if elements and all(callable(element) and not sdk_ports.is_step(element) for element in elements):
        return [_plain_function(element) for element in elements], "functions"
    if _are_steps(source) or (elements and all(map(_are_steps, elements))):
        return source if _are_steps(source) else elements, "steps"
    hint = ": pass its steps, and not the Pipeline" if hasattr(source, "graph") else ""
    raise UsageError(
        f"a pipeline is a path, steps of SDK v1, a job of azure-ai-ml or a list of functions, got "
        f"{type(source).__name__}{hint}"
    )


def _are_steps(source: Any) -> bool:
    """Return whether a source is a step, or a list or StepSequence of steps and such lists."""
    if sdk_ports.is_step(source):
        return True
    is_list = isinstance(source, (list, tuple)) or type(source).__name__ == "StepSequence"
    elements = list(source) if is_list else []
    return bool(elements) and all(map(_are_steps, elements))


def _plain_function(function: Any) -> Any:
    if getattr(function, "_is_dsl_func", False):
        raise UsageError(
            "call the function that has the decorator @pipeline, and pass the job that it returns"
        )
    return function
