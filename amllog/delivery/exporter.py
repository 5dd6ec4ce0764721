"""The `Exporter` protocol, and the verdicts that an export returns.

An exporter receives batches of journal lines and returns one verdict per line. It is the object that delivers to an
outlet. The outlet is a named destination. Its name is in checkpoints and in the account.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from amllog.journal.segment import Segment


class Verdict(NamedTuple):
    """The result for one line: `delivered`, `waiting` (it is exported again) or `refused` (for good)."""

    state: str
    reason: str = ""


DELIVERED = Verdict("delivered")


def waiting(reason: str) -> Verdict:
    """Return the verdict for a line that was not accepted now and is exported again."""
    return Verdict("waiting", reason)


def refused(reason: str) -> Verdict:
    """Return the verdict for a line that will never be accepted.

    Refusals are counted by reason, so a reason is short and contains no data of the record.
    """
    return Verdict("refused", reason)


class ExportResult(NamedTuple):
    """The verdicts of a batch: `default` for all lines except those whose index is in `exceptions`."""

    default: Verdict = DELIVERED
    exceptions: Mapping[int, Verdict] = {}
    pause_seconds: float = 0.0  # the pause before the next batch that the service requires

    def verdicts(self, count: int) -> list[Verdict]:
        """Return the verdict of each line of a batch of `count` lines."""
        return [self.exceptions.get(index, self.default) for index in range(count)]


class Exporter(Protocol):
    """Deliver journal lines to one outlet."""

    name: str  # of the outlet
    max_records: int  # in one batch
    max_bytes: int  # in one batch

    def concerns(self, segment: Segment) -> bool:
        """Return whether lines of the segment can be for this exporter. Other segments are left unchanged."""

    def wants(self, line: bytes) -> bool:
        """Return whether the line is addressed to this exporter."""

    def counts(self, line: bytes) -> bool:
        """Return whether the line counts in the account of the outlet.

        These are the lines that the exporter wants, and lines that wait for another exporter of the same outlet.
        """

    def export(self, lines: Sequence[bytes], seconds: float) -> ExportResult:
        """Send the lines in at most about `seconds`. Never raises because of the service."""

    def close(self) -> None:
        """Close the connections."""
