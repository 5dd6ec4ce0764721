"""From the journal to an outlet: what is offered next, and what its answer means.

An outlet is offered batches of journal lines and answers with a verdict per line.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from amllog.journal.segment import Segment
from amllog.process import interrupts
from amllog.record.envelope import is_complete

BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 0.5, 60.0  # between attempts that fail


class Verdict(NamedTuple):
    """The result for one line: `delivered`, `waiting` (offer it again) or `refused` (for good)."""

    state: str
    reason: str = ""


DELIVERED = Verdict("delivered")


def waiting(reason: str) -> Verdict:
    """Not taken now; it is offered again."""
    return Verdict("waiting", reason)


def refused(reason: str) -> Verdict:
    """Not taken, and never will be, for this reason (short, without data: reasons are counted)."""
    return Verdict("refused", reason)


class ExportResult(NamedTuple):
    """An outlet's answer to a batch: `default` for all lines but those whose index is in `exceptions`."""

    default: Verdict = DELIVERED
    exceptions: Mapping[int, Verdict] = {}
    pause_seconds: float = 0.0  # how long the far side asked us to wait before the next offer


class Exporter(Protocol):
    """One place that records go to by way of the courier."""

    name: str
    max_records: int  # of one batch
    max_bytes: int

    def concerns(self, segment: Segment) -> bool:
        """Whether the segment's lines may be this outlet's: those of another address are left as they are."""

    def wants(self, line: bytes) -> bool:
        """Whether the line is addressed to this outlet."""

    def counts(self, line: bytes) -> bool:
        """Whether the account has the line among those of this outlet: what it wants, or what waits for its like."""

    def export(self, lines: Sequence[bytes], seconds: float) -> ExportResult:
        """Send the lines in at most about `seconds`; never raises for what the far side does."""

    def close(self) -> None:
        """Let go of connections."""


_LOOK_BYTES = 64 * 1024
# Shares of an offer's time: nearly all, and so little that twice as many lines would fit.
_ALL, _LITTLE = 0.9, 0.25


def write_pending_entries(segments: Iterable[Segment], notice: Callable[[str, int], object]) -> None:
    """Note once more what could not be noted, and give notice of each file where it still cannot."""
    for checkpoint in [segment.checkpoint for segment in segments]:
        checkpoint.write_pending()
        if checkpoint.warning:
            notice(checkpoint.warning, logging.WARNING)


class _Batch(NamedTuple):
    lines: list[bytes]
    offsets: list[int]
    offset: int
    passed: int  # records before `to`, from where the outlet was
    left: list[int]  # offsets of lines that wait from before, for which there was no room
    gone: Counter[str]  # records that waited and are not in the file any more, by reason


