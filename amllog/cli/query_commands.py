"""Run the query commands: runs, steps, logs, errors, exceptions, metrics, timeline, story, compare, query and tail.

Each of them calls a method of `Insights` and prints the answer. The exit code is 1 if `errors` found any, and
`exit_codes` decides the others.
"""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from amllog.cli import driver_logs, killed_pipelines, output, pager
from amllog.cli.driver_hint import print_hint
from amllog.cli.exit_codes import code_of_errors, exit_code
from amllog.cli.kql_input import run_kql
from amllog.cli.log_pages import pages
from amllog.cli.query_arguments import passed_filters
from amllog.cli.time_zones import in_zone
from amllog.config.variables import RESOURCE_ID
from amllog.errors import UsageError
from amllog.insights import connection, known_values, metric_rows
from amllog.insights.insights import Insights
from amllog.insights.query.result import Table
from amllog.insights.reports import rendering, tree
from amllog.insights.run_tree import ALL, COMPLETE_ID, LAST
from amllog.insights.stores.store import Unasked
from amllog.record.text import escape_json_controls

_NOTHING = "nothing found"
_TIMES = ("last", "since", "until")
_SCOPES = ("resource_id", "workspace_id", "app_id")
_TABLE_COLUMNS = {  # the columns of a command on a terminal. --json and --csv have all columns
    "runs": ("parent_run_id", "state", "experiment_name", "began", "steps", "records", "errors", "warnings"),
    "steps": ("step_name", "state", "began", "duration_seconds", "records", "errors", "warnings", "step_id"),
    "exceptions": ("records", "type", "message", "step_name", "first_seen", "last_seen", "problemId"),
}
_VALUE_COLUMNS = ("timestamp", "step_name", "name", "step", "value")


def connect(options: Namespace, environ: Mapping[str, str]) -> Insights:
    """Connect to the service if the options or the environment name one, or else to journals."""
    service = {name: getattr(options, name) for name in _SCOPES if getattr(options, name)}
    if service and options.dialect:
        service["dialect"] = options.dialect
    insights = connection.connect(*options.dir, environ=environ, **service)
    return insights.over(pager.ProgressStore(insights.store))


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    """Run one query command and return its exit code."""
    if getattr(options, "driver", False):
        return driver_logs.run(options, environ)
    if getattr(options, "kql_only", False):
        return _print_kql(options, environ)
    # Our messages contain the errors that the Azure client logs. Without a handler, Python would print them, too.
    logging.getLogger("azure").addHandler(logging.NullHandler())
    if connection.find_scope({}, environ) is None:
        killed_pipelines.settle(options)
    insights = connect(options, environ)
    if options.command == "tail" or getattr(options, "follow", False):
        return _tail(options, insights)
    with pager.paged():
        return _COMMANDS[options.command](options, insights)


def _print_kql(options: Namespace, environ: Mapping[str, str]) -> int:
    """Print the KQL of a command without running it.

    A query is needed only to resolve `last`, and in journals also the beginning of an id.
    """
    run_id = (options.run if "run" in options else "") or ""
    if run_id and len(run_id) < COMPLETE_ID:
        try:
            insights = connect(options, environ)
            # The service is queried only for `last`. Other ids are used as they are.
            if insights.journals is not None or run_id.startswith(LAST):
                run_id = _resolve_run(options, insights)
        except UsageError:  # no store, or an id that it does not contain: the id is used as it is
            if run_id.startswith(LAST):
                raise
    portal = connection.portal_of(options.resource_id or environ.get(RESOURCE_ID, ""), environ)
    table = _query_table(options, Insights(Unasked(), portal), "" if run_id == ALL else run_id)
    output.print_answer(table.kql_workspace if options.dialect == "workspace" else table.kql)
    if table.portal_link:
        output.print_notice(f"in the portal: {table.portal_link}")
    return 0


def _query_table(options: Namespace, insights: Insights, run_id: str) -> Table:
    """Return the answer of the method with the command's name."""
    arguments = passed_filters(options)
    if getattr(options, "limit", None):
        arguments["limit"] = options.limit
    if options.command == "runs":
        return insights.runs(**arguments)
    if options.command == "metrics" and options.name:
        arguments["name"] = options.name
    table: Table = getattr(insights, options.command)(run_id, **arguments)
    if table or insights.store.knows_runs or isinstance(insights.store, Unasked):
        return table
    return known_values.check(insights.store, table, passed_filters(options))


def _print_table(options: Namespace, insights: Insights) -> int:
    run_id = "" if options.command == "runs" else _resolve_run(options, insights)
    table = _query_table(options, insights, run_id)
    if options.command == "runs" and options.lines:
        table = replace(table, rows=table.rows[-options.lines :])
    is_data = options.json or options.csv
    if options.command == "exceptions" and not is_data:  # add the text of the exception
        table = replace(table, rows=tuple({**row, "message": rendering.exception_line(row)} for row in table))
    output.print_table(options, table, _TABLE_COLUMNS[options.command])
    others = 0 if table or options.command == "exceptions" else int(insights.count(**passed_filters(options)))
    if others:  # for example, records of other SDKs
        kind = options.command.rstrip("s")
        output.print_notice(
            f"{rendering.pluralize(others, 'log line')} without a {kind} id: see `amllog logs all`"
        )
    return exit_code(options, table)


