"""The stored runs, in the format of run history.

The current state is in memory. After each change, the run is appended to `runs.jsonl`.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from amllog.local.http.request import Refusal
from amllog.local.storage import JsonLinesFile, read_lines

RUN_ID_MAX = 256
TAG_KEY_MAX, TAG_VALUE_MAX, TAGS_MAX = 100, 1000, 50
_SETTABLE = {
    "name": RUN_ID_MAX,
    "displayName": RUN_ID_MAX,
    "description": 5000,
    "status": 100,
    "runType": 100,
    "target": 256,
    "scriptName": 1000,
    "startTimeUtc": 64,
    "endTimeUtc": 64,
}
_STATUS_OF_EVENT = {
    "Start": "Running",
    "Queued": "Queued",
    "Completed": "Completed",
    "Failed": "Failed",
    "Canceled": "Canceled",
    "CancelRequested": "CancelRequested",
}
ENDED = ("Completed", "Failed", "Canceled")

Run = dict[str, Any]


def utc_now() -> str:
    """Return the current time in the format of the services."""
    return datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")


class RunStore:
    """All runs by id. All methods are thread-safe."""

    def __init__(self, directory: Path) -> None:
        self._lock = threading.RLock()
        self._runs: dict[str, Run] = {run["runId"]: run for run in read_lines(directory.glob("runs.jsonl"))}
        self._lines = JsonLinesFile(directory / "runs.jsonl")

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def all(self) -> list[Run]:
        """Return all runs in the order of their creation."""
        with self._lock:
            return [_copy(run) for run in self._runs.values()]

    def get(self, run_id: str) -> Run:
        """Return a run. Raises `Refusal` with status 404 if it does not exist."""
        with self._lock:
            if run_id not in self._runs:
                raise Refusal(404, f"Run {run_id} was not found")
            return _copy(self._runs[run_id])

    def contains(self, run_id: str) -> bool:
        """Return whether a run exists."""
        with self._lock:
            return run_id in self._runs

    def are_related(self, run_id: str, other: str) -> bool:
        """Return whether both runs exist and have the same root run."""
        with self._lock:
            roots = [self._runs[name]["rootRunId"] for name in (run_id, other) if name in self._runs]
        return len(roots) == 2 and roots[0] == roots[1]

    def related_to(self, run_id: str) -> list[Run]:
        """Return the runs with the same root run as this one, in the order of their creation."""
        return [run for run in self.all() if self.are_related(run_id, run["runId"])]

    def add(self, run_id: str, experiment: str, **fields: Any) -> Run:
        """Create a run, or set fields of an existing one. None is ignored."""
        with self._lock:
            if run_id not in self._runs:
                parent = self._runs.get(fields.get("parentRunId") or "")
                self._runs[run_id] = _new(run_id, experiment, len(self._runs) + 1, parent)
            self._runs[run_id].update({name: value for name, value in fields.items() if value is not None})
            return self._save(run_id)

    def extend_list(self, run_id: str, name: str, values: Iterable[object]) -> Run:
        """Append values to a list of a run. Raises `Refusal` if the run does not exist."""
        with self._lock:
            return self.add(run_id, "", **{name: [*self.get(run_id).get(name, ()), *values]})

    def add_job(
        self, run_id: str, name: str, experiment: str, parent_run_id: str | None, root_run_id: str | None
    ) -> None:
        """Create the run of a job and its missing ancestors, or set the fields of an existing one."""
        above = parent_run_id or root_run_id
        parent = above if above != run_id else None
        root = root_run_id if root_run_id != run_id else None
        for ancestor, above_it in ((root, None), (parent, root if root != parent else None)):
            if ancestor and not self.contains(ancestor):
                self.add(
                    ancestor,
                    experiment,
                    runType="azureml.PipelineRun",
                    status="Running",
                    parentRunId=above_it,
                )
        kind = "azureml.StepRun" if parent else "azureml.scriptrun"
        names = {"name": name, "displayName": name}
        ancestors = {"parentRunId": parent, "rootRunId": root_run_id}
        self.add(run_id, experiment, runType=kind, status="Running", **names, **ancestors)

    def patch(self, run_id: str, experiment: str, change: Mapping[str, Any]) -> Run:
        """Apply a PATCH of run history: create the run if needed, and add tags and properties to it."""
        tags, properties = _strings(change.get("tags"), "tag"), _strings(change.get("properties"), "property")
        fields = _fields(change)
        with self._lock:
            if run_id not in self._runs:
                self.add(
                    _valid_id(run_id), experiment, parentRunId=_string(change, "parentRunId", RUN_ID_MAX)
                )
            run = self._runs[run_id]
            _check_immutable(run["properties"], properties)
            if len({**run["tags"], **tags}) > TAGS_MAX or len({**run["properties"], **properties}) > TAGS_MAX:
                raise Refusal(400, f"A run has at most {TAGS_MAX} tags and {TAGS_MAX} properties")
            run["tags"].update(tags)
            run["properties"].update(properties)
            run.update(fields)
            return self._save(run_id)

    def remove_tags(self, run_id: str, names: Iterable[str]) -> Run:
        """Remove tags. Tags that do not exist are ignored."""
        with self._lock:
            self.get(run_id)
            for name in names:
                self._runs[run_id]["tags"].pop(name, None)
            return self._save(run_id)

    def apply_event(self, run_id: str, name: str, data: Mapping[str, Any]) -> Run:
        """Apply an event of a run: its start, its end or an error."""
        kind = name.rpartition(".")[2]
        with self._lock:
            self.get(run_id)
            run = self._runs[run_id]
            run["status"] = _STATUS_OF_EVENT.get(kind, run["status"])
            if kind == "Start":
                run["startTimeUtc"] = _string(data, "StartTime", 64) or utc_now()
            if run["status"] in ENDED and not run.get("endTimeUtc"):
                run["endTimeUtc"] = _string(data, "EndTime", 64) or utc_now()
            if kind in ("Error", "Failed") and data.get("ErrorResponse"):
                run["error"] = data["ErrorResponse"]
            return self._save(run_id)

    def children_of(self, run_id: str) -> list[Run]:
        """Return the children of a run, the newest first."""
        return [run for run in reversed(self.all()) if run.get("parentRunId") == run_id]

    def _save(self, run_id: str) -> Run:
        run = self._runs[run_id]
        self._lines.append([run])
        return _copy(run)


def experiment_id(name: str) -> str:
    """Return the id of an experiment, which depends only on its name."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"amllog:{name}"))


