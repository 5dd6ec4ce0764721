"""Validate the data of a journal line for its method, because another program may have changed or forged the line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from amllog.exporters.run_metrics import metric_values
from amllog.journal import artifact_copies

DOCUMENTS = ("log_confusion_matrix", "log_accuracy_table", "log_residuals", "log_predictions")
UPLOADS = frozenset(("upload_file", "log_image", *DOCUMENTS))
MAX_COLUMNS = 1_000


def is_call(method: str, data: object) -> bool:
    """Return whether a call has the arguments of its method. Only uploads have a file, and it must be our copy."""
    if not isinstance(data, dict) or ("file" in data) != (method in UPLOADS):
        return False
    members = _UPLOAD if method in UPLOADS else _MEMBERS.get(method, {})
    return all(fits(data.get(name)) for name, fits in members.items())


def is_metric(name: object, kind: object, columns: object, rows: object) -> bool:
    """Return whether a metric has a name, typed columns, and rows with one cell per column."""
    if (
        not is_filled_string(name)
        or not is_filled_string(kind)
        or not isinstance(columns, dict)
        or not isinstance(rows, list)
    ):
        return False
    if not 0 < len(columns) <= MAX_COLUMNS or not 0 < len(rows) <= metric_values.MAX_ROWS:
        return False
    return all(map(is_filled_string, columns.values())) and all(_is_row(row, len(columns)) for row in rows)


def is_filled_string(value: object) -> bool:
    """Return whether a value is a string that is not empty."""
    return isinstance(value, str) and value != ""


def is_string_or_none(value: object) -> bool:
    """Return whether a value is a string or None."""
    return value is None or isinstance(value, str)


def parse_step(value: object) -> int | None:
    """Return a step that is a number or its digits. Raises ValueError for anything else."""
    if value is None:
        return None
    if isinstance(value, str) and len(value) <= 20:
        value = int(value)
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise ValueError("a step is a whole number of at most 64 bits")
    return value


def _is_row(row: object, length: int) -> bool:
    return isinstance(row, list) and len(row) == length and all(map(_is_scalar, row))


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, (str, int, float))  # a bool is an int


def _is_string(value: object) -> bool:
    return isinstance(value, str)


def _is_list_of_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_labels(value: object) -> bool:
    return isinstance(value, dict) and all(map(is_string_or_none, value.values()))


_Members = Mapping[str, Callable[[Any], bool]]
_UPLOAD: _Members = {
    "file": artifact_copies.is_copy_name,
    "artifact": is_filled_string,
    "name": is_filled_string,
    "datastore_name": _is_scalar,
}
_MEMBERS: Mapping[str, _Members] = {
    "set_tags": {"tags": _is_labels},
    "remove_tags": {"tags": _is_list_of_strings},
    "add_properties": {"properties": _is_labels},
    "display_name": {"value": _is_string},
    "description": {"value": _is_string},
    "child_run": {"child": is_filled_string, "name": _is_scalar},
    "fail": {"error_details": is_string_or_none, "error_code": _is_scalar},
    "end": {"status": is_filled_string},
}
