"""The `Consumer`: one exporter's position in the journal, the next batch, and when to try again.

The pauses and the sizes of batches are described in `delivery/worker.py`.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from amllog.delivery.exporter import Exporter, ExportResult, waiting
from amllog.journal.segment import Segment
from amllog.process import interrupts, other_tracers
from amllog.record.envelope import is_complete
from amllog.record.error_cause import describe

BACKOFF_SECONDS = 0.5  # half of the first pause after a failure
MAX_BACKOFF_SECONDS = 60.0
_READ_BYTES = 64 * 1024
# Shares of an export's time: nearly all of it, and so little that twice as many lines would fit.
_ALL, _LITTLE = 0.9, 0.25


class _Batch(NamedTuple):
    """The lines of one segment for one export."""

    lines: list[bytes]
    offsets: list[int]
    end: int  # the offset up to which the segment is processed
    passed: int  # records between the outlet's offset and `end`
    remaining: list[int]  # offsets of lines to retry that did not fit into the batch
    gone: Counter[str]  # lines to retry that are no longer in the file, by reason


class Consumer:
    """Export the segments of a journal through one exporter, batch by batch."""

    def __init__(self, exporter: Exporter) -> None:
        self.exporter = exporter
        self.failures = 0  # in succession
        self.last_error = ""
        self.due = 0.0  # the time (`time.monotonic`) of the next attempt
        self._max_records = exporter.max_records

    def retry_now(self) -> None:
        """Forget earlier failures, so that the next attempt is due."""
        self.failures, self.due = 0, 0.0

    def fail(self, reason: str) -> None:
        """Count a failure outside of an export, and pause."""
        self.failures += 1
        self.due = time.monotonic() + backoff(self.failures)
        self.last_error = reason

    def report(self, reason: str) -> None:
        """Set the last error without a pause."""
        self.last_error = reason

    def export_if_due(self, segments: Sequence[Segment], seconds: float) -> bool:
        """Export the next batch, unless a pause is not over. Return whether there may be more to export at once."""
        return time.monotonic() >= self.due and self.export_next(segments, seconds)

    def export_next(self, segments: Sequence[Segment], seconds: float) -> bool:
        """Export the next batch, of as many segments as fit into it. Return whether there may be more at once."""
        parts, skipped = self._parts(segments)
        if not parts:
            return skipped
        began = time.monotonic()
        result = self._export([line for _, batch in parts for line in batch.lines], seconds)
        spent = time.monotonic() - began
        verdicts = result.verdicts(sum(len(batch.lines) for _, batch in parts))
        start, settled = 0, False
        for segment, batch in parts:
            own = verdicts[start : start + len(batch.lines)]
            start += len(batch.lines)
            retry = [offset for offset, verdict in zip(batch.offsets, own) if verdict.state == "waiting"]
            if len(retry) < len(own):
                settled = True
                refused = Counter(verdict.reason for verdict in own if verdict.state == "refused")
                delivered = len(own) - len(retry) - sum(refused.values())
                retry += batch.remaining
                refused += batch.gone
                segment.acknowledge(
                    self.exporter.name, batch.end, delivered, refused, retry, passed=batch.passed
                )
        errors = [verdict.reason for verdict in verdicts if verdict.state == "waiting"]
        self._schedule(settled, next(filter(None, errors), ""), result.pause_seconds)
        self._resize(start, settled, spent / max(seconds, 0.001))
        return settled and not errors

    def is_behind(self, segment: Segment, end: int) -> bool:
        """Return whether a line before `end` is not settled. A torn line does not count: it can never be settled."""
        position = segment.position(self.exporter.name)
        with interrupts.suppress(OSError):  # the segment cannot be read at the moment
            behind = any(offset < end for offset in position.retry)
            behind = behind or (position.offset < end and bool(segment.lines(position.offset, _READ_BYTES)))
            return behind and segment.is_locked and self.exporter.concerns(segment)
        return True

    def _export(self, lines: Sequence[bytes], seconds: float) -> ExportResult:
        try:
            with other_tracers.suppressed():
                return self.exporter.export(lines, seconds)
        except Exception as error:  # the thread goes on, the records wait, and `status()` reports the error
            return ExportResult(waiting(f"{self.exporter.name}: {describe(error)}"))

    def _schedule(self, settled: bool, error: str, pause: float) -> None:
        """Set when the next attempt is due."""
        self.last_error = error
        if settled and not error:
            self.retry_now()
            return
        self.failures = 1 if settled else self.failures + 1
        self.due = time.monotonic() + max(pause, backoff(self.failures))

    def _resize(self, count: int, settled: bool, spent: float) -> None:
        """Make batches smaller after `count` lines took all of their time, and larger after they took little.

        `spent`: the share of its time that the export took. A service that needs longer than an export may take would
        receive the same batch again and again, and might accept it each time.
        """
        if spent >= _ALL and not settled:
            self._max_records = max(1, count // 2)
        elif spent <= _LITTLE and settled:
            self._max_records = min(self.exporter.max_records, self._max_records * 2)

    def _parts(self, segments: Sequence[Segment]) -> tuple[list[tuple[Segment, _Batch]], bool]:
        """Return the parts of the next batch, and whether lines of other outlets were skipped."""
        exporter, parts, skipped = self.exporter, list[tuple[Segment, _Batch]](), False
        records, size = self._max_records, exporter.max_bytes
        for segment in segments:
            if not segment.ensure_locked() or not exporter.concerns(segment):
                continue
            if parts and (records <= 0 or size <= 0):
                break
            batch = self._batch(segment, records, size)
            if batch is None:
                continue
            if batch.lines:
                parts.append((segment, batch))
                records, size = records - len(batch.lines), size - sum(map(len, batch.lines))
            else:
                segment.acknowledge(
                    exporter.name, batch.end, 0, batch.gone, batch.remaining, passed=batch.passed
                )
                skipped = True
        return parts, skipped

    def _batch(self, segment: Segment, max_records: int, max_bytes: int) -> _Batch | None:
        """Return the lines to retry, then new lines. None if the segment has neither."""
        exporter, position = self.exporter, segment.position(self.exporter.name)
        lines, offsets = list[bytes](), list[int]()
        end, size, passed, tried = position.offset, 0, 0, 0
        for offset in position.retry:
            line = segment.line_at(offset)
            if is_complete(line):
                if len(lines) >= max_records or size + len(line) > max_bytes:
                    break
                lines.append(line)
                offsets.append(offset)
                size += len(line)
            tried += 1
        remaining = position.retry[tried:]
        # Where a line to retry is missing, the checkpoint is wrong or the file was changed. A file that this process
        # has closed has no lines either.
        gone = Counter({segment.damage: tried - len(lines)}) if segment.is_locked else Counter[str]()
        for line in [] if remaining else segment.lines(position.offset, max_bytes):
            whole = is_complete(line)
            if whole and (len(lines) >= max_records or size + len(line) > max_bytes):
                break
            if whole and exporter.wants(line):
                lines.append(line)
                offsets.append(end)
                size += len(line)
            end += len(line)
            passed += whole
        unchanged = not lines and end == position.offset and remaining == position.retry
        if unchanged or not segment.is_locked:
            return None
        return _Batch(lines, offsets, end, passed, remaining, +gone)


def backoff(failures: int) -> float:
    """Return the pause after so many failures in succession, in seconds."""
    # The exponent is limited: after 1,024 failures (17 hours) the power is too large for a float.
    return min(MAX_BACKOFF_SECONDS, BACKOFF_SECONDS * 2.0 ** min(failures, 10)) * random.uniform(0.8, 1.2)


def write_pending_entries(segments: Iterable[Segment], notice: Callable[[str, int], object]) -> None:
    """Write checkpoint entries that could not be written before, and give a notice where that still fails."""
    for checkpoint in [segment.checkpoint for segment in segments]:
        checkpoint.write_pending()
        if checkpoint.warning:
            notice(checkpoint.warning, logging.WARNING)
