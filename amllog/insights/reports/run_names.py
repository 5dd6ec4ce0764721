"""Which run or step a short name means: `last`, `last~1`, the beginning of an id.

In: the questions over any store, a name. Out: the whole id. UsageError says what there is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from amllog.errors import UsageError
from amllog.insights.query.columns import ALL_TABLES
from amllog.insights.query.filters import apply_filters
from amllog.insights.query.query import Query, Summary, Total
from amllog.insights.query.result import Table
from amllog.insights.questions import Questions
from amllog.insights.reports import rendering

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from amllog.insights.query.filters import Filters

ALL, LAST = "all", "last"
LISTED = 10  # candidates in an error
_LAST = re.compile(r"last(?:~(\d{1,6}))?")


def resolve_run(questions: Questions, name: str, **narrow: Unpack[Filters]) -> str:
    """The id of the run or step that `name` means; "" for `all` (and for "").

    `last`: the run that began last, `last~1` the one before it; else an id or the beginning of one, runs first.
    Where records belong to no run at all, `last` is all of them. `narrow`: which runs count (`last="7d"`).
    """
    if name in ("", ALL):
        return ""
    known = _known(questions, **narrow)
    runs = list(dict.fromkeys(run for run, _step in known if run))  # in the order in which they began
    match = _LAST.fullmatch(name)
    if match:
        back = int(match[1] or 0)
        if back < len(runs):
            return runs[-1 - back]
        if not runs and not back and int(questions.count()):
            return ""  # of no run that is known: what other handlers wrote, say
        raise UsageError(f"{name}: {_there_is(questions.runs(**narrow))}")
    found = _matches(name, runs) or _matches(name, list(dict.fromkeys(step for _run, step in known if step)))
    if len(found) > 1:
        raise UsageError(f"{name} may be any of {_listed(found)}: give more of the id")
    if not found:
        raise UsageError(f"no run or step begins with {name}; {_there_is(questions.runs(**narrow))}")
    return found[0]


def _known(questions: Questions, **narrow: Unpack[Filters]) -> list[tuple[str, str]]:
    """The runs and steps of which there are records, by their first; a store may know them without reading these."""
    since, until, conditions = apply_filters("", narrow)
    ids = ("parent_run_id", "step_id")
    began = Summary(ids, (Total("began", "min", "timestamp"),))
    asked = Query(ALL_TABLES, ("timestamp", *ids), since, until, conditions, (began,), ("began", *ids))
    return [(str(row["parent_run_id"]), str(row["step_id"])) for row in questions.store.answer(asked)]


def _matches(name: str, ids: list[str]) -> list[str]:
    return [name] if name in ids else [one for one in ids if one.startswith(name)]


def _there_is(runs: Table) -> str:
    # The run may be in what could not be read.
    notes = f" ({_listed([*runs.notes])})" if runs.notes else ""
    if not runs:
        return f"there are no records of any run yet{notes}"
    latest: list[Any] = [f"{row['parent_run_id']} ({row['state']})" for row in reversed(runs.rows)]
    verb, count = "is" if len(runs) == 1 else "are", rendering.pluralize(len(runs), "run")
    return f"there {verb} {count}: {_listed(latest)}{notes}"


def _listed(ids: list[str]) -> str:
    more = len(ids) - LISTED
    return ", ".join(ids[:LISTED]) + (f" and {more} more" if more > 0 else "")