def _new(run_id: str, experiment: str, number: int, parent: Mapping[str, Any] | None) -> Run:
    return {
        "runId": run_id,
        "runNumber": number,
        "rootRunId": parent["rootRunId"] if parent else run_id,
        "parentRunId": parent["runId"] if parent else None,
        "experimentId": parent["experimentId"] if parent else experiment_id(experiment),
        "experimentName": parent["experimentName"] if parent else experiment,
        "status": "NotStarted",
        "dataContainerId": f"dcid.{run_id}",
        "name": None,
        "displayName": None,
        "runType": "azureml.scriptrun",
        "target": "local",
        "createdUtc": utc_now(),
        "createdBy": {"userName": "local"},
        "properties": {},
        "tags": {},
    }


def _copy(run: Run) -> Run:
    return {**run, "tags": dict(run["tags"]), "properties": dict(run["properties"])}


def _valid_id(run_id: str) -> str:
    if not 0 < len(run_id) <= RUN_ID_MAX or not run_id.isprintable() or "/" in run_id:
        raise Refusal(400, f"A run id has 1 to {RUN_ID_MAX} printable characters and no slash")
    return run_id


def _string(change: Mapping[str, Any], name: str, limit: int) -> str | None:
    value = change.get(name)
    if value is not None and (not isinstance(value, str) or len(value) > limit):
        raise Refusal(400, f"{name}: expected a string of at most {limit} characters")
    return value


def _fields(change: Mapping[str, Any]) -> dict[str, str]:
    fields = {name: _string(change, name, limit) for name, limit in _SETTABLE.items()}
    return {name: value for name, value in fields.items() if value is not None}


def _strings(values: object, kind: str) -> dict[str, str | None]:
    strings = values if values is not None else {}
    if not isinstance(strings, dict):
        raise Refusal(400, f"Each {kind} is a name and a string")
    for name in strings:
        if not 0 < len(name) <= TAG_KEY_MAX:
            raise Refusal(400, f"The name of {kind} {name[:50]!r} must have 1 to {TAG_KEY_MAX} characters")
        _string(strings, name, TAG_VALUE_MAX)
    return strings


def _check_immutable(current: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    for name, value in new.items():
        if name in current and current[name] != value:
            raise Refusal(400, f"Property {name!r} cannot be changed: properties are immutable")
