"""Resend records that were refused as older than 48 hours, with the current time.

A checkpoint counts refusals by batch, not by line. Within a batch, the oldest lines were the ones that were too old, so
the count of a batch's entry is enough to find them again. A resent line leaves the count by an entry with a negative
number.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from amllog.delivery.exporter import Exporter
from amllog.exporters.app_insights.ingestion_protocol import TOO_OLD
from amllog.journal.directory import claim, list_segments
from amllog.journal.segment import Segment
from amllog.record import envelope

MAX_EXPORT_SECONDS = 10.0
BATCH_RECORDS = 500
ORIGINAL_TIME = "original_time"  # the dimension with the time that a resent record had


def resend_old(
    directory: Path, node: str, exporter: Exporter, seconds: float, report: Callable[[str], object]
) -> int:
    """Resend the records that were refused for their age, within about `seconds`. Return the number of accepted ones.

    `report` gets a sentence for each file that is not sent, and for each checkpoint that cannot be written.
    """
    count, deadline = 0, time.monotonic() + seconds
    for path in list_segments(directory):
        segment = claim(path, node)
        if segment is None:
            continue
        try:
            count += _resend(segment, exporter, deadline)
        except OSError as error:
            report(f"{path} is not sent with the current time: {error.strerror}")
        finally:
            segment.close()
        if segment.checkpoint.warning:
            report(segment.checkpoint.warning)
    return count


def refused_for_age(segment: Segment, exporter: Exporter) -> list[bytes]:
    """Return the lines that were refused as too old and not resent since, batch by batch, the oldest first."""
    lines: list[bytes] = []
    resent, start, retry = 0, 0, list[int]()
    for entry in segment.checkpoint.entries(exporter.name):
        count = entry.refused.get(TOO_OLD, 0)
        if count > 0:
            batch = [line for line in map(segment.line_at, retry) if envelope.is_complete(line)]
            batch += [line for line in _between(segment, start, entry.offset) if exporter.wants(line)]
            lines += sorted(batch, key=envelope.read_time)[:count]
        resent -= min(0, count)
        start, retry = entry.offset, entry.retry
    return lines[resent:]


def renewed(line: bytes) -> bytes:
    """Return a line with the current time. Its own time becomes a dimension."""
    record = envelope.decode_line(line)
    if record is None:
        return line
    properties = record["data"]["baseData"].setdefault("properties", {})
    properties.setdefault(ORIGINAL_TIME, record["time"])
    record["time"] = envelope.format_timestamp(time.time())
    return envelope.encode_envelope(record)


def _resend(segment: Segment, exporter: Exporter, deadline: float) -> int:
    old, count = refused_for_age(segment, exporter), 0
    for start in range(0, len(old), BATCH_RECORDS):
        batch = [renewed(line) for line in old[start : start + BATCH_RECORDS]]
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            break
        verdicts = exporter.export(batch, min(MAX_EXPORT_SECONDS, max(0.1, remaining))).verdicts(len(batch))
        states = [verdict.state for verdict in verdicts]
        # Only the first lines can be subtracted from the count. So the first line that waits ends the batch.
        moved = states.index("waiting") if "waiting" in states else len(states)
        reasons = Counter(verdict.reason for verdict in verdicts[:moved] if verdict.state == "refused")
        delivered = states[:moved].count("delivered")
        reasons[TOO_OLD] -= moved
        position = segment.position(exporter.name)
        segment.acknowledge(exporter.name, position.offset, delivered, reasons, position.retry)
        count += delivered
        if moved < len(batch):
            break
    return count


def _between(segment: Segment, start: int, end: int) -> list[bytes]:
    """Return the whole lines from `start` to `end`."""
    lines = []
    for line in segment.lines_from(start):
        if start >= end:
            break
        if envelope.is_complete(line):
            lines.append(line)
        start += len(line)
    return lines
