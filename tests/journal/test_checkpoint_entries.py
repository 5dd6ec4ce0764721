"""Reading checkpoints of any content within limits."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from amllog.exporters.app_insights.http_exporter import AppInsightsExporter
from amllog.exporters.run_metrics.azureml_exporter import AzureMLExporter
from amllog.exporters.run_metrics.mlflow_exporter import MLflowExporter
from amllog.journal.checkpoint_entries import (
    MAX_LENGTH,
    MAX_LINE_BYTES,
    MAX_OUTLETS,
    MAX_REASONS,
    MAX_RETRIES,
    OTHER_REASONS,
    CheckpointEntry,
    parse_entry,
)
from amllog.journal.directory import claim, open_read_only
from amllog.journal.segment import Segment

from .conftest import LINE, line, orphan_name  # isort: skip


def test_the_longest_entry_is_valid() -> None:
    """The longest entry that amllog writes is valid."""
    reasons = {f"{number:03}{'🔥' * (MAX_LENGTH - 3)}": 2 for number in range(MAX_REASONS)}
    again = list(
        range(
            2**40,
            2**40 + max(one.max_records for one in (AppInsightsExporter, AzureMLExporter, MLflowExporter)),
        )
    )
    assert len(again) <= MAX_RETRIES
    entry = CheckpointEntry("a", 2**41, 5, reasons, again)
    assert len(entry.line) <= MAX_LINE_BYTES
    assert parse_entry(entry.line) == entry


@pytest.mark.parametrize(
    "again",
    ["0,0", "5,4", "100", "5,100", ",".join(map(str, range(MAX_RETRIES + 1)))],
    ids=["equal", "falling", "behind the end", "last behind the end", "too many"],
)
def test_invalid_offsets(again: str) -> None:
    """An entry is invalid if its offsets to retry are not ascending, or not before its end."""
    to = 100 if len(again) < 20 else 10**9
    line = b'{"outlet":"a","to":%d,"delivered":0,"again":[%s]}'
    assert parse_entry(line % (to, again.encode())) is None
    assert parse_entry(line % (to, b"0,5,99")) is not None


def test_many_reasons_and_outlets(segment: Segment) -> None:
    """The first of many reasons and outlets are kept, and refusals for other reasons are counted together."""
    for number in range(3):
        reasons = Counter({f"{number} {reason}": 2 for reason in range(MAX_REASONS)})
        segment.acknowledge("a", number, 0, reasons, [])
    for number in range(20):
        segment.acknowledge(f"o{number}", 1, 1, Counter(), [])
    segment.close()
    later = open_read_only(segment.path)
    assert later is not None
    refused = later.position("a").refused
    assert len(refused) == MAX_REASONS + 1
    assert refused[OTHER_REASONS] == 2 * 2 * MAX_REASONS
    assert later.invalid_entries == 20 - (MAX_OUTLETS - 1)
    later.close()


@pytest.mark.parametrize(
    "torn",
    [
        b"",
        b'{"outlet":',
        b'{"outlet": "a", "to": 5',
        b'{"outlet":"a","to":0,"delivered":0}\n\xff\xff',
        b'{"outlet":"a","to":0,"delivered":0}\n[]\n7\nnull\n',
    ],
)
def test_torn_entries_are_skipped(tmp_path: Path, torn: bytes) -> None:
    """A torn entry is skipped and does not damage the next entry."""
    path = tmp_path / orphan_name(1)
    path.write_bytes(line(1))
    path.with_suffix(".ack").write_bytes(torn)
    for delivered in (1, 2):
        segment = claim(path, "gone")
        assert segment is not None
        segment.acknowledge("a", segment.size, 1, Counter(), [])
        assert segment.position("a").delivered == delivered
        segment.close()


READ = """
import sys
from pathlib import Path
from amllog.journal.directory import open_read_only

def peak():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])

path, content = Path(sys.argv[1]), eval(sys.argv[2])
acks = path.with_suffix(".ack")
with open(acks, "wb") as file:
    for number in range(int(sys.argv[3])):
        file.write(content)
acks.rename(acks.with_suffix(".hostile"))
open_read_only(path).close()
del content
before = peak()
acks.with_suffix(".hostile").rename(acks)
segment = open_read_only(path)
print(peak() - before, segment.checkpoint_error, segment.position("a").offset)
"""


HOSTILE = {
    "entries": ("""b'{"outlet":"a","to":0,"delivered":0}\\n' * 1000""", 200),
    "newlines": ("""b'\\n' * 100_000""", 80),
    "heads": ("""b'{"outlet":\\n' * 1000""", 700),
    "lists": ("""b'{"outlet":"a","to":0,"delivered":0,"again":[' + b'[],' * 300_000 + b'0]}\\n'""", 8),
    "one line": ("""b'[],' * 100_000""", 27),
    "too much": ("""b'{"outlet":"a","to":0,"delivered":0}\\n' * 100_000""", 17),
}


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
@pytest.mark.parametrize("way", HOSTILE)
def test_reading_takes_little_memory(child: Any, tmp_path: Path, way: str) -> None:
    """Reading a checkpoint takes little memory for all contents."""
    (tmp_path / orphan_name(1)).write_bytes(LINE)
    content, count = HOSTILE[way]
    ran = child(READ, str(tmp_path / orphan_name(1)), content, str(count))
    assert ran.returncode == 0, ran.stderr
    kilobytes, reports = ran.stdout.split(maxsplit=1)
    assert int(kilobytes) < 50_000
    assert ("has more than" in reports) == (way == "too much")
