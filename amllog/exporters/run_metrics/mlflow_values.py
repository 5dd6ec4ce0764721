"""Convert metric posts to MLflow's numbers, tags and documents, and its errors to verdicts, without I/O.

The mapping follows Microsoft's guide from azureml's `Run` to MLflow, except that strings become tags instead of one
file each. Rows without a step are numbered, because MLflow has no lists.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, NamedTuple

from amllog.delivery.exporter import Verdict, refused, waiting
from amllog.exporters.run_metrics.metric_lines import PREFIX, MetricPost
from amllog.journal.artifact_copies import CopyBusy
from amllog.record import text

MAX_KEY = 250
MAX_TAG = 5_000  # the limit of older servers. Newer ones accept 8,000.
MAX_METRICS = 1_000  # of one request
MAX_TAGS = 100
STEP_TAG = "amllog.step_id"  # on runs that amllog creates: the step of their metrics
# Errors of the line itself. Every other code may be temporary (a server error, a token, a quota).
REFUSALS = {
    "INVALID_PARAMETER_VALUE",
    "BAD_REQUEST",
    "MALFORMED_REQUEST",
    "INVALID_STATE",
    "RESOURCE_DOES_NOT_EXIST",
    "RESOURCE_ALREADY_EXISTS",
    "UserError",
}
ABSENT = "RESOURCE_DOES_NOT_EXIST"
_NUMERIC = ("int", "double", "bool")  # types of columns
_NETWORK_ERRORS = {
    "Connection refused": "connection refused",
    "timed out": "timeout",
    "timeout": "timeout",
    "resolve": "host not found",
}


class Number(NamedTuple):
    """One value of one metric."""

    key: str
    value: float
    step: int


class Entries(NamedTuple):
    """The numbers, tags and document of one post."""

    numbers: list[Number]
    tags: dict[str, str]
    document: tuple[str, dict[str, Any]] | None  # artifact path and content


def safe_key(name: str) -> str:
    """Return a valid name of a metric or a tag. Other characters and path separators become underscores."""
    safe = re.sub(r"[^/\w.\- :]", "_", name)[:MAX_KEY]
    if posixpath.normpath(safe) != safe or safe.startswith((".", "/")):
        safe = safe.replace("/", "_").lstrip(".") or "_"
    return safe


def tag_value(value: object) -> str:
    """Return the value of a tag as a string within the limit."""
    return "" if value is None else text.truncate(text.to_text(value), MAX_TAG)


def artifact_path(name: str) -> str:
    """Return a path below the artifacts of the run."""
    return "/".join(part for part in name.split("/") if part not in ("", ".", "..")) or "file"


def milliseconds(created: str) -> int:
    """Return the time of a record in milliseconds since the epoch."""
    when = datetime.strptime(created.rstrip("Z"), "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=timezone.utc)
    return int(when.timestamp() * 1000)


def has_document(post: MetricPost) -> bool:
    """Return whether a post needs a JSON document, which only the artifact store accepts."""
    return not _is_numeric(post) and not (
        post.columns.keys() == {post.name} and post.type == PREFIX + "scalar"
    )


def to_entries(post: MetricPost, first_step: int) -> Entries:
    """Return numbers with the key `name` or `name.column`, a tag for a string, and a document for a table with strings.

    `first_step`: of the first row, if the post has no step.
    """
    numeric = [column for column, kind in enumerate(post.columns.values()) if kind in _NUMERIC]
    single = len(post.columns) == 1 and post.name in post.columns
    names = [post.name if single else f"{post.name}.{column}" for column in post.columns]
    start = first_step if post.step is None else post.step
    numbers = [
        Number(safe_key(names[column]), _number(row[column]), start + index)
        for index, row in enumerate(post.rows)
        for column in numeric
    ]
    if _is_numeric(post):
        return Entries(numbers, {}, None)
    if not has_document(post):
        return Entries(numbers, {safe_key(post.name): tag_value(post.rows[-1][0])}, None)
    content = {"name": post.name, "type": post.type, "columns": post.columns, "rows": post.rows}
    return Entries(numbers, {}, (f"{artifact_path(safe_key(post.name))}/{post.record_id}.json", content))


def verdict_of(error: BaseException) -> Verdict:
    """Return the verdict of a line after an error of mlflow, the network or a file."""
    kind, code = type(error).__name__, error_code(error)
    if code is None:
        if isinstance(error, CopyBusy):
            return waiting(str(error))
        is_line_error = isinstance(
            error, (FileNotFoundError, LookupError, AttributeError, ArithmeticError, TypeError, ValueError)
        )
        # The page of a proxy instead of JSON is a ValueError, too.
        if is_line_error and not kind.endswith("DecodeError"):
            return refused(f"mlflow: {kind}: {text.truncate(str(error), 60)}")
        return waiting(f"mlflow: {kind}")
    if code in REFUSALS:
        return refused(f"mlflow: {code}")
    reason = next((reason for part, reason in _NETWORK_ERRORS.items() if part in str(error)), code)
    return waiting(f"mlflow: {reason}")


def error_code(error: BaseException) -> str | None:
    """Return the code of an MlflowException, or the code of Azure ML if the response has Azure's format."""
    body = getattr(error, "json", None)
    inner = body.get("error") if isinstance(body, Mapping) else None
    azure_code = inner.get("code") if isinstance(inner, Mapping) else None
    code = azure_code or getattr(error, "error_code", None)
    return None if code is None else str(code)


def _is_numeric(post: MetricPost) -> bool:
    return all(kind in _NUMERIC for kind in post.columns.values())


def _number(cell: Any) -> float:
    return float("nan" if cell is None else cell)
