"""Exporters that accept every line, and journal lines."""

from __future__ import annotations

import time
from collections.abc import Sequence

from amllog.delivery.exporter import ExportResult
from amllog.journal.segment import Segment
from amllog.record import envelope

LINE = b'{"time":"2026-11-22T20:52:35.123456Z","iKey":"","ver":1,"name":"Microsoft.ApplicationInsights.Message"}\n'
KEY = "00000000-0000-0000-0000-000000000001"
ORPHAN = "20260101T000000-gone-999999-abcd.jsonl"


def message_line(message: str, age_seconds: float = 0.0) -> bytes:
    """Return a journal line of this age."""
    return envelope.encode_record(
        time.time() - age_seconds, KEY, {}, "MessageData", {"message": message, "properties": {}}
    )


def messages(lines: Sequence[bytes]) -> list[str]:
    """Return the messages of lines."""
    return [(envelope.decode_line(one) or {})["data"]["baseData"]["message"] for one in lines]


class AcceptingExporter:
    """An exporter that wants and accepts every line."""

    name, max_records, max_bytes = "accepting", 10, 1024

    def concerns(self, segment: Segment) -> bool:
        return True

    def wants(self, line: bytes) -> bool:
        return True

    counts = wants

    def export(self, lines: Sequence[bytes], seconds: float) -> ExportResult:
        return ExportResult()

    def close(self) -> None:
        """Do nothing."""


class FaultyExporter(AcceptingExporter):
    """An exporter whose code raises at first."""

    name = "faulty"

    def __init__(self, *faults: BaseException) -> None:
        self.faults = list(faults)

    def concerns(self, segment: Segment) -> bool:
        if self.faults:
            raise self.faults.pop()
        return True
