"""`RunId`: the id of a run with the ids of the runs below it, and the condition that selects their records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from amllog.insights.query.query import Condition, Equals

if TYPE_CHECKING:
    from typing_extensions import Self

# A record is in a run if one of these columns has the id of the run, or of a run below it.
RUN_COLUMNS = ("parent_run_id", "step_id", "root_run_id")


class RunId(str):
    """The full id of a run or step. "" means all runs.

    `family` has the id itself and the ids of all runs below it that have steps. `root` is the outermost run, or "" if
    it is not known. `is_known` is False if nobody has checked that records with the id exist. `note` is a sentence
    about runs that may be below it, or "".
    """

    __slots__ = ("family", "is_known", "note", "root")

    def __new__(cls, value: str, family: Sequence[str] = (), **_: object) -> Self:
        """Return an id. `family` is that of `run_tree`, or ids that are selected together."""
        return super().__new__(cls, value)

    def __init__(
        self, value: str, family: Sequence[str] = (), *, root: str = "", is_known: bool = True, note: str = ""
    ) -> None:
        """Set the attributes."""
        super().__init__()
        self.family = tuple(family) or ((value,) if value else ())
        self.root, self.is_known, self.note = root, is_known, note


def run_condition(run: str) -> tuple[Condition, ...]:
    """Return the condition that selects the records of a run and of everything below it. () for all runs.

    `root_run_id` also selects the records of runs that do not exist yet, for example in an alert rule.
    """
    family = run.family if isinstance(run, RunId) else (run,) if run else ()
    return (Equals(RUN_COLUMNS, tuple(family)),) if family else ()


def root_of(run: str, parent: str) -> str:
    """Return the outermost run, or `parent` if it is not known."""
    return (run.root if isinstance(run, RunId) else "") or parent
