"""An outlet that cannot deliver in this process, such as one with an invalid address: its records wait.

They stay in the journal until a process with valid settings delivers them.
"""

from __future__ import annotations

from collections.abc import Sequence

from amllog.delivery.exporter import ExportResult, waiting
from amllog.journal.outlets import is_meant_for
from amllog.journal.segment import Segment


class NoDestination:
    """The exporter of such an outlet. It exports nothing, and its records are in the account."""

    max_records = max_bytes = 1

    def __init__(self, outlet: str) -> None:
        self.name = outlet

    def concerns(self, segment: Segment) -> bool:
        """Return False: the end of the process does not wait for records that it cannot deliver."""
        return False

    def wants(self, line: bytes) -> bool:
        """Return False."""
        return False

    def counts(self, line: bytes) -> bool:
        """Return whether the line is meant for the outlet."""
        return is_meant_for(self.name, line)

    def export(self, lines: Sequence[bytes], seconds: float) -> ExportResult:
        """Deliver nothing."""
        return ExportResult(waiting("no destination"))

    def close(self) -> None:
        """Do nothing."""
