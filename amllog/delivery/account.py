"""The account: what was accepted, and per outlet what of it is delivered, waiting or refused.

In: journal segments with their acknowledgements. Out: an `Account` whose sums always hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from amllog.process import interrupts
from amllog.record.envelope import is_complete

if TYPE_CHECKING:
    from amllog.journal.segment import Segment

Wants = Callable[[bytes], bool]
UNREADABLE = "the journal cannot be read"


class OutletAccount:
    """The records addressed to one outlet, counted by their outcome."""

    def __init__(self, delivered: int, waiting: int, refused: Mapping[str, int], trouble: str = "") -> None:
        self.delivered = delivered
        self.waiting = waiting
        self.refused = dict(refused)
        self.trouble = trouble  # why the last offer failed, while it does

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
        return ", ".join(parts) + (
            f"; last trouble: {self.trouble}"
            if self.trouble and (self.waiting or self.trouble.startswith(UNREADABLE))
            else ""
        )

    def __repr__(self) -> str:
        return f"<OutletAccount: {self}>"


class Account:
    """Accepted records, and what became of them at each outlet: accepted = delivered + waiting + refused."""

    def __init__(self, accepted: int, outlets: Mapping[str, OutletAccount], directory: str = "") -> None:
        self.accepted = accepted
        self.outlets = dict(outlets)
        self.directory = directory
        self.leftovers_delivered = 0  # records of earlier processes that this one has delivered

    @property
    def waiting(self) -> int:
        """Records that wait at any outlet."""
        return sum(outlet.waiting for outlet in self.outlets.values())

    @property
    def refused(self) -> int:
        """Records that were refused by any outlet."""
        return sum(sum(outlet.refused.values()) for outlet in self.outlets.values())

    def as_dict(self) -> dict[str, object]:
        """The account in terms of JSON."""
        return {
            "accepted": self.accepted,
            "directory": self.directory,
            "outlets": {
                name: {"delivered": o.delivered, "waiting": o.waiting, "refused": o.refused}
                for name, o in self.outlets.items()
            },
        }

    def __str__(self) -> str:
        lines = [f"{self.accepted} accepted" + (f", journal in {self.directory}" if self.directory else "")]
        width = max(map(len, self.outlets), default=0)
        lines.extend(f"  {name:<{width}}  {outlet}" for name, outlet in self.outlets.items())
        if self.leftovers_delivered:
            lines.append(f"  and {self.leftovers_delivered} delivered for processes before this one")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Account: {self.accepted} accepted, {self.waiting} waiting, {self.refused} refused>"


def tally(
    segments: Iterable[Segment], wants: Mapping[str, Wants], unwritten: Counter[str], directory: str
) -> Account:
    """The account of `segments`; `unwritten` are records that no file took, refused by every outlet."""
    accepted = sum(unwritten.values())
    sums = {name: OutletAccount(0, 0, unwritten) for name in wants}
    for segment in segments:  # once through: of many files, one is open at a time
        try:
            segment.refresh()
            written = segment.lines_written()  # first: others write and deliver meanwhile
            counts = _add(sums, segment, wants, written)
            # A file that another program has changed has fewer lines than were accepted, or more.
            accepted += max([written or segment.count(), *counts])
        except OSError as error:  # what it holds is not known now: said, and left out
            interrupts.pass_on(error)
            for outlet in sums.values():
                outlet.trouble = f"{UNREADABLE}: {error.strerror or type(error).__name__}"
    return Account(accepted, sums, directory)


def _add(
    sums: Mapping[str, OutletAccount], segment: Segment, wants: Mapping[str, Wants], written: int
) -> list[int]:
    """Add the records of one segment to the sums of each outlet. Return how many it has for each.

    `written`: lines that this process has appended to it.
    """
    # What was settled is read before what is left: a batch that is settled meanwhile is not counted twice.
    settled = {
        name: (one.delivered, one.refused.copy(), one.retry)
        for name, one in ((name, segment.position(name)) for name in wants)
    }
    left = _left(segment, wants)
    end, held = segment.size, segment.is_locked
    counts = []
    for name, (delivered, refused, again) in settled.items():
        records, waiting = left[name]
        waiting += sum(offset < end for offset in again)
        if held:  # else another process holds it, and counts what is gone from it
            gone = sum(offset >= end for offset in again)
            gone += max(0, written - records - segment.position(name).passed)
            if segment.lost:
                gone, waiting = gone + waiting, 0
            if gone and segment.is_out_of_reach():  # it is still there, for processes outside
                gone, waiting = 0, waiting + gone
            refused[segment.damage] += gone
        one = sums[name]
        one.delivered += delivered
        one.waiting += waiting
        one.refused = dict(Counter(one.refused) + refused)
        counts.append(delivered + waiting + sum(refused.values()))
    return counts


def _left(segment: Segment, wants: Mapping[str, Wants]) -> dict[str, tuple[int, int]]:
    """For each outlet, how many records it has not passed yet, and how many of them are addressed to it."""
    left = {name: [segment.position(name).offset, 0, 0] for name in wants}
    position = min((to for to, _, _ in left.values()), default=segment.size)
    for line in segment.lines_from(position):
        if is_complete(line):
            for name, counts in left.items():
                if counts[0] <= position:
                    counts[1] += 1
                    counts[2] += wants[name](line)
        position += len(line)
    return {name: (records, wanted) for name, (_, records, wanted) in left.items()}
