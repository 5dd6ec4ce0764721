"""Values of metrics → typed cells of run history, within its documented limits.

In: what a caller hands to `log`, `log_list`, `log_row`, `log_table`, `tag` and the like. Out: plain data of strict
JSON, cut into records; `MetricError` for what cannot be a metric.

Run history's columns are typed (int, double, string, bool, none), and azureml's reader calls `float()` on every cell
of a double column. So there NaN, infinities and missing values are the texts "NaN", "Infinity", "-Infinity": strict
JSON which reads back as the number it was. A column with any text is a string column.
Limits: learn.microsoft.com/azure/machine-learning/resource-limits-capacity.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from types import GeneratorType
from typing import Any, NamedTuple, Union

from amllog.errors import MetricError, warn
from amllog.process import interrupts
from amllog.record import stacktrace, text
from amllog.record.redaction import Redactor, describe_value

MAX_NAME = 50
MAX_LONG_NAME = 150  # what Application Insights takes
MAX_COLUMNS = 15
MAX_CELL = 255  # characters of a cell's text, and of a column's name
MAX_ROWS = 250  # of one record: what the service takes in one batch
MAX_DATA = 8_000  # characters of one record's JSON
MAX_TAG_KEY = 100
MAX_TAG_VALUE = 1_000
MAX_ERROR = 3_000  # characters of a run's error message
_BY_SHAPE = Redactor()  # before a text is cut; what else the session knows to be secret, the gate masks

Cell = Union[str, bool, int, float, None]


class Cells(NamedTuple):
    """A metric's values: the columns' types by name, and the rows."""

    columns: dict[str, str]
    rows: list[list[Cell]]


def metric_name(name: object) -> str:
    """A metric's name without surrounding blanks, on which azureml's own reader breaks."""
    stripped = text.replace_surrogates(name.strip()) if isinstance(name, str) else ""
    if not stripped:
        raise MetricError(f"a metric needs a name, got {describe_value(name)}")
    if len(stripped) > MAX_NAME:
        # Told, not raised: a long name at the end of a training must not cost its result.
        short = short_name(_BY_SHAPE.mask_key(stripped)[0])
        given, stored = describe_value(stripped), describe_value(short)
        warn(f"run history takes {MAX_NAME} characters of a metric's name: {given} is {stored} there")
    return text.truncate(stripped, MAX_LONG_NAME)


def short_name(name: str) -> str:
    """A name as run history takes it: a longer one by its beginning and a digest, so that no two become one."""
    if len(name) <= MAX_NAME:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{name[: MAX_NAME - 9]}~{digest}"


def step_number(step: object) -> int | None:
    """A step as azureml takes it: anything that is a number, as an int."""
    if step is None:
        return None
    value = text.to_number(step)
    if value is None or not -(2**63) <= value < 2**63:  # NaN and infinities are not either
        raise MetricError(f"a step is a whole number of at most 64 bits, got {describe_value(step)}")
    return int(value)


def from_scalar(name: str, value: object) -> Cells:
    """One value; lists are refused as azureml does, other objects become text."""
    if isinstance(value, (list, range, GeneratorType)):
        raise MetricError(f"{name}: log takes one value, got a {type(value).__name__}; log_list takes many")
    return table({name: [value]}, nested=True)


def from_list(name: str, values: object) -> Cells:
    """Many values of one metric."""
    return table({name: _column(name, values)})


def from_row(values: Mapping[str, object]) -> Cells:
    """One row; a list in it is refused as azureml does."""
    return table({key: [value] for key, value in values.items()})


def from_table(name: str, values: object) -> Cells:
    """A table from a mapping of columns; a column that is no list has one value."""
    if not isinstance(values, Mapping):
        raise MetricError(f"{name}: log_table takes a dict of columns, got {type(values).__name__}")
    return table({text.to_text(key): _column(name, column, one=True) for key, column in values.items()})


def table(columns: Mapping[str, Sequence[object]], nested: bool = False) -> Cells:
    """Columns of equal length as typed cells; `nested`: containers become text instead of an error."""
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
    """The cells as data of journal records, each with at most 250 rows and 8,000 characters of JSON."""
    head = json_length({"columns": cells.columns, "rows": []}) + len(', "step": ') + 20
    batch: list[list[Cell]] = []
    length = head
    for cells_of_row in cells.rows:
        fitting, size = _fitting(cells_of_row, MAX_DATA - head)
        if batch and (len(batch) == MAX_ROWS or length + size > MAX_DATA):
            yield {"columns": cells.columns, "rows": batch}
            batch, length = [], head
        batch.append(fitting)
        length += size
    if batch:
        yield {"columns": cells.columns, "rows": batch}


def label_groups(values: Mapping[Any, object]) -> Iterator[dict[str, str | None]]:
    """Tags or properties within the limits, in groups that fit a record; None stays: a tag without a value."""
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


def json_document(name: str, value: object) -> bytes:
    """A confusion matrix or the like, given as dict or JSON text, as strict JSON."""
    if isinstance(value, (str, bytes)):
        try:
            value = json.loads(value)
        except ValueError as error:
            interrupts.pass_on(error)
            raise MetricError(f"{name}: the text is no JSON: {error}") from error
    if not isinstance(value, Mapping):
        raise MetricError(f"{name}: takes a dict or its JSON text, got {type(value).__name__}")
    return json.dumps(_strict(value), ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")


def png_image(name: str, plot: Any) -> bytes:
    """A matplotlib figure (or pyplot) as PNG."""
    if not hasattr(plot, "savefig"):
        raise MetricError(f"{name}: log_image's plot is a matplotlib figure, got {type(plot).__name__}")
    picture = io.BytesIO()
    plot.savefig(picture, format="png")
    return picture.getvalue()


def error_message(details: object) -> str | None:
    """An exception with its stack, or any other account of an error, as a run's error message."""
    if isinstance(details, BaseException):
        return text.replace_surrogates(stacktrace.format_exception(details, _BY_SHAPE, MAX_ERROR))
    return (
        None
        if details is None
        else _BY_SHAPE.mask_and_truncate_middle(text.replace_surrogates(text.to_text(details)), MAX_ERROR)
    )