class Consumer:
    """One outlet's way through the segments: what to offer next, and when."""

    def __init__(self, outlet: Exporter) -> None:
        self.exporter = outlet
        self.failures = 0
        self.trouble = ""
        self.due = 0.0
        self._most = outlet.max_records  # of one batch

    def advance(self, segments: Sequence[Segment], seconds: float) -> bool:
        """Offer one batch if it is time; True if there may be more to do at once."""
        return time.monotonic() >= self.due and self.step(segments, seconds)

    def step(self, segments: Sequence[Segment], seconds: float) -> bool:
        """Offer the next batch, of as many segments as it has room for; True if there may be more to do at once."""
        parts, skipped = self._parts(segments)
        if not parts:
            return skipped
        began = time.monotonic()
        answer = self._offer([line for _, batch in parts for line in batch.lines], seconds)
        spent = time.monotonic() - began
        start, settled, again, trouble = 0, False, False, ""
        for segment, batch in parts:
            indexes = range(start, start + len(batch.lines))
            start = indexes.stop
            verdicts = [answer.exceptions.get(index, answer.default) for index in indexes]
            wait = [offset for offset, verdict in zip(batch.offsets, verdicts) if verdict.state == "waiting"]
            again = again or bool(wait)
            trouble = trouble or next((v.reason for v in verdicts if v.state == "waiting"), "")
            if len(wait) < len(verdicts):
                settled = True
                refused = Counter(verdict.reason for verdict in verdicts if verdict.state == "refused")
                delivered = len(verdicts) - len(wait) - sum(refused.values())
                wait += batch.left
                refused += batch.gone
                segment.acknowledge(
                    self.exporter.name, batch.offset, delivered, refused, wait, passed=batch.passed
                )
        self._note(settled, trouble, answer.pause_seconds)
        self._resize(start, settled, spent / max(seconds, 0.001))
        return settled and not again

    def behind(self, segment: Segment, target: int) -> bool:
        """Whether something before `target` is not settled. A torn line is nothing that can be."""
        progress = segment.position(self.exporter.name)
        with interrupts.suppress(OSError):  # it cannot be read at the moment
            waits = any(offset < target for offset in progress.retry)
            waits = waits or (progress.offset < target and bool(segment.lines(progress.offset, _LOOK_BYTES)))
            return waits and segment.is_locked and self.exporter.concerns(segment)
        return True

    def _offer(self, lines: Sequence[bytes], seconds: float) -> ExportResult:
        try:
            return self.exporter.export(lines, seconds)
        except Exception as error:  # must not end the courier: the records wait, and status() tells
            return ExportResult(waiting(f"{self.exporter.name}: {type(error).__name__}: {error}"))

    def _note(self, settled: bool, trouble: str, pause: float) -> None:
        self.trouble = trouble
        if settled and not trouble:
            self.failures, self.due = 0, 0.0
            return
        self.failures = 1 if settled else self.failures + 1
        self.due = time.monotonic() + max(pause, backoff(self.failures))

    def _resize(self, count: int, settled: bool, spent: float) -> None:
        """Offer less at once where `count` lines took the whole time, and more again where it was short.

        `spent`: the share of its time that the offer took. A service that needs longer than an offer may take would
        get the same batch again and again, and may keep it each time.
        """
        if spent >= _ALL and not settled:
            self._most = max(1, count // 2)
        elif spent <= _LITTLE and settled:
            self._most = min(self.exporter.max_records, self._most * 2)

    def _parts(self, segments: Sequence[Segment]) -> tuple[list[tuple[Segment, _Batch]], bool]:
        """Return the parts of the next batch, and whether lines of other outlets were passed over."""
        outlet, parts, skipped = self.exporter, list[tuple[Segment, _Batch]](), False
        records, size = self._most, outlet.max_bytes
        for segment in segments:
            if not segment.holds() or not outlet.concerns(segment):
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
                segment.acknowledge(outlet.name, batch.offset, 0, batch.gone, batch.left, passed=batch.passed)
                skipped = True
        return parts, skipped

    def _batch(self, segment: Segment, max_records: int, max_bytes: int) -> _Batch | None:
        """Lines to offer: those that wait from before, then new ones; None if there are none of either."""
        outlet, progress = self.exporter, segment.position(self.exporter.name)
        lines, offsets = list[bytes](), list[int]()
        position, size, passed, tried = progress.offset, 0, 0, 0
        for offset in progress.retry:
            line = segment.line(offset)
            if is_complete(line):
                if len(lines) >= max_records or size + len(line) > max_bytes:
                    break
                lines.append(line)
                offsets.append(offset)
                size += len(line)
            tried += 1
        left = progress.retry[tried:]
        # The checkpoint is wrong, or the file was changed. A file that this process has closed has no lines either.
        gone = Counter({segment.damage: tried - len(lines)}) if segment.is_locked else Counter[str]()
        for line in [] if left else segment.lines(progress.offset, max_bytes):
            whole = is_complete(line)
            if whole and (len(lines) >= max_records or size + len(line) > max_bytes):
                break
            if whole and outlet.wants(line):
                lines.append(line)
                offsets.append(position)
                size += len(line)
            position += len(line)
            passed += whole
        if not segment.is_locked or (not lines and position == progress.offset and left == progress.retry):
            return None
        return _Batch(lines, offsets, position, passed, left, +gone)


def backoff(failures: int) -> float:
    """Return the pause after so many failures in succession, in seconds."""
    # Bounded first: after 1,024 failures, 17 hours, the power is too large for a float.
    return min(MAX_BACKOFF_SECONDS, BACKOFF_SECONDS * 2.0 ** min(failures, 10)) * random.uniform(0.8, 1.2)
