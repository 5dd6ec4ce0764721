"""Decode journal lines into metric posts and run calls, without azureml and without I/O.

A line for run history has the property `run_metric`. It is the kind `scalar`, `list`, `row` or `table`, or `call` for
tags, files and child runs. A scalar is a `MetricData` envelope. The others are events whose property `run_metric_data`
contains JSON. The ids of values are made from the record id, so that a value that is sent again is recognized.

The module also converts azureml's own metrics to such data, and errors of the service to reasons.
"""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from amllog.exporters.run_metrics import line_validation, metric_values
from amllog.journal.signature import TIME
from amllog.record import envelope, text

PREFIX = "azureml.v1."  # of the types scalar, list and table in the service
RETRIED = {401, 408, 425, 429, 500, 502, 503, 504, 530}  # 530 is "node not ready" in Azure ML
SPLIT = {400, 409, 413, 422}  # one invalid metric may be the cause
MAX_REASON = 100
_NAMESPACE = uuid.UUID("6f1f3f0e-1f0b-5d7c-9a52-0c1b1a6f9d53")  # of metric ids from record ids
_DATA_IN_REASON = re.compile(r"\"[^\"]*\"|'[^']*'|\d+")
_IMAGES = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
)


class MetricPost(NamedTuple):
    """The values of one metric for the run `run_id`. None is the run of this process."""

    run_id: str | None
    type: str  # uxMetricType
    name: str
    columns: dict[str, str]
    rows: list[list[metric_values.Cell]]
    created: str
    step: int | None
    record_id: str

    def values(self) -> list[dict[str, Any]]:
        """Return the rows in the service's format. A record that is sent again has the same ids."""
        return [
            {
                "metric_id": str(uuid.uuid5(_NAMESPACE, f"{self.record_id}/{index}")),
                "created_utc": self.created,
                "step": self.step,
                "data": dict(zip(self.columns, row)),
            }
            for index, row in enumerate(self.rows)
        ]


class Call(NamedTuple):
    """A method to call on the run `run_id`. None is the run of this process."""

    run_id: str | None
    method: str
    data: dict[str, Any]
    created: str
    record_id: str

    @property
    def file(self) -> str | None:
        """The copy of the file that the call uploads."""
        return self.data.get("file")


def decode_metric_line(line: bytes) -> MetricPost | Call | None:
    """Return the post or the call of a line, or None if its data is invalid."""
    record = envelope.decode_line(line) or {}
    try:
        base = record["data"]["baseData"]
        labels = base["properties"]
        kind, run_id = labels["run_metric"], labels.get("run_id") or labels.get("step_id")
        record_id = labels.get("record_id") or uuid.uuid5(_NAMESPACE, line.decode("utf-8", "replace")).hex
        created = record["time"]
        name, data = _content(base)
        if not _are_labels(labels, created, record_id):
            return None
        if kind == "call":
            method = name.partition(".")[2]
            if not line_validation.is_call(method, data):
                return None
            return Call(run_id, method, data, created, record_id)
        metric_type = data.get("type") or PREFIX + {"row": "table"}.get(kind, kind)
        columns, rows = data["columns"], data["rows"]
        step = line_validation.parse_step(data.get("step", labels.get("step")))
        if not line_validation.is_metric(name, metric_type, columns, rows):
            return None
        return MetricPost(run_id, metric_type, name, columns, rows, created, step, record_id)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return None


def with_short_name(post: MetricPost) -> MetricPost:
    """Return the metric with a name within the limit of run history."""
    name = metric_values.short_name(post.name)
    if name == post.name:
        return post
    columns = {name if column == post.name else column: kind for column, kind in post.columns.items()}
    return post._replace(name=name, columns=columns)


def _are_labels(labels: Mapping[str, object], created: object, record_id: object) -> bool:
    """Return whether the properties that name the run are strings, and the time has our format."""
    names = ("run_metric", "run_id", "step_id", "step_name", "experiment_name")
    are_strings = all(line_validation.is_string_or_none(labels.get(name)) for name in names)
    is_time = isinstance(created, str) and bool(TIME.fullmatch(created))
    return are_strings and is_time and line_validation.is_filled_string(record_id)


def _content(base: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    if "metrics" not in base:
        # It rejects invalid JSON and deep nesting.
        data = envelope.decode_line(base["properties"]["run_metric_data"].encode())
        if data is None:
            raise ValueError("not a JSON object")
        return base["name"], data
    name, value = base["metrics"][0]["name"], base["metrics"][0]["value"]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("not a number")
    return name, {"columns": {name: "double" if isinstance(value, float) else "int"}, "rows": [[value]]}


def record_data(
    name: str,
    columns: Mapping[str, str],
    rows: Sequence[Mapping[str, Any]],
    type: str,
    step: int | None = None,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Convert a metric of azureml to (kind, data) of journal records."""
    kind = type[len(PREFIX) :] if type.startswith(PREFIX) else "table"
    plain = [[_plain(row.get(column)) for column in columns] for row in rows]
    types = {text.replace_surrogates(column): column_type for column, column_type in columns.items()}
    for data in metric_values.record_data(metric_values.Cells(types, plain)):
        if kind not in ("scalar", "list") and not type.startswith(PREFIX):
            data["type"] = type
        if step is not None:
            data["step"] = step
        yield kind, data


def rejected_posts(posts: Sequence[MetricPost], errors: Sequence[Any]) -> dict[int, str]:
    """Return the reason of each post that the `errors` of a response name, by index.

    The service names the metric, and its ids if it repeats the values. If several posts have this name, those with
    other values than numbers come first. The number of rejected posts is correct in any case.
    """
    rejected: dict[int, str] = {}
    owners = {value["metric_id"]: index for index, post in enumerate(posts) for value in post.values()}
    for error in map(_members, errors):
        metric = _members(error.get("metric"))
        values = metric.get("value")
        ids = [str(_members(value).get("metricId")) for value in (values if isinstance(values, list) else [])]
        named = [index for index, post in enumerate(posts) if post.name == metric.get("name")]
        likely_first = sorted(named, key=lambda index: _all_numbers(posts[index]))
        candidates = [owners[metric_id] for metric_id in ids if metric_id in owners] or likely_first
        index = next((index for index in candidates if index not in rejected), None)
        if index is not None:
            rejected[index] = error_reason(error.get("errorResponse"))
    return rejected


def error_reason(response: Any, status: int | None = None) -> str:
    """Return an error of the service as a short reason, without the data in it."""
    error = response.get("error") if isinstance(response, dict) else None
    error = error if isinstance(error, dict) else {}
    message = _DATA_IN_REASON.sub("…", str(error.get("message") or error.get("code") or "no reason given"))
    return text.truncate(f"{status or 'run history'}: {message}", MAX_REASON)


def image_type(head: bytes) -> str | None:
    """Return the media type of an image by its first bytes, or None for any other content."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _IMAGES if head.startswith(magic)), None)


def _members(value: Any) -> dict[str, Any]:
    """Return the members of a JSON object, or none for any other value."""
    return value if isinstance(value, dict) else {}


def _plain(value: Any) -> metric_values.Cell:
    number = text.to_number(value)
    if isinstance(number, float) and not math.isfinite(number):
        return text.to_text(number)
    if isinstance(number, int) and not isinstance(number, bool) and number.bit_length() > 63:
        return text.to_text(number)
    if number is not None or value is None:
        return number
    return text.replace_surrogates(text.to_text(value))


def _all_numbers(post: MetricPost) -> bool:
    return all(isinstance(cell, (int, float)) for row in post.rows for cell in row)
