"""The courier and the account: journal → outlets, in the one background thread.

An outlet is offered batches of journal lines and answers with a verdict per line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol


class Verdict(NamedTuple):
    """What became of one line: `delivered`, `waiting` (offer it again) or `refused` (for good)."""

    state: str
    reason: str = ""


DELIVERED = Verdict("delivered")


def waiting(reason: str) -> Verdict:
    """Not taken now; it is offered again."""
    return Verdict("waiting", reason)


def refused(reason: str) -> Verdict:
    """Not taken, and never will be, for this reason (short, without data: reasons are counted)."""
    return Verdict("refused", reason)


class Answer(NamedTuple):
    """An outlet's answer to a batch: `default` for all lines but those whose index is in `odd`."""

    default: Verdict = DELIVERED
    odd: Mapping[int, Verdict] = {}
    pause_seconds: float = 0.0  # how long the far side asked us to wait before the next offer


class Outlet(Protocol):
    """One place that records go to by way of the courier."""

    name: str
    max_records: int  # of one batch
    max_bytes: int

    def wants(self, line: bytes) -> bool:
        """Whether the line is addressed to this outlet."""

    def offer(self, lines: Sequence[bytes], seconds: float) -> Answer:
        """Send the lines in at most about `seconds`; never raises for what the far side does."""

    def close(self) -> None:
        """Let go of connections."""
