"""Envelopes of one run, and their rows in each store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amllog.insights.insights import Insights
from amllog.insights.stores.local.duckdb_store import DuckDBStore
from amllog.insights.stores.local.python_store import PythonStore


@pytest.fixture(params=[DuckDBStore, PythonStore])
def read(request: Any, tmp_path: Path) -> Callable[..., Insights]:
    """Return a function that writes a file and returns the questions over its folder in each store."""

    def write(data: bytes, name: str) -> Insights:
        path = tmp_path / "exported" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        insights: Insights = Insights(request.param([tmp_path / "exported"]))
        return insights

    return write
