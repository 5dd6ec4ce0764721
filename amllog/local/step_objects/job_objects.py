"""Read a pipeline that azure-ai-ml's decorator `@pipeline` has built, through its public `dump`.

The dumped file is Azure ML's format with all components inside. Four of its forms differ from what users write:

* a relative path of local data begins with `azureml:`,
* an input that is bound to another one is the path of a mapping,
* default numbers of components are strings,
* nested pipelines do not declare the inputs of functions without annotations.
"""

from __future__ import annotations

import contextlib
import io
import os.path
import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from amllog.errors import MissingExtraError
from amllog.local.plan.planned_steps import Finding, PlannedPipeline, SourceLine, literal_type

_ASSET = re.compile(r"azureml:(?!//)(.+)", re.DOTALL)
_BINDING = re.compile(r"\$\{\{\s*parent\.(?:inputs\.([\w.-]+)|.*)\s*\}\}")
_REGISTERED = re.compile(r"[\w.-]+(@[\w.-]+|:[\w.-]+)\Z")


def is_job(source: Any) -> bool:
    """Return whether an object is a job of azure-ai-ml."""
    return callable(getattr(type(source), "dump", None))  # any attribute of an instance may exist


def plan_job(
    job: Any, inputs: Mapping[str, str], position: SourceLine, directory: Path
) -> tuple[PlannedPipeline | None, list[Finding]]:
    """Return the plan of a job, and findings. `position`: the line that passed the job.

    Relative paths are relative to `directory`. Raises MissingExtraError without PyYAML.
    """
    try:
        import yaml
    except ImportError:
        raise MissingExtraError("pyyaml", "local") from None
    from amllog.local.definition.file_reading import read_file

    with tempfile.TemporaryDirectory(prefix="amllog-") as folder:
        file = Path(folder) / "pipeline.yml"
        with contextlib.redirect_stdout(io.StringIO()):  # the SDK prints lines about experimental classes
            job.dump(str(file))
        document = translated(yaml.safe_load(file.read_text(encoding="utf-8")), directory)
        if "component" in document:  # a job that `command()` has built is a step without a pipeline
            name = re.sub(r"\W+", "_", str(document.get("name") or "job"))
            document = {"type": "pipeline", "jobs": {name: document}}
        declare_inputs(document)
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
        file.write_text(text, encoding="utf-8")
        result = read_file(file, inputs, is_dump=True)
    findings = [finding._replace(position=position) for finding in result.findings]
    if result.pipeline is None:
        return None, findings
    # Each line is one of the deleted file. The line of the caller is the only one that the user can open.
    steps = tuple(replace(step, position=position) for step in result.pipeline.steps)
    return replace(result.pipeline, source=None, position=position, steps=steps), findings


def translated(node: Any, directory: Path) -> Any:
    """Return a dumped document in the form that users write."""
    if isinstance(node, list):
        return [translated(item, directory) for item in node]
    if not isinstance(node, dict):
        return node
    if list(node) == ["path"] and str(node["path"]).startswith("${{"):
        return node["path"]
    answer = {key: translated(value, directory) for key, value in node.items()}
    path = _ASSET.match(str(answer.get("path", "")))
    if path is not None and _is_local(path[1], directory):
        answer["path"] = os.path.abspath(directory / path[1])  # links stay, as in a file
    if answer.get("type") in ("number", "integer", "boolean") and isinstance(answer.get("default"), str):
        answer["default"] = _typed(answer["default"], answer["type"])
    return answer


def declare_inputs(pipeline: dict[str, Any]) -> None:
    """Add the inputs that nested pipelines get and do not declare, with the types of their values."""
    types = {name: _type_of(value, {}) for name, value in (pipeline.get("inputs") or {}).items()}
    for job in (pipeline.get("jobs") or {}).values():
        component = job.get("component")
        if isinstance(component, dict) and "jobs" in component:
            given = {
                name: {"type": _type_of(value, types)} for name, value in (job.get("inputs") or {}).items()
            }
            component["inputs"] = {**given, **(component.get("inputs") or {})}
            declare_inputs(component)


def _type_of(value: object, types: Mapping[str, str]) -> str:
    """Return the type of an input from its value. `types` are those of the inputs of the pipeline around it."""
    if isinstance(value, dict):
        return str(value.get("type", "uri_folder"))
    binding = _BINDING.fullmatch(str(value))
    if binding is not None:
        return types.get(binding[1] or "", "uri_folder")
    return literal_type(value)


def _is_local(path: str, directory: Path) -> bool:
    """Return whether an asset is a path of this machine, for which the dump has no other form."""
    return path.startswith((".", "/")) or (not _REGISTERED.match(path) and (directory / path).exists())


def _typed(text: str, kind: str) -> object:
    try:
        if kind == "boolean":
            return {"true": True, "false": False}.get(text.lower(), text)
        return int(text) if kind == "integer" else float(text)
    except ValueError:
        return text
