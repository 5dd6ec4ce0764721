"""Envelopes of other SDKs in all file formats, and KQL from Microsoft's pages."""

from __future__ import annotations

import gzip
import json
import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from amllog.errors import UsageError
from amllog.insights.insights import Insights
from amllog.insights.stores.local.compaction import compact
from amllog.insights.stores.local.duckdb_store import DuckDBStore
from amllog.insights.stores.local.python_store import PythonStore

from ...conftest import log  # isort: skip

Write = Callable[[Sequence[Any]], bytes]


def _sent(kind: str, base: dict[str, Any]) -> dict[str, Any]:
    """Return an envelope as the .NET SDK writes it."""
    tags = {"ai.operation.id": "0af7651916cd43dd8448eb211c80319c", "ai.cloud.role": "web"}
    name = f"Microsoft.ApplicationInsights.0123456789abcdef.{kind}"
    data = {"baseType": kind, "baseData": {"ver": 2, **base}}
    return {"name": name, "time": "2026-11-22T10:00:00.1234567Z", "iKey": "", "tags": tags, "data": data}


SENT = [
    _sent("MessageData", {"message": "net err", "severityLevel": "Error", "properties": {"My": "v"}}),
    _sent("MessageData", {"message": {"a": True}, "severityLevel": 1}),
    _sent("RequestData", {"id": "r", "name": "GET /", "duration": "00:00:01.5", "success": True}),
    _sent("RequestData", {"id": "r2", "name": "POST /", "duration": "1.00:00:00", "success": False}),
    _sent("EventData", {"name": "clicked", "measurements": {"n": 3}}),
    _sent("PageViewData", {"name": "Home", "duration": "00:00:02"}),
]


def _lines(sent: Sequence[Any]) -> bytes:
    return "".join(json.dumps(envelope) + "\n" for envelope in sent).encode()


FORMS: dict[str, Write] = {
    "lines.jsonl": _lines,
    "2026-11-22T100000.000000-0011aabb.blob": _lines,
    "2026-11-22T100000.000000-0011aabb.blob@2026-11-22T100100.000000.lock": _lines,
    "app.log": _lines,
    "marked.jsonl": lambda sent: b"\xef\xbb\xbf" + _lines(sent),
    "array.json": lambda sent: json.dumps(sent).encode(),
    "array.jsonl": lambda sent: json.dumps(sent).encode(),
    "indented.json": lambda sent: json.dumps(sent, indent=2).encode(),
    "posted.gz": lambda sent: gzip.compress(json.dumps(sent).encode()),
    "lines.jsonl.gz": lambda sent: gzip.compress(_lines(sent)),
}


@pytest.mark.parametrize("store", [DuckDBStore, PythonStore])
@pytest.mark.parametrize(
    "written", [b'{"a":' * 9_000 + b'"baseType"', b'[{"baseType":' + b"[" * 50_000], ids=["object", "array"]
)
def test_files_that_are_nested_too_deeply_are_ignored(
    store: type[DuckDBStore], written: bytes, journal: Callable[..., Path]
) -> None:
    """A file that is nested too deeply is ignored, and the others are read."""
    path = journal(log("mine"))
    (path.parent / "other.json").write_bytes(written)
    assert [row["message"] for row in Insights(store([path.parent])).logs()] == ["mine"]


@pytest.mark.parametrize("store", [DuckDBStore, PythonStore])
@pytest.mark.parametrize("harm", ["cut", "damaged"])
@pytest.mark.parametrize("write", [_lines, lambda sent: json.dumps(sent).encode()], ids=["lines", "array"])
def test_a_torn_gzip_file_is_read_up_to_the_damage(
    store: type[DuckDBStore], harm: str, write: Write, tmp_path: Path
) -> None:
    """The records before the damage are read, and a note reports the rest."""
    chance = random.Random(1)
    sent = [
        _sent("MessageData", {"message": f"{n} {chance.random()}", "severityLevel": 1}) for n in range(5000)
    ]
    packed = gzip.compress(write(sent))
    half = len(packed) // 2
    (tmp_path / "sent.gz").write_bytes(
        packed[:half] if harm == "cut" else packed[:half] + b"\xff" * (len(packed) - half)
    )
    table = Insights(store([tmp_path])).logs()
    assert 500 < len(table) < 5000
    assert len(table.notes) == 1


@pytest.mark.parametrize("store", [DuckDBStore, PythonStore])
@pytest.mark.parametrize("name", FORMS)
def test_envelopes_are_found_in_all_formats(name: str, store: Any, tmp_path: Path) -> None:
    """Arrays, gzip, indented JSON and exporter files are read like lines, in a directory and by path."""
    path = tmp_path / name
    path.write_bytes(FORMS[name](SENT))
    for place in (tmp_path, path):
        table = Insights(store([place])).logs()
        assert sorted(row["message"] for row in table) == ["net err", '{"a":true}']
        assert not table.notes


