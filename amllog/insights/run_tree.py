"""The tree of runs: the runs that exist, the runs below each of them, and the meaning of a short name.

A record names its step, the parent of the step and, if that is another one, the root. So a step is below its parent. A
parent without records of its own, such as a HyperDrive run, is below the root.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import unquote

from amllog.errors import UsageError
from amllog.insights.query.columns import ALL_TABLES
from amllog.insights.query.filters import apply_filters, to_strings
from amllog.insights.query.query import Query, Summary, Total
from amllog.insights.query.result import Row, Table
from amllog.insights.query.run_ids import RUN_COLUMNS, RunId, run_condition
from amllog.insights.query.selections import RUNS_QUERY
from amllog.insights.stores.store import Store, Unasked
from amllog.record.operation_id import operation_id_of

ALL, LAST = "all", "last"
COMPLETE_ID = 32  # an id of at least this many characters is not the beginning of a longer one
MAX_CANDIDATES = 10  # in an error
_SUMS = ("steps", "ended", "failed", "records", "errors", "warnings")  # columns of `runs()`
_LAST = re.compile(r"last(?:~(\d{1,6}))?")
# Names in git and other tools.
_OF_OTHERS = re.compile(r"(?i:latest|newest|current|previous|HEAD|@)(?:[~^]\d*)*")
_ADDRESS = re.compile(
    r"(?:https?://[a-z.]*azure\.[a-z.]+/|azureml://|/subscriptions/)(?:[^?\s]*/)?(?:runs?|jobs?)/([^/?#\s]+)\S*"
)


class Link(NamedTuple):
    """The place of a step by its records: its parent, the step, the root and an operation."""

    parent: str
    step: str
    root: str
    operation: str = ""


class RunTree:
    """The runs and steps of a store in the order in which they began."""

    def __init__(self, links: Iterable[Link]) -> None:
        """Create the tree. `links` are in the order of the first records."""
        links = tuple(links)
        self.parents = list(dict.fromkeys(link.parent for link in links if link.parent))
        self.steps = list(dict.fromkeys(link.step for link in links if link.step))
        self._above: dict[str, str] = {}
        for link in links:
            if link.step and link.parent:
                self._above.setdefault(link.step, link.parent)
        steps = {link.step for link in links if link.step != link.parent}
        self._only_root = {link.parent for link in links if link.root not in ("", link.parent)} - steps
        for link in links:
            if link.parent in self._only_root and link.root:
                self._above[link.parent] = link.root
        roots = {operation_id_of(parent): parent for parent in reversed(self.parents)}
        for link in links:  # records without a root, which are in the operation of another run
            root = roots.get(link.operation)
            if (
                root
                and link.parent
                and root != link.parent
                and self._above.get(link.parent) in (None, link.parent)
            ):
                self._above[link.parent] = root
        # A parent that is known by its root only is a run, too.
        self.runs = list(dict.fromkeys(self.chain(parent)[-1] for parent in self.parents))

    def chain(self, run: str) -> list[str]:
        """Return a run and the runs above it, up to the root."""
        found = dict.fromkeys([run])
        while (above := self._above.get(run)) and above not in found:
            found[above] = None
            run = above
        return [*found]

    def family(self, run: str) -> tuple[str, ...]:
        """Return the run and the runs below it that are parents of steps."""
        return (run, *(parent for parent in self.parents if parent != run and run in self.chain(parent)))

    def note(self, run: str) -> str:
        """Return a sentence about runs that may be below this one, or "".

        The records of a HyperDrive run in a pipeline in a pipeline name the outermost pipeline only.
        """
        root = self.chain(run)[-1]
        if run == root or run not in self.parents:
            return ""
        family = self.family(run)
        others = [one for one in self.family(root) if one in self._only_root and one not in family]
        return f"runs of {root} that may be below {run}: {_listed(others)}" if others else ""

    def id(self, run: str) -> RunId:
        """Return the id of a run or step with its family."""
        return RunId(run, self.family(run), root=self.chain(run)[-1], note=self.note(run))

    def candidates(self, name: str) -> list[str]:
        """Return the ids that `name` may mean: a whole id, else the ids that begin with it.

        The beginning of a run's id takes precedence over that of a run below it, and that over a step's. The case
        counts only if both cases exist.
        """
        groups = (self.runs, self.parents, self.steps)
        folds: tuple[Callable[[str], str], ...] = (str, str.casefold)
        for fold in folds:
            wanted = fold(name)
            exact = [known for ids in groups for known in ids if fold(known) == wanted]
            beginnings = ([known for known in ids if fold(known).startswith(wanted)] for ids in groups)
            found = exact or next(filter(None, beginnings), [])
            if found:
                return list(dict.fromkeys(found))
        return []


def load_tree(store: Store, filters: Mapping[str, Any]) -> RunTree:
    """Return the tree of the runs that have records with these filters. A local store answers it from its index."""
    since, until, conditions = apply_filters(filters)
    totals = [Total("began", "min", "timestamp")]
    if store.knows_runs:
        totals.append(Total("operation", "max", "operation_Id"))
    summary = Summary(RUN_COLUMNS, tuple(totals))
    columns = ("timestamp", *RUN_COLUMNS, *(total.argument for total in totals[1:]))
    rows = store.answer(
        Query(ALL_TABLES, columns, since, until, conditions, (summary,), ("began", *RUN_COLUMNS))
    )
    return RunTree(
        Link(row["parent_run_id"], row["step_id"], row["root_run_id"], row.get("operation") or "")
        for row in rows
    )


def find_run(store: Store, name: object, *, assume: bool = False, **filters: Any) -> RunId:
    """Return the run or step that `name` means, with everything below it.

    `last` is the run that began last, and `last~1` the one before it. Other names are an id, the beginning of one, or
    the address of the run in the studio. A list selects several runs. "" and `all` select all runs, and so does
    `last` if no record has a run id. `filters` select the runs that count, such as `last="7d"`. With `assume`, the
    service is not queried for a complete id. UsageError lists the candidates.
    """
    if isinstance(name, RunId):
        return name
    if isinstance(name, (list, tuple, set, frozenset)):
        runs = [find_run(store, item, assume=assume, **filters) for item in name]
        family = dict.fromkeys(run for one in runs for run in one.family)
        is_known = all(run.is_known for run in runs)
        return RunId(", ".join(runs), tuple(family) if all(runs) else (), is_known=is_known)
    (text,) = to_strings("run", "" if name is None else name)
    if text.strip() in ("", ALL):
        return RunId("")
    if isinstance(store, Unasked):
        return RunId(_short(text))
    if assume and not store.knows_runs and len(_short(text)) >= COMPLETE_ID:
        return RunId(_short(text), is_known=False)
    return _find(store, text, filters)


def _short(text: str) -> str:
    """Return the id in an address of the studio, `azureml://` or Resource Manager, or the text without blanks."""
    text = text.strip()
    address = _ADDRESS.fullmatch(text)
    return unquote(address[1]) if address else text


def _find(store: Store, text: str, filters: Mapping[str, Any]) -> RunId:
    selected = load_tree(store, filters)
    # Filters must not hide which run is below which, nor a run whose whole id is given.
    tree = load_tree(store, {}) if filters and store.knows_runs else selected
    name = _short(text)
    match = _LAST.fullmatch(name)
    if match:
        back = int(match[1] or 0)
        runs = list(dict.fromkeys(tree.chain(run)[-1] for run in selected.runs))
        if back < len(runs):
            return tree.id(runs[-1 - back])
        if not runs and not back and _count(store, RunId("")):
            return RunId("")  # records without a run id, for example of other handlers
        raise UsageError(f"{name}: {_known_runs(store, filters, tree)}")
    if text in (*tree.parents, *tree.steps):  # an id with blanks
        return tree.id(text)
    candidates = selected.candidates(name) or tree.candidates(name)
    if len(candidates) > 1:
        raise UsageError(f"{name} is ambiguous ({_listed(candidates)}): use more characters of the id")
    if not candidates:
        hint = " (last is the last run, last~1 the one before)" if _OF_OTHERS.fullmatch(name) else ""
        raise UsageError(f"no run or step begins with {name}{hint}; {_known_runs(store, filters, tree)}")
    return tree.id(candidates[0])


def confirm_run(store: Store, run: RunId) -> RunId:
    """Return the run of an answer without rows, after a check that it exists. UsageError lists the candidates."""
    return run if run.is_known or _count(store, run) else _find(store, str(run), {})


def merge_runs(table: Table, tree: RunTree) -> Table:
    """Return the answer of `runs()` with the rows of runs below another one added to the row of that run.

    Such rows come from records that do not name their root.
    """
    tops: dict[str, list[Row]] = {}
    for row in table:
        tops.setdefault(tree.chain(row["parent_run_id"])[-1], []).append(row)
    below = {row["parent_run_id"]: top for top, rows in tops.items() for row in rows}
    pairs = [f"{run} is below {top}" for run, top in below.items() if run != top]
    if not pairs:
        return table
    rows = sorted(
        (_merged(top, rows) for top, rows in tops.items()),
        key=lambda row: (row["began"], row["parent_run_id"]),
    )
    return replace(table, rows=tuple(rows)).noting(_listed(pairs))


def _merged(top: str, rows: list[Row]) -> Row:
    merged = dict(rows[0])
    for row in rows[1:]:
        merged.update({name: merged[name] + row[name] for name in _SUMS})
        merged.update(
            {name: max(merged[name], row[name]) for name in ("experiment_name", "run_type", "last_seen")}
        )
    state = "failed" if merged["failed"] else "open" if merged["ended"] < merged["steps"] else "done"
    return {**merged, "parent_run_id": top, "state": state, "began": min(row["began"] for row in rows)}


def _count(store: Store, run: RunId) -> int:
    summary = Summary((), (Total("records", "count"),))
    query = Query(ALL_TABLES, ("timestamp",), conditions=run_condition(run), summaries=(summary,))
    table = store.answer(query)
    return int(table) if table else 1  # an answer without a row counts nothing


def _known_runs(store: Store, filters: Mapping[str, Any], tree: RunTree) -> str:
    since, until, conditions = apply_filters(filters)
    conditions = (*RUNS_QUERY.conditions, *conditions)
    runs = merge_runs(
        store.answer(replace(RUNS_QUERY, since=since, until=until, conditions=conditions)), tree
    )
    # The notes name files that could not be read, because the run may be in them.
    problems = [*runs.notes, *(f"not read: {sentence}" for sentence in runs.reading.ignored)]
    notes = f" ({_listed(problems)})" if problems else ""
    if not runs:
        return f"there are no records of any run yet{notes}"
    latest = [f"{row['parent_run_id']} ({row['state']})" for row in reversed(runs.rows)]
    count = "there is 1 run" if len(runs) == 1 else f"there are {len(runs)} runs"
    return f"{count}: {_listed(latest)}{notes}"


def _listed(names: list[str]) -> str:
    more = len(names) - MAX_CANDIDATES
    return ", ".join(names[:MAX_CANDIDATES]) + (f" and {more} more" if more > 0 else "")
