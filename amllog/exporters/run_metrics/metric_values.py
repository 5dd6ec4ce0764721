"""Convert metric values to the typed columns of run history, and split them into records within its limits.

The values are the arguments of `log`, `log_list`, `log_row`, `log_table`, `tag` and similar methods. The records are
strict JSON. A value that cannot be a metric raises `MetricError`.

The columns of run history have a type (int, double, string, bool, none), and azureml's reader calls `float()` on every
cell of a double column. So NaN, infinities and missing values are there the strings "NaN", "Infinity" and "-Infinity",
which are strict JSON and are read back as the same number. A column with any string is a string column.

Limits: learn.microsoft.com/azure/machine-learning/resource-limits-capacity.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from types import GeneratorType
from typing import Any, NamedTuple, Union

from amllog.errors import MetricError, warn
from amllog.record import stacktrace, text
from amllog.record.redaction import Redactor, describe_value

MAX_NAME = 50
MAX_LONG_NAME = 150  # the limit of Application Insights
MAX_COLUMNS = 15
MAX_CELL = 255  # characters of a cell or of the name of a column
MAX_ROWS = 250  # of one record, which is the limit of the service for one batch
MAX_DATA = 8_000  # characters of JSON in one record
MAX_TAG_KEY = 100
MAX_TAG_VALUE = 1_000
MAX_ERROR = 3_000  # characters of the error message of a run
# Masks secrets by their format, before a string is truncated. The recorder masks those that the session knows.
_REDACTOR = Redactor()

Cell = Union[str, bool, int, float, None]


class Cells(NamedTuple):
    """The values of a metric: the types of the columns by name, and the rows."""

    columns: dict[str, str]
    rows: list[list[Cell]]


def metric_name(name: object) -> str:
    """Return the name of a metric without surrounding blanks, because azureml cannot read those."""
    stripped = text.replace_surrogates(name.strip()) if isinstance(name, str) else ""
    if not stripped:
        raise MetricError(f"a metric needs a name, got {describe_value(name)}")
    if len(stripped) > MAX_NAME:
        # A warning, not an error, because a long name at the end of a training must not lose its result.
        short = short_name(_REDACTOR.mask_key(stripped)[0])
        warn(f"metric name longer than {MAX_NAME} characters: run history will show {describe_value(short)}")
    return text.truncate(stripped, MAX_LONG_NAME)


def short_name(name: str) -> str:
    """Return a name within the limit of run history. A longer name becomes its beginning with a digest."""
    if len(name) <= MAX_NAME:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{name[: MAX_NAME - 9]}~{digest}"


def step_number(step: object) -> int | None:
    """Return a step as an int. Any number is a valid step, as in azureml."""
    if step is None:
        return None
    value = text.to_number(step)
    if value is None or not -(2**63) <= value < 2**63:  # also for NaN and infinities
        raise MetricError(f"a step is a whole number of at most 64 bits, got {describe_value(step)}")
    return int(value)


def from_scalar(name: str, value: object) -> Cells:
    """Return one value as cells. Lists raise MetricError as in azureml, and other objects become strings."""
    if isinstance(value, (list, range, GeneratorType)):
        kind = type(value).__name__
        raise MetricError(f"{name}: log takes one value, got a {kind} (for many values: log_list)")
    return table({name: [value]}, nested=True)


def from_list(name: str, values: object) -> Cells:
    """Return many values of one metric as cells."""
    return table({name: _column(name, values)})


def from_row(values: Mapping[str, object]) -> Cells:
    """Return one row as cells. A list in it raises MetricError as in azureml."""
    return table({key: [value] for key, value in values.items()})


def from_table(name: str, values: object) -> Cells:
    """Return a table from a mapping of columns. A column that is not a list has one value."""
    if not isinstance(values, Mapping):
        raise MetricError(f"{name}: log_table takes a dict of columns, got {type(values).__name__}")
    return table(
        {text.to_text(key): _column(name, column, allow_scalar=True) for key, column in values.items()}
    )


def table(columns: Mapping[str, Sequence[object]], nested: bool = False) -> Cells:
    """Return columns of equal length as typed cells. `nested`: containers become strings instead of an error."""
    lengths = {key: len(column) for key, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise MetricError(f"the columns of a table must be equally long: {lengths}")
    if len(columns) > MAX_COLUMNS:
        raise MetricError(f"a metric has at most {MAX_COLUMNS} columns, got {len(columns)}")
    typed = {
        _column_name(key): _typed([_cell(key, v, nested) for v in column]) for key, column in columns.items()
    }
    rows = [list(cells) for cells in zip(*(cells for _, cells in typed.values()))]
    return Cells({key: kind for key, (kind, _) in typed.items()}, rows)


def record_data(cells: Cells) -> Iterator[dict[str, Any]]:
    """Return the data of journal records, each with at most 250 rows and 8,000 characters of JSON."""
    head = json_length({"columns": cells.columns, "rows": []}) + len(', "step": ') + 20
    batch: list[list[Cell]] = []
    length = head
    for cells_of_row in cells.rows:
        row, size = _truncate_row(cells_of_row, MAX_DATA - head)
        if batch and (len(batch) == MAX_ROWS or length + size > MAX_DATA):
            yield {"columns": cells.columns, "rows": batch}
            batch, length = [], head
        batch.append(row)
        length += size
    if batch:
        yield {"columns": cells.columns, "rows": batch}


def label_groups(values: Mapping[Any, object]) -> Iterator[dict[str, str | None]]:
    """Return tags or properties in groups that fit a record. A tag without a value is None."""
    if not isinstance(values, Mapping):
        raise MetricError(f"tags and properties are a dict, got {type(values).__name__}")
    group: dict[str, str | None] = {}
    for key, value in values.items():
        name = text.replace_surrogates(text.to_text(key))
        if key is None or not name or len(name) > MAX_TAG_KEY:
            raise MetricError(
                f"a tag's or property's key has 1 to {MAX_TAG_KEY} characters, got {describe_value(name)}"
            )
        label = None if value is None else _masked(value, MAX_TAG_VALUE)
        if group and json_length({**group, name: label}) > MAX_DATA - 200:
            yield group
            group = {}
        group[name] = label
    if group:
        yield group


def error_message(details: object) -> str | None:
    """Return an exception with its stack, or any other description of an error, as the error message of a run."""
    if isinstance(details, BaseException):
        return text.replace_surrogates(stacktrace.format_exception(details, _REDACTOR, MAX_ERROR))
    if details is None:
        return None
    return _REDACTOR.mask_and_truncate_middle(text.replace_surrogates(text.to_text(details)), MAX_ERROR)


def json_length(value: object) -> int:
    """Return the number of characters of the JSON, with a blank after each comma and colon."""
    return len(json.dumps(value, ensure_ascii=False))


def _column(name: str, values: Any, allow_scalar: bool = False) -> list[object]:
    if hasattr(values, "tolist"):  # numpy and pandas convert their numbers exactly, also int64
        values = values.tolist()
    elif not isinstance(values, (str, bytes, Mapping)) and isinstance(values, Iterable):
        values = list(values)
    if isinstance(values, list):
        return values
    if allow_scalar:
        return [values]
    raise MetricError(f"{name}: log_list takes a list, got {type(values).__name__}")


def _column_name(key: object) -> str:
    name = text.replace_surrogates(text.to_text(key))
    if not name or len(name) > MAX_CELL:
        raise MetricError(f"a column's name has 1 to {MAX_CELL} characters, got {describe_value(name)}")
    return name


def _cell(column: str, value: object, nested: bool) -> Cell:
    if value is None:
        return None
    number = text.to_number(value)
    if isinstance(number, int) and not isinstance(number, bool) and number.bit_length() > 63:
        return float(number) if number.bit_length() < 1024 else text.truncate(text.to_text(number), MAX_CELL)
    if number is not None:
        return number
    if not nested and isinstance(value, (list, tuple, Mapping, Set)):
        raise MetricError(f"{column}: a cell is one value, got a {type(value).__name__}")
    return _masked(value, MAX_CELL)


def _masked(value: object, limit: int) -> str:
    return _REDACTOR.mask_and_truncate(text.replace_surrogates(_REDACTOR.to_text(value)), limit)


def _typed(cells: list[Cell]) -> tuple[str, list[Cell]]:
    kinds = {type(cell) for cell in cells} - {type(None)}
    if not kinds:
        return "none", cells
    if str in kinds:
        return "string", [None if cell is None else text.to_text(cell) for cell in cells]
    if kinds == {bool}:
        return "bool", cells
    if float not in kinds:
        return "int", [None if cell is None else int(cell) for cell in cells]
    return "double", [_double(cell) for cell in cells]


def _double(cell: Any) -> Cell:
    value = math.nan if cell is None else float(cell)
    return value if math.isfinite(value) else text.to_text(value)


def _truncate_row(cells: list[Cell], limit: int) -> tuple[list[Cell], int]:
    """Truncate the longest strings of a row until its JSON fits the limit. Return the row and its length."""
    while (size := json_length(cells) + 2) > limit:
        longest = max(cells, key=lambda cell: len(cell) if isinstance(cell, str) else 0)
        if not isinstance(longest, str) or len(longest) < 2:
            raise MetricError("the names of the columns are too long for one record")
        cells = [text.truncate(longest, len(longest) // 2) if cell is longest else cell for cell in cells]
    return cells, size
