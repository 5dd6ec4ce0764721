"""Journal directories → rows: what was written about which run, in time order.

In: directories with journal files, also files that are still being written. Out: rows as plain dicts with the same
members whatever kind of record they were; lines that are torn are counted. Reads everything into memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from amllog import record
from amllog.errors import UsageError

Row = dict[str, Any]

LAST, ALL = "last", "all"
ERROR = 40
LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
# Dimensions that tell where and by whom a record was written, not what its call said.
EVERYWHERE = frozenset((
    "process", "module", "fileName", "lineNumber", "level", "node", "rank", "run_url", "run_type", "build_url",
    "build_version", "run_metric", "run_metric_data", "run_id",
))  # fmt: skip
_SEVERITIES = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_JOURNAL = re.compile(r"\d{8}T\d{6}.*\.jsonl")
_DURATION = re.compile(r"(?:(\d+)\.)?(\d+):(\d+):(\d+(?:\.\d+)?)")
_KINDS = {
    "MessageData": "log",
    "ExceptionData": "exception",
    "MetricData": "metric",
    "EventData": "event",
    "RemoteDependencyData": "span",
    "RequestData": "step",
}
_COLUMNS = ("step_id", "step_name", "experiment_name", "logger")


class Reading(NamedTuple):
    """What the files held: rows in time order, and how many lines could not be read."""

    rows: list[Row]
    files: int
    torn: int


def files(directories: Iterable[Path]) -> list[Path]:
    """Every journal file in and below the directories, by name: that is by time."""
    found = {
        path.resolve(): path
        for directory in directories
        for path in directory.rglob("*.jsonl")
        if _JOURNAL.fullmatch(path.name)
    }
    return sorted(found.values(), key=lambda path: path.name)


def read(directories: Iterable[Path]) -> Reading:
    """All rows of all journal files; a record that stands in several of them counts once."""
    paths, rows, seen, torn = files(directories), [], set(), 0
    for path in paths:
        for line in _lines(path):
            envelope = record.decode(line)
            row = None if envelope is None else row_of(envelope)
            if row is None:
                torn += 1
                continue
            mark = (row["record_id"], row["time"])
            if not row["record_id"] or mark not in seen:
                seen.add(mark)
                rows.append(row)
    rows.sort(key=lambda row: row["time"])
    return Reading(rows, len(paths), torn)


def row_of(envelope: Mapping[str, Any]) -> Row | None:
    """One envelope as a row; None if it is no record that we know."""
    try:
        data, tags = envelope["data"], envelope.get("tags") or {}
        base, kind = data["baseData"], _KINDS[data["baseType"]]
        properties = {key: str(value) for key, value in (base.get("properties") or {}).items()}
        if kind == "event" and "run_metric_data" in properties and "value" in properties:
            kind = "metric"  # NaN or infinite: JSON has no number for it
        row: Row = {"time": str(envelope["time"]), "kind": kind}
        row.update(_content(kind, base, properties))
    except (KeyError, TypeError, AttributeError, IndexError, ValueError):
        return None
    row["run"] = properties.pop("parent_run_id", "") or properties.get("step_id", "")
    row.update((name, properties.pop(name, "")) for name in _COLUMNS)
    row["record_id"] = properties.pop("record_id", "")
    row["operation_id"] = tags.get("ai.operation.id", "")
    row["parent_id"] = tags.get("ai.operation.parentId", "")
    row["dimensions"] = properties
    return row


def runs(rows: Iterable[Row]) -> list[Row]:
    """One row per run, the earliest first: its steps, its errors, when it began and for how long it wrote."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row["run"]:
            found.setdefault(row["run"], []).append(row)
    told = [_run(name, own) for name, own in found.items()]
    return sorted(told, key=lambda run: str(run["began"]))


def find(rows: Sequence[Row], name: str) -> tuple[str, list[Row]]:
    """The run or step that `name` means, and its rows: an id, the beginning of one, `last`, or `all`.

    Raises UsageError if there is none, or more than one.
    """
    if name == ALL:
        return ALL, list(rows)
    known = [str(run["run"]) for run in runs(rows)]
    steps = list(dict.fromkeys(row["step_id"] for row in rows if row["step_id"]))
    if not known and rows and name == LAST:
        return ALL, list(rows)  # of no run that is known: what other handlers sent, say
    if not known:
        raise UsageError("the journal has no records yet")
    matches = [known[-1]] if name == LAST else _matches(name, known) or _matches(name, steps)
    if len(matches) > 1:
        raise UsageError(f"{name} may be any of {', '.join(matches[:10])}: give more of the id")
    if not matches:
        raise UsageError(f"no run or step begins with {name}: `amllog runs` lists them")
    one = matches[0]
    return one, [row for row in rows if one in (row["run"], row["step_id"])]


