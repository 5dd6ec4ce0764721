"""The answer to a question: rows with named columns, and notes about them.

A `Table` is the same for every engine. Times are aware and UTC, strings are never None, numbers are numbers.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from amllog.errors import MissingExtraError
from amllog.insights.query import cell_texts, cell_types
from amllog.insights.query.query_texts import QueryTexts
from amllog.insights.query.reading import Reading
from amllog.record.text import escape_controls

if TYPE_CHECKING:
    import pandas
    import pyarrow

Row = dict[str, Any]

MAX_ROWS_SHOWN = 40  # in repr and HTML, with the number of all rows
MAX_LINES_SHOWN = 1000  # of a report in a notebook
# The types that pandas infers from values, and that an empty column needs explicitly.
_PANDAS_TYPES: dict[str, type] = {"text": str, "stack": str, "bool": bool}


@dataclass(frozen=True)
class Column:
    """A column: its name and its type.

    The types are time, text, int, real, bool, timespan, dynamic, dimensions, stack and any.
    """

    name: str
    type: str = "any"


@dataclass(frozen=True, repr=False)
class Table:
    """Rows as dicts, in the order of the question, with notes such as the number of lines that could not be read.

    `texts` are the query as KQL, SQL and link. `reading` states whether all records could be read. Two tables are equal
    regardless of both.
    """

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    texts: QueryTexts = field(default_factory=QueryTexts, compare=False)
    reading: Reading = field(default=Reading(), compare=False)

    @classmethod
    def of(cls, columns: Sequence[Column], rows: Iterable[Sequence[Any]], **fields: Any) -> Table:
        """Return a table of rows given as sequences. Each value is converted to the type of its column."""
        converters = [(column.name, cell_types.CONVERTERS[column.type]) for column in columns]
        dicts = tuple(
            {name: convert(value) for (name, convert), value in zip(converters, row)} for row in rows
        )
        return cls(tuple(columns), dicts, **fields)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __bool__(self) -> bool:
        return bool(self.rows)

    def __getitem__(self, index: int) -> Row:
        return self.rows[index]

    def __int__(self) -> int:
        """Return the value of a table of one row and one column, such as a count."""
        return int(self.value)

    @property
    def kql(self) -> str:
        """The query in KQL for the tables of an Application Insights resource. "" for a table without a query."""
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
        """The value of a table of one row and one column. ValueError for any other table."""
        if len(self.rows) != 1 or len(self.columns) != 1:
            raise ValueError(f"not a single value: {len(self.rows)} rows of {len(self.columns)} columns")
        return self.rows[0][self.columns[0].name]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)

    def noting(self, *notes: str) -> Table:
        """Return the same table with more notes."""
        return replace(self, notes=(*self.notes, *notes))

    def to_dicts(self) -> list[Row]:
        """Return the rows as a list of dicts."""
        return [dict(row) for row in self.rows]

    def to_json(self, *, indent: int | None = None) -> str:
        """Return the rows as a JSON array. Times are ISO 8601 with Z, NaN and infinities are their names.

        Durations are `[d.]hh:mm:ss[.fffffff]`, as the service writes them.
        """
        rows = [{name: cell_texts.json_value(value) for name, value in row.items()} for row in self.rows]
        return json.dumps(rows, ensure_ascii=False, indent=indent, default=str)

    def to_pandas(self) -> pandas.DataFrame:
        """Return the rows as a pandas DataFrame. Times are `datetime64[us, UTC]`, durations `timedelta64[us]`."""
        try:
            import pandas as pd
        except ImportError:
            raise MissingExtraError("pandas", "pandas") from None
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
            elif column.type == "timespan":
                frame[column.name] = pd.to_timedelta(frame[column.name]).astype("timedelta64[us]")
            elif not self.rows and column.type in _PANDAS_TYPES:
                frame[column.name] = frame[column.name].astype(_PANDAS_TYPES[column.type])
        return frame

    def to_arrow(self) -> pyarrow.Table:
        """Return the rows as a pyarrow Table. Dimensions are a map of strings, and dynamic values JSON."""
        try:
            import pyarrow as pa
        except ImportError:
            raise MissingExtraError("pyarrow", "arrow") from None
        types = {
            "time": pa.timestamp("us", "UTC"),
            "text": pa.string(),
            "stack": pa.string(),
            "int": pa.int64(),
            "real": pa.float64(),
            "bool": pa.bool_(),
            "timespan": pa.duration("us"),
            "dynamic": pa.string(),
            "dimensions": pa.map_(pa.string(), pa.string()),
        }
        arrays = {
            c.name: pa.array(
                [cell_texts.arrow_value(row[c.name], c.type) for row in self.rows], types.get(c.type)
            )
            for c in self.columns
        }
        return pa.table(arrays)

    def pivot(self, index: str, columns: str, values: str) -> Table:
        """Return one row per value of `index` and one column per value of `columns`.

        A cell is the last value of `values` for both.
        """
        names: dict[str, None] = dict.fromkeys(str(row[columns]) for row in self.rows)
        rows: dict[Any, Row] = {}
        for row in self.rows:
            pivoted = rows.setdefault(row[index], {index: row[index], **dict.fromkeys(names)})
            pivoted[str(row[columns])] = row[values]
        types = {column.name: column.type for column in self.columns}
        head = (Column(index, types[index]), *(Column(name, types[values]) for name in names))
        return replace(self, columns=head, rows=tuple(rows.values()))

    def __repr__(self) -> str:
        names = tuple(map(escape_controls, self.names))
        lines = [[cell_texts.shown(row[name]) for name in self.names] for row in self.rows[:MAX_ROWS_SHOWN]]
        widths = [max(map(len, column)) for column in zip(names, *lines)]
        text = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
            for line in (names, *lines)
        ]
        return "\n".join([*text, *(f"({note})" for note in self._footnotes())])

    def _repr_html_(self) -> str:
        """Return the table for notebooks."""
        rows = [_html_row(map(escape_controls, self.names), "th")]
        rows += [
            _html_row([cell_texts.shown(row[name]) for name in self.names], "td")
            for row in self.rows[:MAX_ROWS_SHOWN]
        ]
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self._footnotes())
        return f"<table>{''.join(rows)}</table>{notes}"

    def _footnotes(self) -> list[str]:
        """Return the number of rows and the notes."""
        count = "1 row" if len(self.rows) == 1 else f"{len(self.rows)} rows"
        shown = count if len(self.rows) <= MAX_ROWS_SHOWN else f"{count}, the first {MAX_ROWS_SHOWN} shown"
        return [shown, *map(escape_controls, self.notes)]


def preformatted_html(text: str) -> str:
    """Return lines of text as HTML for notebooks, at most `MAX_LINES_SHOWN` of them."""
    lines = text.split("\n")
    shown = html.escape("\n".join(lines[:MAX_LINES_SHOWN]))
    more = (
        f"<p>{len(lines)} lines, the first {MAX_LINES_SHOWN} shown: .text has all</p>"
        if len(lines) > MAX_LINES_SHOWN
        else ""
    )
    return f"<pre>{shown}</pre>{more}"


def _html_row(texts: Iterable[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(text)}</{tag}>' for text in texts)}</tr>"
