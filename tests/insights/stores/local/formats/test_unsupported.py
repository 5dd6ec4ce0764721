"""Formats that amllog does not read."""

from __future__ import annotations

import bz2
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from amllog.insights.insights import Insights
from amllog.insights.stores.local.duckdb_store import DuckDBStore
from amllog.insights.stores.local.python_store import PythonStore

from ....conftest import failure  # isort: skip

JOURNAL = "20261122T100000-node-1-abcdef.jsonl"
LINE = json.dumps(failure("boom")).encode() + b"\n"


def archive() -> bytes:
    """Return the archive of the studio's download."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        written.writestr(f"logs/amllog/{JOURNAL}", LINE)
    return file.getvalue()


FORMS = {
    "logs.zip": (archive(), "zip archive"),
    "query.csv": (b"timestamp [UTC],message\n2026-11-22,boom\n", "CSV"),
    "query.txt": (b'"timestamp","message"\n', "CSV"),
    "part-0.parquet": (b"PAR1....PAR1", "Parquet"),
    "export.xlsx": (b"PK\x03\x04", "Excel"),
    f"{JOURNAL}.bz2": (bz2.compress(LINE), "bzip2"),
    f"{JOURNAL}.xz": (lzma.compress(LINE), "xz"),
    f"{JOURNAL}.zst": (b"\x28\xb5\x2f\xfd" + b"x" * 40, "Zstandard"),
    f"{JOURNAL}.gz": (b"\x1f\x8bnonsense", "damaged gzip"),
    "errors.json": (b'[{"timestamp": "2026-11-22T10:00:00Z", "itemType": "exception"}]', "answer of a query"),
    "response.json": (b'{"tables": [{"name": "PrimaryResult"}]}', "answer of the query API"),
    "17.avro": (b"Obj\x01" + b"x" * 100, "Avro"),
    f"{JOURNAL}.crdownload": (LINE[:20], "unfinished download"),
    "std_log.txt": (b"ERROR boom\n", "no envelopes"),
}
CERTAIN = (
    "logs.zip", f"{JOURNAL}.bz2", f"{JOURNAL}.xz", f"{JOURNAL}.zst", f"{JOURNAL}.gz", f"{JOURNAL}.crdownload",
)  # fmt: skip


@pytest.mark.parametrize("store", [DuckDBStore, PythonStore])
@pytest.mark.parametrize("name", FORMS)
def test_the_format_is_named(tmp_path: Path, store: type, name: str) -> None:
    """The answer names the format of a file that it does not read, by its path and in a folder of its own."""
    data, form = FORMS[name]
    (tmp_path / name).write_bytes(data)
    by_path = Insights(store([tmp_path / name])).errors("all")
    assert (len(by_path), by_path.reading.has_records) == (0, False)
    assert form in by_path.reading.unread[0] and "could not be read" in by_path.notes[0]
    reading = Insights(store([tmp_path])).errors("all").reading
    sentences = reading.unread if name in CERTAIN else reading.ignored
    assert form in sentences[0] and not reading.has_records


def test_a_folder_with_records_names_only_telemetry(tmp_path: Path, journal: Callable[..., Path]) -> None:
    """Beside records, the data sets of a run are silent. A compressed journal is not."""
    folder = journal(failure("boom")).parent
    for name, (data, _) in FORMS.items():
        (folder / name).write_bytes(data)
    for store in (DuckDBStore, PythonStore):
        reading = Insights(store([folder])).errors().reading
        assert sorted(Path(sentence.partition(": ")[0]).name for sentence in reading.unread) == sorted(
            CERTAIN
        )
        assert reading.ignored == () and reading.has_records
