"""The checks of the local data of steps: it exists and has the form of its type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from amllog.config.user_path import exists, is_directory, is_file
from amllog.errors import UsageError
from amllog.local.plan.planned_steps import Finding, LocalData, PlannedStep

# The file that each of these folders must contain.
_CONTENT = {"mltable": "MLTable", "mlflow_model": "MLmodel"}
_FOLDERS = {"uri_folder", "mltable", "mlflow_model", "triton_model"}


def data_findings(steps: Iterable[PlannedStep]) -> Iterator[Finding]:
    """Yield an error for each local input that does not exist or is not of its type. The same data is reported once."""
    reported = set()
    for step in steps:
        for name, value in step.inputs.items():
            if not isinstance(value, LocalData):
                continue
            fault = data_fault(value)
            position = value.position or step.input_positions.get(name, step.position)
            if fault and (position, fault) not in reported:
                reported.add((position, fault))
                yield Finding(position, f"input {name}: {fault}")


def data_fault(data: LocalData) -> str:
    """Return the reason why a step cannot read the data, or ""."""
    path, kind = data.path, data.type
    try:
        if not exists(path):
            return f"{path} does not exist{_nearest(path)}"
        if kind == "uri_file" and not is_file(path):
            return f"{path} is a folder, but its type is uri_file: use a file or the type uri_folder"
        if kind in _FOLDERS and not is_directory(path):
            return f"{path} is a file, but its type is {kind}: use {_expected(kind)}"
        content = _CONTENT.get(kind)
        if content and not is_file(path / content):
            return f"{path} has no file {content}, so it is no {kind}"
    except UsageError as error:
        return str(error)
    return ""


def _expected(kind: str) -> str:
    if kind == "uri_folder":
        return "a folder or the type uri_file"
    content = _CONTENT.get(kind)
    return f"a folder with the file {content}" if content else "a folder"


def _nearest(path: Path) -> str:
    """Return a hint with the part of the path that exists, if it is not the parent."""
    parent = path.parent
    while not exists(parent) and parent != parent.parent:
        parent = parent.parent
    return "" if parent in {path.parent, parent.parent} else f" (the path exists up to {parent})"
