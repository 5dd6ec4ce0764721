"""What a question gets for an answer: rows with named columns, and what must be said about them.

In: rows of any engine with the columns' types. Out: a `Table`, the same whichever engine it came from: times aware
and UTC, texts never None, numbers as numbers.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from amllog.errors import MissingExtraError
from amllog.insights.query import cell_types
from amllog.insights.query.query_texts import QueryTexts
from amllog.record.text import escape_controls

if TYPE_CHECKING:
    import pandas
    import pyarrow

Row = dict[str, Any]

MAX_ROWS_SHOWN = 40  # rows in repr and HTML: the rest is told as a number
MAX_LINES_SHOWN = 1000  # of a text in a notebook
_PANDAS_TYPES: dict[str, type] = {
    "text": str,
    "stack": str,
    "bool": bool,
}  # what pandas sees in rows, and not in none
MAX_CELL_CHARACTERS = 60  # characters of a cell in repr and HTML; the rest is marked


@dataclass(frozen=True)
class Column:
    """A column's name and type: one of time, text, int, real, bool, dimensions, stack, any."""

    name: str
    type: str = "any"


@dataclass(frozen=True, repr=False)
class Table:
    """Rows as dicts in the order that was asked for; `notes` tell what the rows alone do not.

    `texts` are the query as KQL, SQL and link. They are no part of a comparison of tables.
    """

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    texts: QueryTexts = field(default_factory=QueryTexts, compare=False)

    @classmethod
    def of(cls, columns: Sequence[Column], rows: Iterable[Sequence[Any]], **said: Any) -> Table:
        """A table from rows as sequences, each value brought to its column's type."""
        names, kinds = [c.name for c in columns], [cell_types.CONVERTERS[c.type] for c in columns]
        made = tuple({n: kind(value) for n, kind, value in zip(names, kinds, row)} for row in rows)
        return cls(tuple(columns), made, **said)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __bool__(self) -> bool:
        return bool(self.rows)

    def __getitem__(self, index: int) -> Row:
        return self.rows[index]

    def __int__(self) -> int:
        """The only value of a table of one row and one column: a count."""
        return int(self.value)

    @property
    def kql(self) -> str:
        """The query in KQL for the tables of an Application Insights resource. "" if there is no query."""
        return self.texts.kql

    @property
    def kql_workspace(self) -> str:
        """The query in KQL for the tables of a Log Analytics workspace. "" for free KQL."""
        return self.texts.kql_workspace

    @property
    def sql(self) -> str:
        """The query in SQL for DuckDB. "" for answers of other stores and of free KQL."""
        return self.texts.sql

    @property
    def portal_link(self) -> str | None:
        """A link to the portal's Logs with the KQL of this table. None if no resource is known (AMLLOG_RESOURCE_ID, or
        `connect(resource_id=…)`)."""
        return self.texts.portal_link

    @property
    def value(self) -> Any:
        """The only value of a table of one row and one column. ValueError for any other table."""
        if len(self.rows) != 1 or len(self.columns) != 1:
            raise ValueError(f"{len(self.rows)} rows of {len(self.columns)} columns are no single value")
        return self.rows[0][self.columns[0].name]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.name for column in self.columns)

    def noting(self, *notes: str) -> Table:
        """The same table with more notes."""
        return replace(self, notes=(*self.notes, *notes))

    def to_dicts(self) -> list[Row]:
        """The rows as a list of dicts."""
        return [dict(row) for row in self.rows]

    def to_json(self, *, indent: int | None = None) -> str:
        """The rows as a JSON array: times as ISO 8601 with Z, what JSON has no number for as its name."""
        rows = [{name: _json_value(value) for name, value in row.items()} for row in self.rows]
        return json.dumps(rows, ensure_ascii=False, indent=indent, default=str)

    def to_pandas(self) -> pandas.DataFrame:
        """The rows as a pandas DataFrame; times are `datetime64[us, UTC]`."""
        try:
            import pandas as pd
        except ImportError:
            raise MissingExtraError("pandas", "insights") from None
        frame = pd.DataFrame.from_records(self.to_dicts(), columns=list(self.names))
        for column in self.columns:
            if column.type == "time":
                frame[column.name] = pd.to_datetime(frame[column.name], utc=True).astype(
                    "datetime64[us, UTC]"
                )
            elif column.type == "int":
                frame[column.name] = frame[column.name].astype("Int64")
            elif column.type == "real":
                frame[column.name] = frame[column.name].astype(float)
            elif not self.rows and column.type in _PANDAS_TYPES:
                frame[column.name] = frame[column.name].astype(_PANDAS_TYPES[column.type])
        return frame

    def to_arrow(self) -> pyarrow.Table:
        """The rows as a pyarrow Table; dimensions as a map from text to text."""
        try:
            import pyarrow as pa
        except ImportError:
            raise MissingExtraError("pyarrow", "insights") from None
        types = {
            "time": pa.timestamp("us", "UTC"), "text": pa.string(), "stack": pa.string(), "int": pa.int64(),
            "real": pa.float64(), "bool": pa.bool_(), "dimensions": pa.map_(pa.string(), pa.string()),
        }  # fmt: skip
        arrays = {
            c.name: pa.array([_arrow_value(row[c.name]) for row in self.rows], types.get(c.type))
            for c in self.columns
        }
        return pa.table(arrays)

    def pivot(self, index: str, columns: str, values: str) -> Table:
        """One row per value of `index`, one column per value of `columns`: the last of `values` that met there."""
        names: dict[str, None] = dict.fromkeys(str(row[columns]) for row in self.rows)
        found: dict[Any, Row] = {}
        for row in self.rows:
            known = found.setdefault(row[index], {index: row[index], **dict.fromkeys(names)})
            known[str(row[columns])] = row[values]
        types = {column.name: column.type for column in self.columns}
        head = (Column(index, types[index]), *(Column(name, types[values]) for name in names))
        return replace(self, columns=head, rows=tuple(found.values()))

    def __repr__(self) -> str:
        names = tuple(map(escape_controls, self.names))
        lines = [[_cell_text(row[name]) for name in self.names] for row in self.rows[:MAX_ROWS_SHOWN]]
        widths = [max(map(len, column)) for column in zip(names, *lines)]
        text = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
            for line in (names, *lines)
        ]
        return "\n".join([*text, *(f"({note})" for note in self._told())])

    def _repr_html_(self) -> str:
        """What notebooks show."""
        rows = [_html_row(map(escape_controls, self.names), "th")]
        rows += [
            _html_row([_cell_text(row[name]) for name in self.names], "td")
            for row in self.rows[:MAX_ROWS_SHOWN]
        ]
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self._told())
        return f"<table>{''.join(rows)}</table>{notes}"

    def _told(self) -> list[str]:
        """The notes, and how many rows there are."""
        count = "1 row" if len(self.rows) == 1 else f"{len(self.rows)} rows"
        shown = count if len(self.rows) <= MAX_ROWS_SHOWN else f"{count}, the first {MAX_ROWS_SHOWN} shown"
        return [shown, *map(escape_controls, self.notes)]


def preformatted_html(text: str) -> str:
    """Lines of text as notebooks show them; of very many the first, and how many there are."""
    lines = text.split("\n")
    shown = html.escape("\n".join(lines[:MAX_LINES_SHOWN]))
    more = (
        f"<p>{len(lines)} lines, the first {MAX_LINES_SHOWN} shown: .text has all</p>"
        if len(lines) > MAX_LINES_SHOWN
        else ""
    )
    return f"<pre>{shown}</pre>{more}"


def _html_row(texts: Iterable[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(one)}</{tag}>' for one in texts)}</tr>"


def _cell_text(value: object) -> str:
    """A value on one line, cut with a mark."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        value = " ".join(f"{key}={item}" for key, item in value.items())
    text = "".join(one if one.isprintable() else " " for one in str(value))
    return text if len(text) <= MAX_CELL_CHARACTERS else text[: MAX_CELL_CHARACTERS - 1] + "…"


def _json_value(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, float) and not math.isfinite(value):
        return cell_types.float_name(value)
    return value


def _arrow_value(value: Any) -> Any:
    return list(value.items()) if isinstance(value, dict) else value
