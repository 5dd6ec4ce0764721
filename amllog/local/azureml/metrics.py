"""The stored metrics of runs, with the validation of the metric service.

Metrics are posted in batches, in the format of azureml's `Run`, and appended to `metrics.jsonl`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Optional

from amllog.local.app_insights.validation import ItemError
from amllog.local.storage import JsonLinesFile, read_lines

BATCH_MAX = 50
NAME_MAX, NAMES_MAX = 50, 50
COLUMNS_MAX, COLUMN_NAME_MAX, CELL_TEXT_MAX, ROWS_MAX = 15, 255, 255, 250

Metric = dict[str, Any]
ItemFault = Callable[[Mapping[str, Any]], Optional[ItemError]]


def check_shape(metric: Mapping[str, Any]) -> ItemError | None:
    """Return the error of a metric with an invalid structure, or None."""
    columns, rows = metric.get("columns"), metric.get("value")
    if not isinstance(metric.get("name"), str) or not metric["name"].strip():
        return ItemError(400, "MetricV2Dto.Name: expected a string")
    if not isinstance(columns, dict) or not isinstance(rows, list):
        return ItemError(400, "MetricV2Dto.Columns and .Value: expected an object and a list")
    if not all(isinstance(row, dict) and isinstance(row.get("data"), dict) for row in rows):
        return ItemError(400, "MetricV2Value.Data: expected an object")
    return None


def check_limits(metric: Mapping[str, Any]) -> ItemError | None:
    """Return the error of a metric beyond the documented limits of the metric service, or None."""
    columns = metric["columns"]
    strings = (cell for row in metric["value"] for cell in row["data"].values() if isinstance(cell, str))
    lengths = (
        ("MetricV2Dto.Name/Length", len(metric["name"]), NAME_MAX),
        ("MetricV2Dto.Columns/Count", len(columns), COLUMNS_MAX),
        ("MetricV2Dto.Columns/Length", max(map(len, columns), default=0), COLUMN_NAME_MAX),
        ("MetricV2Dto.Value/Count", len(metric["value"]), ROWS_MAX),
        ("MetricV2Value.Data/Length", max(map(len, strings), default=0), CELL_TEXT_MAX),
    )
    over = (
        ItemError(400, f"{field}: expected at most {limit}") for field, size, limit in lengths if size > limit
    )
    return next(over, None)


class MetricStore:
    """All metrics per run and name, in the order of arrival. All methods are thread-safe."""

    def __init__(self, directory: Path, *, strict: bool = True) -> None:
        self._lock = threading.Lock()
        self.is_strict = strict
        self._logged: dict[str, dict[str, list[Metric]]] = {}
        for line in read_lines(directory.glob("metrics.jsonl")):
            self._add(line["runId"], line["metric"])
        self._lines = JsonLinesFile(directory / "metrics.jsonl")

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def post(self, run_id: str, batch: list[Metric], fault: ItemFault | None = None) -> list[dict[str, Any]]:
        """Add the valid metrics of a batch. Return the errors of the others in the format of the service."""
        errors, accepted = [], []
        with self._lock:
            for metric in batch:
                error = self._check(run_id, metric) or (fault(metric) if fault else None)
                if error:
                    errors.append(_error(metric, error))
                else:
                    self._add(run_id, metric)
                    accepted.append(metric)
        self._lines.append({"runId": run_id, "metric": metric} for metric in accepted)
        return errors

    def of_run(self, run_id: str) -> list[Metric]:
        """Return the metrics of a run as they were posted, by name in the order of their first arrival."""
        with self._lock:
            return [metric for logged in self._logged.get(run_id, {}).values() for metric in logged]

    def names(self, run_id: str) -> list[str]:
        """Return the names of the metrics of a run."""
        with self._lock:
            return list(self._logged.get(run_id, {}))

    def merged(self, run_id: str, name: str) -> Metric | None:
        """Return one metric with the rows of all its posts, or None."""
        with self._lock:
            logged = list(self._logged.get(run_id, {}).get(name, ()))
        if not logged:
            return None
        columns = {column: kind for metric in logged for column, kind in metric["columns"].items()}
        rows = sorted(
            (row for metric in logged for row in metric["value"]), key=lambda row: str(row.get("createdUtc"))
        )
        return {**logged[0], "columns": columns, "value": rows, "dataContainerId": f"dcid.{run_id}"}

    def _check(self, run_id: str, metric: Metric) -> ItemError | None:
        error = check_shape(metric)
        if error or not self.is_strict:
            return error
        known = self._logged.get(run_id, {})
        if metric["name"] not in known and len(known) >= NAMES_MAX:
            return ItemError(400, f"Too many metrics for this run: expected at most {NAMES_MAX} names")
        return check_limits(metric)

    def _add(self, run_id: str, metric: Metric) -> None:
        self._logged.setdefault(run_id, {}).setdefault(metric["name"], []).append(metric)


def _error(metric: Mapping[str, Any], error: ItemError) -> dict[str, Any]:
    response = {"error": {"code": "UserError", "message": error.message}}
    return {"metric": {"name": metric.get("name")}, "errorResponse": response}
