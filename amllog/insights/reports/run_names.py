"""Resolve `last`, `last~1` and the beginning of an id to the id of a run or step."""

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
MAX_CANDIDATES = 10  # in an error
_LAST = re.compile(r"last(?:~(\d{1,6}))?")


def resolve_run(questions: Questions, name: str, **filters: Unpack[Filters]) -> str:
    """Return the id of the run or step that `name` means. "" for `all` and "".

    `last` is the run that began last, and `last~1` the one before it. Else `name` is an id or the beginning of one.
    Runs take precedence over steps. If no record has a run id, `last` selects all records. `filters` select the runs
    that count, such as `last="7d"`. UsageError lists the candidates.
    """
    if name in ("", ALL):
        return ""
    ids = _known_ids(questions, **filters)
    runs = list(dict.fromkeys(run for run, _step in ids if run))  # in the order in which they began
    match = _LAST.fullmatch(name)
    if match:
        back = int(match[1] or 0)
        if back < len(runs):
            return runs[-1 - back]
        if not runs and not back and int(questions.count()):
            return ""  # records without a run id, for example of other handlers
        raise UsageError(f"{name}: {_known_runs(questions.runs(**filters))}")
    candidates = _matches(name, runs) or _matches(
        name, list(dict.fromkeys(step for _run, step in ids if step))
    )
    if len(candidates) > 1:
        raise UsageError(f"{name} is ambiguous ({_listed(candidates)}): use more characters of the id")
    if not candidates:
        raise UsageError(f"no run or step begins with {name}; {_known_runs(questions.runs(**filters))}")
    return candidates[0]


def _known_ids(questions: Questions, **filters: Unpack[Filters]) -> list[tuple[str, str]]:
    """Return the ids of all runs and steps in the order in which they began.

    A store may answer this query from its index, without reading records.
    """
    since, until, conditions = apply_filters("", filters)
    ids = ("parent_run_id", "step_id")
    began = Summary(ids, (Total("began", "min", "timestamp"),))
    query = Query(ALL_TABLES, ("timestamp", *ids), since, until, conditions, (began,), ("began", *ids))
    return [(str(row["parent_run_id"]), str(row["step_id"])) for row in questions.store.answer(query)]


def _matches(name: str, ids: list[str]) -> list[str]:
    return [name] if name in ids else [known for known in ids if known.startswith(name)]


def _known_runs(runs: Table) -> str:
    # The notes name files that could not be read, because the run may be in them.
    notes = f" ({_listed([*runs.notes])})" if runs.notes else ""
    if not runs:
        return f"there are no records of any run yet{notes}"
    latest: list[Any] = [f"{row['parent_run_id']} ({row['state']})" for row in reversed(runs.rows)]
    verb, count = "is" if len(runs) == 1 else "are", rendering.pluralize(len(runs), "run")
    return f"there {verb} {count}: {_listed(latest)}{notes}"


def _listed(names: list[str]) -> str:
    more = len(names) - MAX_CANDIDATES
    return ", ".join(names[:MAX_CANDIDATES]) + (f" and {more} more" if more > 0 else "")
