"""Between journal lines and the values of Azure ML's metric service, without azureml and without I/O.

In: lines of the journal that carry `run_metric`; azureml's metric DTOs; answers of the service.
Out: `Post` and `Call` values; data of records; what an answer means for each line.
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

PREFIX = "azureml.v1."  # of the service's names for scalar, list and table
RETRIED = {401, 408, 425, 429, 500, 502, 503, 504, 530}  # 530: Azure ML's own "node not ready"
SPLIT = {400, 409, 413, 422}  # one bad metric may be the cause
MAX_REASON = 100
_SPACE = uuid.UUID("6f1f3f0e-1f0b-5d7c-9a52-0c1b1a6f9d53")  # of metric ids made from record ids
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
    """A metric's values on their way to run `run_id` (None: the outlet's own)."""

    run_id: str | None
    type: str  # uxMetricType
    name: str
    columns: dict[str, str]
    rows: list[list[metric_values.Cell]]
    created: str
    step: int | None
    record_id: str

    def values(self) -> list[dict[str, Any]]:
        """The rows as the service's values. A record sent again carries the same ids."""
        return [
            {
                "metric_id": str(uuid.uuid5(_SPACE, f"{self.record_id}/{index}")),
                "created_utc": self.created,
                "step": self.step,
                "data": dict(zip(self.columns, row)),
            }
            for index, row in enumerate(self.rows)
        ]


class Call(NamedTuple):
    """A method to call on run `run_id` (None: the outlet's own)."""

    run_id: str | None
    method: str
    data: dict[str, Any]
    created: str
    record_id: str

    @property
    def file(self) -> str | None:
        """The copy that the call is to upload."""
        return self.data.get("file")


def decode(line: bytes) -> MetricPost | Call | None:
    """Return the request of a line to run history, or None if its shape is invalid for its method."""
    record = envelope.decode_line(line) or {}
    try:
        base = record["data"]["baseData"]
        labels = base["properties"]
        kind, run_id = labels["run_metric"], labels.get("run_id") or labels.get("step_id")
        record_id = labels.get("record_id") or uuid.uuid5(_SPACE, line.decode("utf-8", "replace")).hex
        created = record["time"]
        name, data = _content(base)
        if not _are_labels(labels, created, record_id):
            return None
        if kind == "call":
            method = name.partition(".")[2]
            return (
                Call(run_id, method, data, created, record_id)
                if line_validation.is_call(method, data)
                else None
            )
        shape = data.get("type") or PREFIX + {"row": "table"}.get(kind, kind)
        columns, rows, at = (
            data["columns"],
            data["rows"],
            line_validation.step(data.get("step", labels.get("step"))),
        )
        if not line_validation.is_metric(name, shape, columns, rows):
            return None
        return MetricPost(run_id, shape, name, columns, rows, created, at, record_id)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return None


def within_limits(post: MetricPost) -> MetricPost:
    """The post under a name that run history takes."""
    name = metric_values.short_name(post.name)
    if name == post.name:
        return post
    columns = {name if column == post.name else column: kind for column, kind in post.columns.items()}
    return post._replace(name=name, columns=columns)


def _are_labels(labels: Mapping[str, object], created: object, record_id: object) -> bool:
    """Whether what a line says of its record and its run are texts, and its time is one of ours."""
    names = ("run_metric", "run_id", "step_id", "step_name", "experiment_name")
    texts = all(line_validation.is_text_or_none(labels.get(name)) for name in names)
    return (
        texts
        and isinstance(created, str)
        and bool(TIME.fullmatch(created))
        and line_validation.is_text(record_id)
    )


def _content(base: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    if "metrics" not in base:
        data = envelope.decode_line(
            base["properties"]["run_metric_data"].encode()
        )  # strict, and not deeply nested
        if data is None:
            raise ValueError("no object of JSON")
        return base["name"], data
    name, value = base["metrics"][0]["name"], base["metrics"][0]["value"]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("no number")
    return name, {"columns": {name: "double" if isinstance(value, float) else "int"}, "rows": [[value]]}


def record_data(
    name: str,
    columns: Mapping[str, str],
    rows: Sequence[Mapping[str, Any]],
    type: str,
    step: int | None = None,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """A metric of azureml's own as (kind, data) of journal records."""
    kind = type[len(PREFIX) :] if type.startswith(PREFIX) else "table"
    plain = [[_plain(row.get(column)) for column in columns] for row in rows]
    for data in metric_values.record_data(
        metric_values.Cells({text.replace_surrogates(c): t for c, t in columns.items()}, plain)
    ):
        if kind not in ("scalar", "list") and not type.startswith(PREFIX):
            data["type"] = type
        if step is not None:
            data["step"] = step
        yield kind, data


def number(kind: str, data: Mapping[str, Any]) -> float | int | None:
    """The finite number that a scalar's data is, if it is one."""
    if kind != "scalar" or len(data["rows"]) != 1 or "type" in data:
        return None
    value = data["rows"][0][0]
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def refusals(posts: Sequence[MetricPost], errors: Sequence[Any]) -> dict[int, str]:
    """Which of the posts a reply's `errors` speak of, and why.

    The service names the metric, and its ids where it repeats the values. Of several posts of one name, those with
    other values than numbers are taken first: the count is right in any case.
    """
    refused: dict[int, str] = {}
    owners = {value["metric_id"]: index for index, post in enumerate(posts) for value in post.values()}
    for error in map(_members, errors):
        metric = _members(error.get("metric"))
        values = metric.get("value")
        ids = [str(_members(value).get("metricId")) for value in (values if isinstance(values, list) else [])]
        named = [index for index, post in enumerate(posts) if post.name == metric.get("name")]
        odd_first = sorted(named, key=lambda index: _all_numbers(posts[index]))
        candidates = [owners[one] for one in ids if one in owners] or odd_first
        index = next((index for index in candidates if index not in refused), None)
        if index is not None:
            refused[index] = reason(error.get("errorResponse"))
    return refused


def reason(response: Any, status: int | None = None) -> str:
    """An error of the service as a short reason without the data in it."""
    error = response.get("error") if isinstance(response, dict) else None
    error = error if isinstance(error, dict) else {}
    message = _DATA_IN_REASON.sub("…", str(error.get("message") or error.get("code") or "no reason given"))
    return text.truncate(f"{status or 'run history'}: {message}", MAX_REASON)


def content_type(head: bytes) -> str | None:
    """The type of an image by its first bytes; None for anything else."""
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
