"""The runs that the far side knows: what they are now, kept in memory, each change appended to `runs.jsonl`.

In: registrations, patches, tags and events as run history gets them. Out: run DTOs in run history's own words.
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
    """The present time as the services write it."""
    return datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")


class RunStore:
    """All runs by id; safe to use from any thread."""

    def __init__(self, directory: Path) -> None:
        self._lock = threading.RLock()
        self._runs: dict[str, Run] = {run["runId"]: run for run in read_lines(directory.glob("runs.jsonl"))}
        self._lines = JsonLinesFile(directory / "runs.jsonl")

    def close(self) -> None:
        """No more changes."""
        self._lines.close()

    def all(self) -> list[Run]:
        """Every run, in the order in which they were made."""
        with self._lock:
            return [_copy(run) for run in self._runs.values()]

    def get(self, run_id: str) -> Run:
        """One run; a 404 if there is none."""
        with self._lock:
            if run_id not in self._runs:
                raise Refusal(404, f"Run {run_id} was not found")
            return _copy(self._runs[run_id])

    def knows(self, run_id: str) -> bool:
        """Whether there is such a run."""
        with self._lock:
            return run_id in self._runs

    def related(self, run_id: str, other: str) -> bool:
        """Whether both runs are known and have the same root run."""
        with self._lock:
            roots = [self._runs[one]["rootRunId"] for one in (run_id, other) if one in self._runs]
        return len(roots) == 2 and roots[0] == roots[1]

    def related_to(self, run_id: str) -> list[Run]:
        """The runs with the same root run as this one, in the order in which they were made."""
        return [run for run in self.all() if self.related(run_id, run["runId"])]

    def add(self, run_id: str, experiment: str, **fields: Any) -> Run:
        """Make a run, or set fields of the run that is there."""
        with self._lock:
            if run_id not in self._runs:
                parent = self._runs.get(fields.get("parentRunId") or "")
                self._runs[run_id] = _new(run_id, experiment, len(self._runs) + 1, parent)
            self._runs[run_id].update({name: value for name, value in fields.items() if value is not None})
            return self._changed(run_id)

    def patch(self, run_id: str, experiment: str, change: Mapping[str, Any]) -> Run:
        """Run history's PATCH: makes the run if need be; tags and properties are added to those that are there."""
        tags, properties = _texts(change.get("tags"), "tag"), _texts(change.get("properties"), "property")
        fields = _fields(change)
        with self._lock:
            if run_id not in self._runs:
                self.add(_valid_id(run_id), experiment, parentRunId=_text(change, "parentRunId", RUN_ID_MAX))
            run = self._runs[run_id]
            _keep_immutable(run["properties"], properties)
            if len({**run["tags"], **tags}) > TAGS_MAX or len({**run["properties"], **properties}) > TAGS_MAX:
                raise Refusal(400, f"A run has at most {TAGS_MAX} tags and {TAGS_MAX} properties")
            run["tags"].update(tags)
            run["properties"].update(properties)
            run.update(fields)
            return self._changed(run_id)

    def remove_tags(self, run_id: str, names: Iterable[str]) -> Run:
        """Take tags away; those that are not there are no error."""
        with self._lock:
            self.get(run_id)
            for name in names:
                self._runs[run_id]["tags"].pop(name, None)
            return self._changed(run_id)

    def event(self, run_id: str, name: str, data: Mapping[str, Any]) -> Run:
        """An event of a run: its start, its end, an error."""
        kind = name.rpartition(".")[2]
        with self._lock:
            self.get(run_id)
            run = self._runs[run_id]
            run["status"] = _STATUS_OF_EVENT.get(kind, run["status"])
            if kind == "Start":
                run["startTimeUtc"] = _text(data, "StartTime", 64) or utc_now()
            if run["status"] in ENDED and not run.get("endTimeUtc"):
                run["endTimeUtc"] = _text(data, "EndTime", 64) or utc_now()
            if kind in ("Error", "Failed") and data.get("ErrorResponse"):
                run["error"] = data["ErrorResponse"]
            return self._changed(run_id)

    def below(self, run_id: str) -> list[Run]:
        """The children of a run, newest first."""
        return [run for run in reversed(self.all()) if run.get("parentRunId") == run_id]

    def _changed(self, run_id: str) -> Run:
        run = self._runs[run_id]
        self._lines.append([run])
        return _copy(run)


def experiment_id(name: str) -> str:
    """The id of an experiment: always the same for the same name."""
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


def _text(change: Mapping[str, Any], name: str, limit: int) -> str | None:
    value = change.get(name)
    if value is not None and (not isinstance(value, str) or len(value) > limit):
        raise Refusal(400, f"{name}: expected a text of at most {limit} characters")
    return value


def _fields(change: Mapping[str, Any]) -> dict[str, str]:
    texts = {name: _text(change, name, limit) for name, limit in _SETTABLE.items()}
    return {name: value for name, value in texts.items() if value is not None}


def _texts(values: object, what: str) -> dict[str, str | None]:
    texts = values if values is not None else {}
    if not isinstance(texts, dict):
        raise Refusal(400, f"Each {what} is a name and a text")
    for name in texts:
        if not 0 < len(name) <= TAG_KEY_MAX:
            raise Refusal(400, f"The name of {what} {name[:50]!r} has not 1 to {TAG_KEY_MAX} characters")
        _text(texts, name, TAG_VALUE_MAX)
    return texts


def _keep_immutable(there: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    for name, value in new.items():
        if name in there and there[name] != value:
            raise Refusal(400, f"Property {name!r} cannot be changed: properties are immutable")
