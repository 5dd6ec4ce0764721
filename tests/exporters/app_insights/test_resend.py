"""Resending records that were refused for their age."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from amllog.delivery.exporter import ExportResult, refused, waiting
from amllog.exporters.app_insights.ingestion_protocol import TOO_OLD
from amllog.exporters.app_insights.resend import ORIGINAL_TIME, refused_for_age, renewed, resend_old
from amllog.journal.directory import claim
from amllog.journal.segment import Segment
from amllog.record import envelope

from ...delivery.conftest import KEY, ORPHAN, AcceptingExporter, message_line, messages  # isort: skip


class Scripted(AcceptingExporter):
    """An exporter that returns one prepared result."""

    name, max_records, max_bytes = "scripted", 3, 1_000_000

    def __init__(self, result: ExportResult | None = None) -> None:
        self.result = result or ExportResult()

    def wants(self, line: bytes) -> bool:
        return b"other outlet" not in line

    counts = wants

    def export(self, lines: Sequence[bytes], seconds: float) -> ExportResult:
        return self.result


def claimed(path: Path) -> Segment:
    """Return the segment, locked."""
    segment = claim(path, "gone")
    assert segment is not None
    return segment


def test_refused_lines_are_found_by_their_age(tmp_path: Path) -> None:
    """The oldest lines of each batch are found, with its retries and without lines of other outlets."""
    lines = [
        message_line("old 1", 900),
        message_line("other outlet", 999),
        message_line("new"),
        message_line("waits, then old", 800),
        message_line("old 2", 700),
    ]
    path = tmp_path / ORPHAN
    path.write_bytes(b"".join(lines))
    starts = [sum(map(len, lines[:number])) for number in range(6)]
    segment = claimed(path)
    exporter = Scripted()
    segment.acknowledge("scripted", starts[4], 1, Counter({TOO_OLD: 1}), [starts[3]])
    segment.acknowledge("scripted", starts[5], 0, Counter({TOO_OLD: 2}), [])
    assert messages(refused_for_age(segment, exporter)) == ["old 1", "waits, then old", "old 2"]
    segment.acknowledge("scripted", starts[5], 1, Counter({TOO_OLD: -1}), [])
    assert messages(refused_for_age(segment, exporter)) == ["waits, then old", "old 2"]
    segment.close()


def test_a_resend_changes_the_counts(tmp_path: Path) -> None:
    """Accepted lines count as delivered, refused ones under the new reason. Others stay refused for their age."""
    path = tmp_path / ORPHAN
    path.write_bytes(b"".join(message_line(f"old {number}", 1000 - number) for number in range(4)))
    segment = claimed(path)
    segment.acknowledge("scripted", segment.size, 0, Counter({TOO_OLD: 4}), [])
    segment.close()
    exporter = Scripted(ExportResult(exceptions={1: refused("400 bad"), 2: waiting("busy")}))
    assert resend_old(tmp_path, "gone", exporter, 600, pytest.fail) == 1
    segment = claimed(path)
    position = segment.position("scripted")
    assert (position.delivered, dict(position.refused)) == (1, {TOO_OLD: 2, "400 bad": 1})
    assert messages(refused_for_age(segment, exporter)) == ["old 2", "old 3"]
    segment.close()


def test_a_renewed_line_keeps_its_original_time(tmp_path: Path) -> None:
    """The original time is a dimension, also after a second renewal. Time and key stay the first members."""
    old = message_line("m", 200_000)
    new = renewed(renewed(old))
    decoded = envelope.decode_line(new) or {}
    assert decoded["data"]["baseData"]["properties"][ORIGINAL_TIME] == envelope.read_time(old)
    assert envelope.read_time(new) > envelope.read_time(old)
    assert envelope.instrumentation_key(new) == KEY.encode()
    assert renewed(b"torn") == b"torn"
