"""Free KQL has the same columns, types and values over journals, over compacted files, and from the query service."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

pytest.importorskip("duckdb")
pytest.importorskip("azure.monitor.query")

from amllog.insights import connect
from amllog.insights.stores.local.compaction import compact
from amllog.local import AzureOnThisMachine

from ...conftest import failure, log, step  # isort: skip
from .conftest import connect_to  # isort: skip

QUERIES = (
    "traces | project timestamp, message, severityLevel, itemCount, customDimensions | sort by message asc",
    "traces | summarize n = count(), b = max(timestamp), s = max(timestamp) - min(timestamp), make_list(timestamp)",
    "traces | summarize array_sort_asc(make_list(message)), array_sort_asc(make_set(itemCount)), avg(severityLevel)",
    "requests | project name, success, duration, w = duration * 1ms, h = duration / 2, i = bin(duration * 1ms, 1s)",
    "print a = real(nan), b = real(+inf), c = 1h, d = -1d - 1tick * 70, e = guid(74be27de-1e4e-49d9-b579-fe0b331d3642)",
    "print a = dynamic([1, 'x', {'b': null}]), b = dynamic({'a': 1.5}), c = dynamic('text'), d = dynamic(5), e = true",
    "print a = long(null), b = datetime(null), c = time(null), d = real(null), e = '', f = dynamic(null), g = int(3)",
    "traces | where severityLevel > 9 | project timestamp, message, c = 1h, d = customDimensions.x",
    "traces | where severityLevel > 9 | summarize make_list(timestamp), avg(severityLevel), max(message)",
    "exceptions | project type, tostring(customDimensions.x), parse_json('plain text'), replace(@'\\d', '#', 'a1')",
    "union * | summarize count() by itemType | sort by itemType asc",
    "range t from datetime(2026-01-01) to datetime(2026-01-02) step 12h | project t, s = format_datetime(t, 'HH:mm')",
)


def test_equal_answers(
    journal: Callable[..., Path], local_azure: Callable[..., AzureOnThisMachine], tmp_path: Path
) -> None:
    """Columns, types and rows are equal, also if the answer has no rows."""
    lines = (log("a"), log("b", 3), failure("no"), step("train"))
    journals, service = (
        connect(journal(*lines).parent).store,
        connect_to(local_azure(*lines), "resource_id").store,
    )
    compacted = tmp_path / "compacted"
    compacted.mkdir()
    (compacted / "20261122T100000-n-1-ab.jsonl").write_bytes(journal(*lines).read_bytes())
    compact(compacted, idle=timedelta(0))
    parquet = connect(compacted).store
    for kql in QUERIES:
        answers = [store.query(kql) for store in (journals, parquet, service)]
        assert [(answer.columns, str(answer.rows)) for answer in answers[1:]] == [
            (answers[0].columns, str(answers[0].rows))
        ] * 2, kql
        assert "any" not in {column.type for column in answers[0].columns}, kql
