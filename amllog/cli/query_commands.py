"""The commands that read: runs, steps, logs, errors, exceptions, metrics, timeline, story, compare, query, tail.

In: parsed options. Out: the answer on stdout, and the exit code: 1 where `errors` found some.
"""

from __future__ import annotations

import logging
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from amllog.cli import output, pager, rows as show
from amllog.config.variables import RESOURCE_ID
from amllog.errors import UsageError
from amllog.insights import connection, metric_rows
from amllog.insights.insights import Insights
from amllog.insights.query import filters
from amllog.insights.query.result import Row, Table
from amllog.insights.reports import rendering, run_names, tree
from amllog.insights.reports.follow import key_of
from amllog.insights.stores.local import duckdb_limits
from amllog.insights.stores.store import Unasked
from amllog.record.text import escape_json_controls

FIRST = 200  # lines that are asked for at first, so that they are there at once; then four times as many each time
_TIMES = ("last", "since", "until")
_NARROW = (*_TIMES, "step_name", "step_id", "experiment_name", "run_type", "level", "contains")
_IDS = ("resource_id", "workspace_id", "app_id")
_TABLES = {  # a table's command: its columns on a terminal; --json and --csv have all
    "runs": ("parent_run_id", "state", "experiment_name", "began", "steps", "records", "errors", "warnings"),
    "steps": ("step_name", "state", "began", "duration_seconds", "records", "errors", "warnings", "step_id"),
    "exceptions": ("records", "type", "message", "step_name", "first_seen", "last_seen", "problemId"),
}
_WHOLE = 32  # characters from which on an id is taken for whole
_VALUES = ("timestamp", "step_name", "name", "step", "value")


def store_of(options: Namespace, environ: Mapping[str, str]) -> Insights:
    """Whom to ask: the service where an id is given, else journals; both also by the environment."""
    service = {name: getattr(options, name) for name in _IDS if getattr(options, name)}
    if service and options.dialect:
        service["dialect"] = options.dialect
    found = connection.connect(*options.dir, environ=environ, **service)
    return found.over(pager.ProgressStore(found.store))


def read(options: Namespace, environ: Mapping[str, str]) -> int:
    """Answer one command."""
    if getattr(options, "kql_only", False):
        return _kql(options, environ)
    # What its client logs of a failure is in our sentence, and without a handler Python would show it above that.
    logging.getLogger("azure").addHandler(logging.NullHandler())
    insights = store_of(options, environ)
    if options.command == "tail":
        return _tail(options, insights)
    with pager.paged():
        return _COMMANDS[options.command](options, insights)


def _kql(options: Namespace, environ: Mapping[str, str]) -> int:
    """The question's KQL, which is not asked; only for `last`, and in journals for other short
    names, must the runs be asked for."""
    run = (options.run if "run" in options else "") or ""
    if run and len(run) < _WHOLE:
        try:
            insights = store_of(options, environ)
            # A service is not asked for more.
            if insights.journals is not None or run.startswith(run_names.LAST):
                run = _named(options, insights)
        except UsageError:  # nothing to ask, or not known there: an id as it was given
            if run.startswith(run_names.LAST):
                raise
    portal = connection.portal_of(options.resource_id or environ.get(RESOURCE_ID, ""), environ)
    found = _ask(options, Insights(Unasked(), portal), "" if run == run_names.ALL else run)
    show.answer(found.kql_workspace if options.dialect == "workspace" else found.kql)
    if found.portal_link:
        show.notice(f"in the portal: {found.portal_link}")
    return 0


def _ask(options: Namespace, insights: Insights, run: str) -> Table:
    """The question of a command's name."""
    arguments = _narrow(options)
    if getattr(options, "limit", None):
        arguments["limit"] = options.limit
    if options.command == "runs":
        return insights.runs(**arguments)
    if options.command == "metrics" and options.name:
        arguments["name"] = options.name
    found: Table = getattr(insights, options.command)(run, **arguments)
    return found


def _table(options: Namespace, insights: Insights) -> int:
    found = _ask(options, insights, "" if options.command == "runs" else _named(options, insights))
    if options.command == "exceptions" and not (options.json or options.csv):  # with the error's own words
        found = replace(found, rows=tuple({**row, "message": rendering.error(row)} for row in found))
    output.put(options, found, _TABLES[options.command])
    others = 0 if found or options.command == "exceptions" else int(insights.count(**_narrow(options)))
    if others:  # what other SDKs wrote, say
        which = options.command.rstrip("s")
        show.notice(f"{rendering.count(others, 'log line')} without a {which}'s id: see `amllog logs all`")
    return 0


def _logs(options: Namespace, insights: Insights) -> int:
    run = _named(options, insights)
    if options.limit or options.json or options.csv:
        output.lines(options, _ask(options, insights, run))
        return 0
    told, shown = dict[str, None](), False
    for table in _pages(options, insights, run):
        for row in table:
            show.answer(show.line(row))
        told.update(dict.fromkeys(table.notes))
        shown = shown or bool(table)
    output.notes(shown, tuple(told))
    return 0


