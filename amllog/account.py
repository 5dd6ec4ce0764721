"""The account: what was accepted, and per outlet what of it is delivered, waiting or refused.

In: journal segments with their acknowledgements. Out: an `Account` whose sums always hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from amllog.refusals import TRUNCATED

if TYPE_CHECKING:
    from amllog.segment import Segment

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
            counts = [_add(sums[name], segment, name, test) for name, test in wants.items()]
            # A truncated file has fewer lines than were accepted.
            accepted += max(segment.count(), segment.lines_written(), *counts)
        except OSError as error:  # what it holds is not known now: said, and left out
            for outlet in sums.values():
                outlet.trouble = f"{UNREADABLE}: {error.strerror or type(error).__name__}"
    return Account(accepted, sums, directory)


def _add(outlet: OutletAccount, segment: Segment, name: str, wants: Wants) -> int:
    """Add what one segment has for an outlet; how many records that are."""
    before = outlet.accepted
    progress = segment.progress(name)
    outlet.delivered += progress.delivered
    lost = Counter({TRUNCATED: segment.lost(name)})
    outlet.refused = dict(Counter(outlet.refused) + progress.refused + lost)
    outlet.waiting += len(progress.again) + sum(map(wants, segment.rest(progress.to)))
    return outlet.accepted - before