def _print_logs(options: Namespace, insights: Insights) -> int:
    run_id = _resolve_run(options, insights)
    if options.lines:
        table = insights.logs(run_id, limit=options.lines, newest_first=True, **passed_filters(options))
        table = replace(table, rows=table.rows[::-1], notes=output.notes_without_limit(table))
        output.print_lines(options, table)
        print_hint(options, run_id, table)
        return exit_code(options, table)
    if options.limit or options.json or options.csv:
        table = _query_table(options, insights, run_id)
        output.print_lines(options, table)
        print_hint(options, run_id, table)
        return exit_code(options, table)
    notes, is_found, page = dict[str, None](), False, Table((), ())
    for page in pages(options, insights, run_id):
        for row in page:
            output.print_answer(output.format_line(in_zone(options, row)))
        notes.update(dict.fromkeys(page.notes))
        is_found = is_found or bool(page)
    output.print_notes(is_found, tuple(notes), _NOTHING * page.reading.has_records)
    if not is_found:
        print_hint(options, run_id, page)
    return exit_code(options, page)


def _print_errors(options: Namespace, insights: Insights) -> int:
    run_id = _resolve_run(options, insights)
    table = _query_table(options, insights, run_id)
    # A failed step is listed at the time when it ended, which is when it failed.
    rows = sorted(table.rows, key=lambda row: rendering.at_end(row)["timestamp"])
    is_data = options.json or options.csv
    table = replace(table, rows=tuple(rows if is_data else map(rendering.at_end, rows)))
    try:
        output.print_lines(options, table, "")
    except BrokenPipeError:  # `amllog errors | head -1`. The exit code is still that of the answer.
        output.discard_stdout()
    code = code_of_errors(options, insights, run_id, table)
    if not table:
        print_hint(options, run_id, insights.logs(run_id, limit=1))
    return code


def _print_metrics(options: Namespace, insights: Insights) -> int:
    table = _query_table(options, insights, _resolve_run(options, insights))
    if options.values:
        table = metric_rows.with_runs(table)
        runs = (metric_rows.RUN,) if metric_rows.RUN in table.names else ()
        output.print_table(options, table, (*_VALUE_COLUMNS, *runs))
    else:
        series = metric_rows.summarize_series(table)
        output.print_table(options, series, series.names)
    return exit_code(options, table)


def _print_timeline(options: Namespace, insights: Insights) -> int:
    table = _query_table(options, insights, _resolve_run(options, insights))
    if options.json or options.csv:
        output.print_table(options, table, table.names)
    else:
        if table:
            rows = tuple(dict(in_zone(options, row)) for row in table)
            output.print_answer(tree.build_tree(replace(table, rows=rows, notes=())).text)
        output.print_notes(bool(table), table.notes, _NOTHING * table.reading.has_records)
    return exit_code(options, table)


def _print_report(options: Namespace, insights: Insights) -> int:
    """Print a story or a comparison."""
    report: Any
    if options.command == "story":
        report = insights.story(options.run or LAST)  # its text contains the run id
    elif options.first == options.second:
        raise UsageError(f"{options.first} is compared with itself: amllog compare FIRST SECOND")
    else:
        report = insights.compare(options.first, options.second)
    if options.csv:
        output.print_csv(report.steps if options.command == "story" else report.table)
    else:
        output.print_answer(escape_json_controls(report.to_json(indent=2)) if options.json else report.text)
    return 0


def _tail(options: Namespace, insights: Insights) -> int:
    run_id, chosen = _resolve_run(options, insights), passed_filters(options)
    if options.follow:
        # Print the notes now: the lines that are awaited may be in a file that cannot be read.
        output.print_notes(True, output.notes_without_limit(insights.logs(run_id, limit=1, **chosen)))
        rows = insights.watch(run_id or ALL, seconds=options.every, lines=options.lines, **chosen)
    else:
        table = insights.logs(run_id, limit=options.lines, newest_first=True, **chosen)
        rows = reversed(table.rows)
    if options.csv:
        output.print_csv(Insights(Unasked()).logs())  # the header
    for row in rows:
        output.print_row(options, row)
    if not options.follow:
        notes = output.notes_without_limit(table)
        output.print_notes(bool(table), notes, _NOTHING * table.reading.has_records)
        print_hint(options, run_id, table)
        return exit_code(options, table)
    return 0


def _resolve_run(options: Namespace, insights: Insights) -> str:
    """Return the id of the run in the arguments. Print it if it was abbreviated."""
    chosen = passed_filters(options)
    times = {name: chosen[name] for name in _TIMES if name in chosen}
    run_id = insights.named(options.run or LAST, **times)
    if run_id and run_id != options.run:
        output.print_notice(f"run {run_id}")
    return run_id


_COMMANDS: dict[str, Callable[[Namespace, Insights], int]] = {
    **dict.fromkeys(("runs", "steps", "exceptions"), _print_table),
    "logs": _print_logs,
    "errors": _print_errors,
    "metrics": _print_metrics,
    "timeline": _print_timeline,
    **dict.fromkeys(("story", "compare"), _print_report),
    "query": run_kql,
}