def is_error(row: Row) -> bool:
    """Whether a row is bad news: an exception, a log at ERROR or above, a step that failed."""
    failed = row["kind"] == "step" and not row["success"]
    return failed or row["kind"] == "exception" or level_of(row) >= ERROR


def level_of(row: Row) -> int:
    """The level of a log or an exception as logging's number; 0 for other kinds."""
    return LEVELS.get(row.get("level", ""), 0)


def where(
    rows: Iterable[Row], *, kinds: Sequence[str] = (), level: int = 0, step: str = "", contains: str = ""
) -> list[Row]:
    """The rows of these kinds, from this level on, of this step, with this text in their message or stack."""
    tests: list[Callable[[Row], bool]] = []
    if kinds:
        tests.append(lambda row: row["kind"] in kinds)
    if level:
        tests.append(lambda row: level_of(row) >= level)
    if step:
        tests.append(lambda row: step in (row["step_name"], row["step_id"]))
    if contains:
        small = contains.lower()
        tests.append(lambda row: small in f"{row.get('message', '')}\n{row.get('stack', '')}".lower())
    return [row for row in rows if all(test(row) for test in tests)]


def metrics(rows: Iterable[Row]) -> list[Row]:
    """One row per metric of a step: how many values, the first, the last, and between which they lie."""
    found: dict[tuple[str, str], list[float]] = {}
    for row in where(rows, kinds=("metric",)):
        found.setdefault((row["step_name"], row["name"]), []).append(row["value"])
    return [
        {"step_name": step, "name": name, "count": len(values), "first": values[0], "last": values[-1],
         "min": min(values), "max": max(values)}
        for (step, name), values in found.items()
    ]  # fmt: skip


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                yield line


def _content(kind: str, base: Mapping[str, Any], properties: dict[str, str]) -> Row:
    """The members that tell what a record says, taken out of `properties` where they stand there."""
    if kind == "log":
        return {"level": _level(base, properties), "message": str(base["message"])}
    if kind == "exception":
        first = base["exceptions"][0]
        own = properties.pop("message", "")
        said = {"message": own or str(first["message"]), "type": str(first.get("typeName", ""))}
        return {"level": _level(base, properties), **said, "stack": str(first.get("stack") or "")}
    if kind == "metric":
        point = base["metrics"][0] if "metrics" in base else {**base, "value": properties.pop("value")}
        step = properties.pop("step", "")
        at = int(step) if step.lstrip("-").isdigit() else None
        return {"name": str(point["name"]), "value": float(point["value"]), "step": at}
    if kind == "event":
        return {"name": str(base["name"])}
    code = str(base.get("responseCode" if kind == "step" else "resultCode", ""))
    seconds, success = _seconds(str(base.get("duration", ""))), bool(base.get("success", True))
    said = {"name": str(base["name"]), "span_id": str(base.get("id", "")), "result": "" if success else code}
    return {**said, "duration_seconds": seconds, "success": success}


def _level(base: Mapping[str, Any], properties: dict[str, str]) -> str:
    name = properties.pop("level", "")
    if name in LEVELS:
        return name
    return _SEVERITIES[min(4, max(0, int(base.get("severityLevel") or 0)))]


def _seconds(duration: str) -> float:
    match = _DURATION.fullmatch(duration)
    if match is None:
        return 0.0
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _matches(name: str, ids: Sequence[str]) -> list[str]:
    return [name] if name in ids else [one for one in ids if one.startswith(name)]


def _run(name: str, rows: Sequence[Row]) -> Row:
    steps = {row["step_id"] for row in rows}
    ended = {row["step_id"]: row["success"] for row in rows if row["kind"] == "step"}
    state = "open"  # a step is under way, or was killed: its end was not written
    if steps <= ended.keys():
        state = "done" if all(ended.values()) else "failed"
    elif not all(ended.values()):
        state = "failed"
    return {
        "run": name, "experiment_name": rows[0]["experiment_name"], "began": rows[0]["time"],
        "last": rows[-1]["time"], "state": state, "steps": len(steps), "records": len(rows),
        "errors": sum(map(is_error, rows)),
    }  # fmt: skip
