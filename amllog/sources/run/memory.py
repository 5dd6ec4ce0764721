"""What was written to a run in this process, for reads where the service cannot answer.

In: the data of the records as they are journaled. Out: the shapes that azureml's reads give. Bounded: the last
10,000 rows of a metric, 1,000 names, and 100,000 rows in all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from amllog.exporters.run_metrics.metric_values import Cell
from amllog.process import interrupts
from amllog.record import text

MAX_ROWS = 10_000
MAX_NAMES = 1_000
MAX_TOTAL = 100_000  # rows of all metrics, which take some 30 MB
_LOOK = MAX_TOTAL // 10  # new rows until they are counted


class Memory:
    """One run's metrics, tags, properties, files, children and status."""

    def __init__(self) -> None:
        self.tags: dict[str, str | None] = {}
        self.properties: dict[str, str | None] = {}
        self.files: dict[str, str] = {}  # artifact name → name below the journal directory
        self.children: list[Any] = []
        self.status = "Running"
        self.description = ""
        self._rows: dict[str, tuple[str, deque[dict[str, Cell]]]] = {}
        self._new = 0  # rows since they were counted

    def set_status(self, status: str) -> None:
        """Remember the status."""
        self.status = status

    def set_description(self, description: str) -> None:
        """Remember the description."""
        self.description = description

    def keep(self, kind: str, name: str, data: Mapping[str, Any]) -> None:
        """Remember a record's rows; `kind` as in the journal."""
        if name not in self._rows and len(self._rows) >= MAX_NAMES:
            return
        _, rows = self._rows.setdefault(name, (kind, deque(maxlen=MAX_ROWS)))
        columns = data["columns"]
        rows.extend(
            {key: _read(columns[key], cell) for key, cell in zip(columns, row)} for row in data["rows"]
        )
        self._new += len(data["rows"])
        if self._new >= _LOOK:
            self._bound()

    def keep_scalar(self, name: str, value: float) -> None:
        """Remember one number."""
        number = value if type(value) is float else float(text.to_text(value))  # a huge integer is infinite
        if name in self._rows:
            self._rows[name][1].append({name: number})
            self._new += 1
            if self._new >= _LOOK:
                self._bound()
        else:
            self.keep("scalar", name, {"columns": {name: "double"}, "rows": [[number]]})

    def _bound(self) -> None:
        """Of too many rows, keep the last ones of each metric: half of the limit together."""
        self._new = 0
        metrics = [rows for _, rows in list(self._rows.values())]
        if sum(map(len, metrics)) > MAX_TOTAL:
            most = MAX_TOTAL // 2 // len(metrics)
            for rows in metrics:
                with interrupts.suppress(IndexError):  # another thread does the same
                    for _ in range(len(rows) - most):
                        rows.popleft()

    def metrics(self, name: str | None = None) -> dict[str, Any]:
        """Every metric, or the one called `name`, in the shape that azureml's get_metrics gives."""
        return {
            key: _shape(key, kind, list(rows))
            for key, (kind, rows) in list(self._rows.items())
            if name is None or key == name
        }


def _read(kind: str, cell: Cell) -> Cell:
    """A cell as azureml's reader gives it: a double is a float, also one that JSON has no number for."""
    return float(cell) if kind == "double" and cell is not None else cell


def _shape(name: str, kind: str, rows: list[dict[str, Cell]]) -> Any:
    """A scalar's or list's values, a table's columns; one alone stands without a list around it."""
    if kind in ("scalar", "list"):
        values = [row.get(name) for row in rows]
        return values[0] if len(values) == 1 else values
    if len(rows) == 1:
        return rows[0]
    columns = dict.fromkeys(column for row in rows for column in row)
    return {column: [row.get(column) for row in rows] for column in columns}