def _pages(options: Namespace, insights: Insights, run: str) -> Iterator[Table]:
    """All lines in time order, the first ones at once."""
    size, asked = FIRST, _narrow(options)
    given: Counter[object] = Counter()  # rows of the last instant, which come again, in whatever order
    if "last" in asked:  # it would move on with the clock
        asked["since"] = datetime.now(timezone.utc) - filters.span(asked.pop("last"))
    while True:
        found = insights.logs(run, limit=size, **asked)
        left, rows = given.copy(), list[Row]()
        for row in found:
            if left[key_of(row)] > 0:
                left[key_of(row)] -= 1
            else:
                rows.append(row)
        yield replace(found, rows=tuple(rows), notes=output.without_limit(found))
        if len(found) < size:
            return
        last = found[-1]["timestamp"]
        again = given if asked.get("since") == last else Counter()
        given = again + Counter(key_of(row) for row in rows if row["timestamp"] == last)
        asked["since"], size = last, size * 4


def _errors(options: Namespace, insights: Insights) -> int:
    found = _ask(options, insights, _named(options, insights))
    # A step's failure is told when it ended, not when it began.
    rows = sorted(found.rows, key=lambda row: rendering.ended(row)["timestamp"])
    plain = options.json or options.csv
    found = replace(found, rows=tuple(rows if plain else map(rendering.ended, rows)))
    try:
        output.lines(options, found, "no errors")
    except BrokenPipeError:  # `amllog errors | head -1`: the reader has enough, and the news is as bad
        show.silence()
    return int(bool(found))


def _metrics(options: Namespace, insights: Insights) -> int:
    found = _ask(options, insights, _named(options, insights))
    if options.values:
        output.put(options, found, _VALUES)
    else:
        series = metric_rows.summarize_series(found)
        output.put(options, series, series.names)
    return 0


def _timeline(options: Namespace, insights: Insights) -> int:
    found = _ask(options, insights, _named(options, insights))
    if options.json or options.csv:
        output.put(options, found, found.names)
    else:
        if found:
            show.answer(tree.of(replace(found, notes=())).text)
        output.notes(bool(found), found.notes)
    return 0


def _told(options: Namespace, insights: Insights) -> int:
    found: Any
    if options.command == "story":
        found = insights.story(options.run or run_names.LAST)  # which tells its run itself
    else:
        found = insights.compare(options.first, options.second)
    if options.csv:
        show.put_csv(show.as_csv(found.steps if options.command == "story" else found.table))
    else:
        show.answer(escape_json_controls(found.to_json(indent=2)) if options.json else found.text)
    return 0


def _query(options: Namespace, insights: Insights) -> int:
    text = " ".join(options.kql).strip()
    if not text:
        raise UsageError("no query: amllog query 'traces | take 10'")
    duckdb_limits.PROCESS_MEMORY.claim()
    found = insights.store.query(text)
    output.put(options, found, found.names)
    return 0


def _tail(options: Namespace, insights: Insights) -> int:
    run, asked = _named(options, insights), _narrow(options)
    if options.follow:
        # It may wait for lines of a file that cannot be read.
        output.notes(True, output.without_limit(insights.logs(run, limit=1, **asked)))
        rows = insights.watch(run or run_names.ALL, seconds=options.every, lines=options.lines, **asked)
    else:
        found = insights.logs(run, limit=options.lines, newest_first=True, **asked)
        rows = reversed(found.rows)
    if options.csv:
        show.put_csv(show.as_csv(Insights(Unasked()).logs()))
    for row in rows:
        output.one(options, row)
    if not options.follow:
        output.notes(bool(found), output.without_limit(found))
    return 0


def _named(options: Namespace, insights: Insights) -> str:
    """The run that is meant; told where it was not given in full."""
    asked = _narrow(options)
    run = insights.named(
        options.run or run_names.LAST, **{name: asked[name] for name in _TIMES if name in asked}
    )
    if run and run != options.run:
        show.notice(f"run {run}")
    return run


def _narrow(options: Namespace) -> dict[str, Any]:
    found = {name: getattr(options, name) for name in _NARROW if getattr(options, name, None)}
    where = dict(_pair(text) for text in getattr(options, "where", None) or ())
    return {**found, "where": where} if where else found


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise UsageError(f"--where {text!r}: KEY=VALUE, such as epoch=3")
    return key, value


_COMMANDS: dict[str, Callable[[Namespace, Insights], int]] = {
    "runs": _table, "steps": _table, "exceptions": _table, "logs": _logs, "errors": _errors, "metrics": _metrics,
    "timeline": _timeline, "story": _told, "compare": _told, "query": _query,
}  # fmt: skip