def json_length(value: object) -> int:
    """Characters of the value's JSON in the widest usual writing."""
    return len(json.dumps(value, ensure_ascii=False))


def _column(name: str, values: Any, one: bool = False) -> list[object]:
    if hasattr(values, "tolist"):  # numpy, pandas: their numbers as Python's, exactly, also int64
        values = values.tolist()
    elif not isinstance(values, (str, bytes, Mapping)) and isinstance(values, Iterable):
        values = list(values)
    if isinstance(values, list):
        return values
    if one:
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
    return _BY_SHAPE.mask_and_truncate(text.replace_surrogates(_BY_SHAPE.to_text(value)), limit)


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


def _fitting(cells: list[Cell], room: int) -> tuple[list[Cell], int]:
    """The row, its longest texts cut until its JSON fits into `room` characters, and the length it takes."""
    while (size := json_length(cells) + 2) > room:
        longest = max(cells, key=lambda cell: len(cell) if isinstance(cell, str) else 0)
        if not isinstance(longest, str) or len(longest) < 2:
            raise MetricError("the names of the columns are too long for one record")
        cells = [text.truncate(longest, len(longest) // 2) if cell is longest else cell for cell in cells]
    return cells, size


def _strict(value: Any) -> object:
    """Plain JSON of any depth; numpy arrays become lists, what is no finite number null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {text.to_text(key): _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, Set)):
        return [_strict(item) for item in value]
    if (number := text.to_number(value)) is not None:
        return number if math.isfinite(number) else None
    return None if value is None else text.to_text(value)
