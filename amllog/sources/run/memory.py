"""The data that this process wrote to a run, for reads where the service cannot answer.

The results have the shapes of azureml's. The memory is bounded: the last 10,000 rows of a metric, 1,000 names, and
100,000 rows in total.
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
# Rows of all metrics, which take about 30 MB.
MAX_TOTAL = 100_000
# New rows until all rows are counted.
_COUNT_EVERY = MAX_TOTAL // 10


class Memory:
    """One run's metrics, tags, properties, files, children and status."""

    def __init__(self) -> None:
        self.tags: dict[str, str | None] = {}
        self.properties: dict[str, str | None] = {}
        # By artifact name, the name below the journal directory.
        self.files: dict[str, str] = {}
        self.children: list[Any] = []
        self.status = "Running"
        self.description = ""
        self._rows: dict[str, tuple[str, deque[dict[str, Cell]]]] = {}
        # Rows since they were counted.
        self._new = 0

    def set_status(self, status: str) -> None:
        """Remember the status."""
        self.status = status

    def set_description(self, description: str) -> None:
        """Remember the description."""
        self.description = description

    def keep(self, kind: str, name: str, data: Mapping[str, Any]) -> None:
        """Remember a record's rows. `kind` is that of the journal."""
        if name not in self._rows and len(self._rows) >= MAX_NAMES:
            return
        _, rows = self._rows.setdefault(name, (kind, deque(maxlen=MAX_ROWS)))
        columns = data["columns"]
        rows.extend(
            {key: _read(columns[key], cell) for key, cell in zip(columns, row)} for row in data["rows"]
        )
        self._new += len(data["rows"])
        if self._new >= _COUNT_EVERY:
            self._bound()

    def keep_scalar(self, name: str, value: float) -> None:
        """Remember one number."""
        # A huge integer becomes infinite.
        number = value if type(value) is float else float(text.to_text(value))
        if name in self._rows:
            self._rows[name][1].append({name: number})
            self._new += 1
            if self._new >= _COUNT_EVERY:
                self._bound()
        else:
            self.keep("scalar", name, {"columns": {name: "double"}, "rows": [[number]]})

    def _bound(self) -> None:
        """Drop the oldest rows of each metric if there are too many. Half of the limit remains."""
        self._new = 0
        metrics = [rows for _, rows in list(self._rows.values())]
        if sum(map(len, metrics)) > MAX_TOTAL:
            most = MAX_TOTAL // 2 // len(metrics)
            for rows in metrics:
                with interrupts.suppress(IndexError):  # another thread does the same
                    for _ in range(len(rows) - most):
                        rows.popleft()

    def metrics(self, name: str | None = None) -> dict[str, Any]:
        """Return every metric, or the one called `name`, in the shape of azureml's get_metrics."""
        return {
            key: _shape(key, kind, list(rows))
            for key, (kind, rows) in list(self._rows.items())
            if name is None or key == name
        }


def _read(kind: str, cell: Cell) -> Cell:
    """Return a cell as azureml's reader does: a double is a float, also one that JSON has no number for."""
    return float(cell) if kind == "double" and cell is not None else cell


def _shape(name: str, kind: str, rows: list[dict[str, Cell]]) -> Any:
    """Return a scalar's or list's values or a table's columns. A single one is not in a list."""
    if kind in ("scalar", "list"):
        values = [row.get(name) for row in rows]
        return values[0] if len(values) == 1 else values
    if len(rows) == 1:
        return rows[0]
    columns = dict.fromkeys(column for row in rows for column in row)
    return {column: [row.get(column) for row in rows] for column in columns}