@pytest.mark.parametrize("store", [DuckDBStore, PythonStore])
def test_files_without_envelopes_are_ignored(store: Any, tmp_path: Path) -> None:
    """A driver log, a configuration and an archive have neither records nor torn lines."""
    (tmp_path / "std_log.txt").write_text("hello\n", encoding="utf-8")
    (tmp_path / "config.json").write_text('{"a": 1}', encoding="utf-8")
    (tmp_path / "broken.gz").write_bytes(b"\x1f\x8bnonsense")
    (tmp_path / "sent.jsonl").write_bytes(_lines(SENT))
    table = Insights(store([tmp_path])).logs()
    assert (len(table), table.notes) == (2, ())


@pytest.mark.parametrize("store", [DuckDBStore, PythonStore])
def test_an_envelope_without_data_is_counted(store: Any, tmp_path: Path) -> None:
    """Both stores count an envelope without data as a line that could not be read."""
    empty = {"time": "2026-11-22T10:00:00Z", "data": {"baseType": "MessageData"}}
    (tmp_path / "sent.jsonl").write_bytes(_lines([*SENT, empty]))
    table = Insights(store([tmp_path])).logs()
    assert len(table) == 2
    assert table.notes[0].startswith("1 line ")


def test_only_journals_are_compacted(tmp_path: Path) -> None:
    """Files of other programs do not change."""
    path = tmp_path / "array.json"
    path.write_bytes(FORMS["array.json"](SENT))
    compact(tmp_path)
    assert path.exists()
    assert len(Insights(DuckDBStore([tmp_path])).logs()) == 2


QUERIES = {
    "requests | summarize percentiles(duration, 50, 95) by operation_Name": [("", 1500.0, 86400000.0)],
    "requests | where notempty(name) and notnull(duration) | count": [(2,)],
    "requests | where success == false | project name, duration": [("POST /", 86400000.0)],
    'traces | where message has "err" | project customDimensions["My"], customDimensions.My': [("v", "v")],
    'traces | where message == "net err" | project "percentiles(a, 1)"': [("percentiles(a, 1)",)],
    "AppRequests | summarize sum(ItemCount) by _ResourceId": [("", 2)],
    'AppTraces | where Properties.My == "v" | project Message, SeverityLevel': [("net err", 3)],
    'customEvents | extend n = todouble(customMeasurements["n"]) | summarize sum(n) by name': [("clicked", 3.0)],
    "pageViews | summarize avg(duration) by name, performanceBucket": [("Home", "1sec-3sec", 2000.0)],
    "requests | join kind=inner (traces | where severityLevel == 3) on operation_Id | summarize count() by name"
    " | order by name asc": [("GET /", 1), ("POST /", 1)],
    "union traces, requests, pageViews | summarize count() by itemType | order by itemType asc": [
        ("pageView", 1), ("request", 2), ("trace", 2)
    ],
    "let bad = traces | where severityLevel >= 3; bad | summarize count() by cloud_RoleName": [("web", 1)],
    "requests | summarize avg(duration) by name, bin(timestamp, 1h) | top 1 by avg_duration | project name"
    " | render timechart": [("POST /",)],
    'traces | where cloud_RoleName in~ ("WEB") and message has_any ("err", "x") | count': [(1,)],
}  # fmt: skip


@pytest.mark.parametrize("kql", QUERIES)
def test_queries_of_microsofts_pages_have_their_rows(kql: str, tmp_path: Path) -> None:
    """Queries from Microsoft's pages return the rows that the service returns."""
    (tmp_path / "sent.jsonl").write_bytes(_lines(SENT))
    assert [tuple(row.values()) for row in DuckDBStore([tmp_path]).query(kql)] == QUERIES[kql]


def test_unsupported_kql_names_the_service(tmp_path: Path) -> None:
    """The error names the unsupported operator and the service, and no internals of a library."""
    (tmp_path / "sent.jsonl").write_bytes(_lines(SENT))
    with pytest.raises(UsageError) as caught:
        DuckDBStore([tmp_path]).query('search "err"')
    assert "it does not support the operator 'search'" in str(caught.value)
    assert "AMLLOG_RESOURCE_ID" in str(caught.value)


UNREADABLE = """
import os
import orjson  # now, because another user cannot read every installation
import amllog.insights.query.sql
from pathlib import Path
from amllog.insights.insights import Insights
from amllog.insights.stores.local.duckdb_store import DuckDBStore
from amllog.insights.stores.local.python_store import PythonStore
stores = [DuckDBStore([Path.cwd()]), PythonStore([Path.cwd()])]
os.chmod("kept.json", 0)
if os.geteuid() == 0:  # file modes do not apply to root
    os.setuid(65534)
if not os.path.exists(os.path.abspath("open.json")):
    print("closed")
for store in stores:
    table = Insights(store).logs()
    print(len(table), *table.notes)
"""


def test_an_unreadable_file_is_named(child: Any) -> None:
    """Both stores name an unreadable file in a note and read the others."""
    # Outside pytest's directories, which other users cannot read.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        for name in ("kept.json", "open.json"):
            path = Path(folder, name)
            path.write_bytes(FORMS["array.json"](SENT))
            path.chmod(0o644)
        ran = child(UNREADABLE, cwd=folder)
    if "closed" in ran.stdout:
        pytest.skip("the temporary folder is closed to other users")
    notes = [
        line for line in ran.stdout.splitlines() if line.startswith("2 not read: ") and "kept.json" in line
    ]
    assert len(notes) == 2, ran.stdout + ran.stderr
