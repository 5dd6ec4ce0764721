"""Exporters that accept every line, and a journal line."""

from __future__ import annotations

from collections.abc import Sequence

from amllog.delivery.exporter import ExportResult
from amllog.journal.segment import Segment

LINE = b'{"time":"2026-11-22T20:52:35.123456Z","iKey":"","ver":1,"name":"Microsoft.ApplicationInsights.Message"}\n'


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
