"""Which run or step a short name means: `last`, `last~1`, the beginning of an id.

In: the questions over any store, a name. Out: the whole id. UsageError says what there is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from amllog.errors import UsageError
from amllog.insights import wording
from amllog.insights.questions import Questions
from amllog.insights.table import Table

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from amllog.insights.narrow import Narrow

ALL, LAST = "all", "last"
LISTED = 10  # candidates in an error
_LAST = re.compile(r"last(?:~(\d{1,6}))?")


def whole(questions: Questions, name: str, **narrow: Unpack[Narrow]) -> str:
    """The id of the run or step that `name` means; "" for `all` (and for "").

    `last`: the run that began last, `last~1` the one before it; else an id or the beginning of one, runs first.
    Where records belong to no run at all, `last` is all of them. `narrow`: which runs count (`last="7d"`).
    """
    if name in ("", ALL):
        return ""
    runs = questions.runs(**narrow)
    match = _LAST.fullmatch(name)
    if match:
        return _from_the_end(questions, runs, name, int(match[1] or 0))
    found = _matches(name, [str(row["parent_run_id"]) for row in runs])
    if not found:
        steps = questions.steps(**narrow)
        found = _matches(name, list(dict.fromkeys(str(row["step_id"]) for row in steps)))
    if len(found) > 1:
        raise UsageError(f"{name} may be any of {_listed(found)}: give more of the id")
    if not found:
        raise UsageError(f"no run or step begins with {name}; {_there_is(runs)}")
    return found[0]


def _from_the_end(questions: Questions, runs: Table, name: str, back: int) -> str:
    if back < len(runs):
        return str(runs[len(runs) - 1 - back]["parent_run_id"])
    if not runs and not back and int(questions.count()):
        return ""  # of no run that is known: what other handlers wrote, say
    raise UsageError(f"{name}: {_there_is(runs)}")


def _matches(name: str, ids: list[str]) -> list[str]:
    return [name] if name in ids else [one for one in ids if one.startswith(name)]


def _there_is(runs: Table) -> str:
    if not runs:
        return "there are no records of any run yet"
    latest: list[Any] = [f"{row['parent_run_id']} ({row['state']})" for row in reversed(runs.rows)]
    return f"there {'is' if len(runs) == 1 else 'are'} {wording.count(len(runs), 'run')}: {_listed(latest)}"


def _listed(ids: list[str]) -> str:
    more = len(ids) - LISTED
    return ", ".join(ids[:LISTED]) + (f" and {more} more" if more > 0 else "")
