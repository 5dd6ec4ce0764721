"""Between the values of run metrics and MLflow's, without mlflow and without I/O.

In: `Post` values of the journal, names, an error's code and text. Out: what MLflow takes: numbers under keys with
steps, tags, JSON documents; the verdict that an error means. The mapping is that of Microsoft's guide from azureml's
`Run` to MLflow, but for texts: they become tags instead of a file each.
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
MAX_TAG = 5_000  # older servers' limit; newer ones take 8,000
MAX_METRICS = 1_000  # of one request
MAX_TAGS = 100
STEP_TAG = "amllog.step_id"  # on runs that amllog makes: whose metrics they hold
# The line itself is to blame; every other code may pass (a server's trouble, a token, a quota).
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
_SIGNS = {
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


class Wish(NamedTuple):
    """What a post asks of MLflow."""

    numbers: list[Number]
    tags: dict[str, str]
    document: tuple[str, dict[str, Any]] | None  # artifact path and content


def key(name: str) -> str:
    """A name as MLflow takes it for a metric or a tag: other signs and odd paths become underscores."""
    safe = re.sub(r"[^/\w.\- :]", "_", name)[:MAX_KEY]
    if posixpath.normpath(safe) != safe or safe.startswith((".", "/")):
        safe = safe.replace("/", "_").lstrip(".") or "_"
    return safe


def tag(value: object) -> str:
    """A tag's value."""
    return "" if value is None else text.truncate(text.to_text(value), MAX_TAG)


def artifact_path(name: str) -> str:
    """A path below the run's artifacts."""
    return "/".join(part for part in name.split("/") if part not in ("", ".", "..")) or "file"


def millis(created: str) -> int:
    """A record's time in milliseconds since the epoch."""
    when = datetime.strptime(created.rstrip("Z"), "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=timezone.utc)
    return int(when.timestamp() * 1000)


def has_document(post: MetricPost) -> bool:
    """Whether a post needs a JSON document, which only the store of artifacts takes."""
    return not _is_numeric(post) and not (
        post.columns.keys() == {post.name} and post.type == PREFIX + "scalar"
    )


def wish(post: MetricPost, first: int) -> Wish:
    """Numbers under `name` or `name.column`, a text scalar as a tag, a table with texts as a document besides.

    `first`: the step of the first row where the post has none.
    """
    numeric = [at for at, kind in enumerate(post.columns.values()) if kind in _NUMERIC]
    single = len(post.columns) == 1 and post.name in post.columns
    names = [post.name if single else f"{post.name}.{column}" for column in post.columns]
    start = first if post.step is None else post.step
    numbers = [
        Number(key(names[at]), _number(row[at]), start + index)
        for index, row in enumerate(post.rows)
        for at in numeric
    ]
    if _is_numeric(post):
        return Wish(numbers, {}, None)
    if not has_document(post):
        return Wish(numbers, {key(post.name): tag(post.rows[-1][0])}, None)
    content = {"name": post.name, "type": post.type, "columns": post.columns, "rows": post.rows}
    return Wish(numbers, {}, (f"{artifact_path(key(post.name))}/{post.record_id}.json", content))


def verdict(error: BaseException) -> Verdict:
    """What an error of mlflow's, or of the work on a line, means for the line."""
    kind, code = type(error).__name__, code_of(error)
    if code is None:
        if isinstance(error, CopyBusy):
            return waiting(str(error))
        own = isinstance(
            error, (FileNotFoundError, LookupError, AttributeError, ArithmeticError, TypeError, ValueError)
        )
        ours = own and not kind.endswith(
            "DecodeError"
        )  # the page of a proxy instead of JSON is a ValueError, too
        return (
            refused(f"mlflow: {kind}: {text.truncate(str(error), 60)}")
            if ours
            else waiting(f"mlflow: {kind}")
        )
    if code in REFUSALS:
        return refused(f"mlflow: {code}")
    sign = next((reason for sign, reason in _SIGNS.items() if sign in str(error)), code)
    return waiting(f"mlflow: {sign}")


def code_of(error: BaseException) -> str | None:
    """The code of an MlflowException; Azure ML's own code where it answers in Azure's form."""
    body = getattr(error, "json", None)
    inner = body.get("error") if isinstance(body, Mapping) else None
    azures = inner.get("code") if isinstance(inner, Mapping) else None
    code = azures or getattr(error, "error_code", None)
    return None if code is None else str(code)


def _is_numeric(post: MetricPost) -> bool:
    return all(kind in _NUMERIC for kind in post.columns.values())


def _number(cell: Any) -> float:
    return float("nan" if cell is None else cell)
