"""The account: how many records were accepted, and per outlet how many are delivered, waiting or refused.

The account is computed from the journal and its checkpoints, so it is correct at any moment and also after a crash. For
each outlet, the sum holds: accepted = delivered + waiting + refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from amllog.process import interrupts
from amllog.record.envelope import is_complete

if TYPE_CHECKING:
    from amllog.journal.segment import Segment

Wants = Callable[[bytes], bool]  # whether a line is addressed to an outlet
UNREADABLE = "the journal cannot be read"


@dataclass(frozen=True, eq=False, repr=False)
class OutletAccount:
    """The records addressed to one outlet, counted by their outcome.

    `refused` has the number of records by reason. `trouble` is the error of the last export while it fails, or why the
    journal cannot be read, else "".
    """

    delivered: int
    waiting: int
    refused: Mapping[str, int]
    trouble: str = ""

    @property
    def accepted(self) -> int:
        """Delivered + waiting + refused."""
        return self.delivered + self.waiting + sum(self.refused.values())

    def __str__(self) -> str:
        parts = [
            f"{self.delivered} delivered",
            f"{self.waiting} waiting",
            f"{sum(self.refused.values())} refused",
        ]
        reasons = "; ".join(f"{count} × {reason}" for reason, count in sorted(self.refused.items()))
        if reasons:
            parts[-1] += f" ({reasons})"
        text = ", ".join(parts)
        if self.trouble and (self.waiting or self.trouble.startswith(UNREADABLE)):
            text += f"; last error: {self.trouble}"
        return text

    def __repr__(self) -> str:
        return f"<OutletAccount: {self}>"


@dataclass(frozen=True, eq=False, repr=False)
class Account:
    """The records that were accepted, and their outcome per outlet: accepted = delivered + waiting + refused.

    `problems` lists the invalid environment variables. `feedback` has the number of records that were not recorded,
    because amllog or a handler has caused them, by reason. They count as neither accepted nor refused.
    """

    accepted: int
    outlets: Mapping[str, OutletAccount]
    directory: str = ""
    leftovers_delivered: int = 0  # records of ended processes that this process has delivered
    problems: tuple[str, ...] = ()  # invalid environment variables, which did not stop the step
    feedback: Mapping[str, int] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """The number of records that wait, over all outlets."""
        return sum(outlet.waiting for outlet in self.outlets.values())

    @property
    def refused(self) -> int:
        """The number of records that were refused, over all outlets."""
        return sum(sum(outlet.refused.values()) for outlet in self.outlets.values())

    def with_outlet(self, name: str, outlet: OutletAccount) -> Account:
        """Return the account with one more outlet."""
        return replace(self, outlets={**self.outlets, name: outlet})

    def with_feedback(self, feedback: Mapping[str, int]) -> Account:
        """Return the account with the records that were not recorded."""
        return replace(self, feedback=feedback)

    def as_dict(self) -> dict[str, object]:
        """Return the account as JSON objects."""
        return {
            "accepted": self.accepted,
            "directory": self.directory,
            "outlets": {
                name: {"delivered": o.delivered, "waiting": o.waiting, "refused": dict(o.refused)}
                for name, o in self.outlets.items()
            },
            "problems": list(self.problems),
            "feedback": dict(self.feedback),
        }

    def __str__(self) -> str:
        lines = [f"{self.accepted} accepted" + (f", journal in {self.directory}" if self.directory else "")]
        width = max(map(len, self.outlets), default=0)
        lines.extend(f"  {name:<{width}}  {outlet}" for name, outlet in self.outlets.items())
        if self.leftovers_delivered:
            lines.append(f"  and {self.leftovers_delivered} delivered for processes before this one")
        lines.extend(f"  invalid: {problem}" for problem in self.problems)
        lines.extend(f"  not recorded: {count} × {reason}" for reason, count in sorted(self.feedback.items()))
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Account: {self.accepted} accepted, {self.waiting} waiting, {self.refused} refused>"


class _Sum:
    """The sums of one outlet over several segments."""

    def __init__(self, unwritten: Counter[str]) -> None:
        self.delivered, self.waiting, self.refused = 0, 0, Counter(unwritten)

    def add(self, delivered: int, waiting: int, refused: Counter[str]) -> None:
        self.delivered += delivered
        self.waiting += waiting
        self.refused += refused


def tally(
    segments: Iterable[Segment],
    wants: Mapping[str, Wants],
    unwritten: Counter[str],
    directory: str,
    *,
    errors: Mapping[str, str] | None = None,
    orphans: int = 0,
) -> Account:
    """Return the account of `segments`.

    `unwritten`: records that no file accepted, by reason. They count as refused by every outlet.
    `errors`: the last error of an outlet. A segment that cannot be read takes precedence, because it is not counted.
    `orphans`: records of ended processes that were delivered.
    """
    accepted, unreadable = sum(unwritten.values()), ""
    sums = {name: _Sum(unwritten) for name in wants}
    for segment in segments:  # one pass: of many files, one is open at a time
        try:
            segment.refresh()
            written = segment.lines_written()  # first: other threads write and deliver meanwhile
            counts = _add(sums, segment, wants, written)
            # A file that another program has changed has fewer lines than were accepted, or more.
            accepted += max([written or segment.count_records(), *counts])
        except OSError as error:  # its content is unknown now, so it is reported and not counted
            interrupts.pass_on(error)
            unreadable = f"{UNREADABLE}: {error.strerror or type(error).__name__}"
    outlets = {
        name: OutletAccount(
            total.delivered, total.waiting, dict(total.refused), unreadable or (errors or {}).get(name, "")
        )
        for name, total in sums.items()
    }
    return Account(accepted, outlets, directory, orphans)


def _add(sums: Mapping[str, _Sum], segment: Segment, wants: Mapping[str, Wants], written: int) -> list[int]:
    """Add the records of one segment to the sum of each outlet. Return how many records it has for each.

    `written`: the number of lines that this process has appended to it.
    """
    # Settled records are read before waiting ones, so that a batch that is settled meanwhile does not count twice.
    settled = {
        name: (position.delivered, position.refused.copy(), position.retry)
        for name, position in ((name, segment.position(name)) for name in wants)
    }
    unsettled = _unsettled(segment, wants)
    end, is_locked = segment.size, segment.is_locked
    counts = []
    for name, (delivered, refused, retry) in settled.items():
        records, waiting = unsettled[name]
        waiting += sum(offset < end for offset in retry)
        if is_locked:  # otherwise another process has the lock, and counts the missing lines
            gone = sum(offset >= end for offset in retry)
            gone += max(0, written - records - segment.position(name).passed)
            if segment.lost:
                gone, waiting = gone + waiting, 0
            if gone and segment.is_out_of_reach():  # processes with another root still see the lines
                gone, waiting = 0, waiting + gone
            refused[segment.damage] += gone
        sums[name].add(delivered, waiting, refused)
        counts.append(delivered + waiting + sum(refused.values()))
    return counts


def _unsettled(segment: Segment, wants: Mapping[str, Wants]) -> dict[str, tuple[int, int]]:
    """Return for each outlet the number of records after its offset, and how many of them are addressed to it."""
    counts = {name: [segment.position(name).offset, 0, 0] for name in wants}
    offset = min((start for start, _, _ in counts.values()), default=segment.size)
    for line in segment.lines_from(offset):
        if is_complete(line):
            for name, count in counts.items():
                if count[0] <= offset:
                    count[1] += 1
                    count[2] += wants[name](line)
        offset += len(line)
    return {name: (records, wanted) for name, (_, records, wanted) in counts.items()}
