"""Decide the exit code of a query command, so that an answer without rows is no false all-clear.

The exit code is 2 if nothing could be read, or if a filter has a name that no record has. It is also 2 if `errors`
found none in the records that could be read, and others could not.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from amllog.cli import output
from amllog.cli.query_arguments import passed_filters
from amllog.insights.insights import Insights
from amllog.insights.query.result import Table
from amllog.insights.reports import undelivered
from amllog.insights.reports.story import step_label
from amllog.insights.stores.local.local_runs import has_journals

MAX_OPEN = 20  # steps that never ended whose journals are looked at
LISTS = ("runs", "steps", "query")  # commands whose empty answer over an empty directory is right


def exit_code(options: Namespace, table: Table, code: int = 0) -> int:
    """Return the exit code of an answer. Print what it lacks besides its notes. `code`: that of a complete answer."""
    reading = table.reading
    is_empty_list = options.command in LISTS and not reading.unread and not reading.ignored
    if not reading.has_records and not is_empty_list:
        for sentence in reading.ignored:
            output.print_notice(f"not read: {sentence}")
        output.print_notice(f"nothing could be read in {', '.join(reading.empty_places)}")
        return 2
    for place in reading.empty_places if reading.has_records else ():
        if not has_journals(Path(place)):
            output.print_notice(f"no records in {place}")
    return 2 if reading.unknown else code


def code_of_errors(options: Namespace, insights: Insights, run_id: str, table: Table) -> int:
    """Return the exit code of `errors`, and print what an answer without rows means."""
    if table:
        return exit_code(options, table, 1)
    reading, killed = table.reading, list[str]()
    if not reading.has_records or reading.unknown:
        return exit_code(options, table)
    if not passed_filters(options):
        killed = _killed_steps(insights, run_id)
    if killed:
        verb = "was" if len(killed) == 1 else "were"
        steps = f"step{'s' * (len(killed) > 1)} {', '.join(killed)}"
        output.print_notice(f"no errors, but {steps} {verb} killed: see `amllog story`")
        return exit_code(options, table, 2 if reading.unread else 1)
    output.print_notice("no errors in the part that could be read" if reading.unread else "no errors")
    return exit_code(options, table, 2 if reading.unread else 0)


def _killed_steps(insights: Insights, run_id: str) -> list[str]:
    """Return the steps that were killed for certain. Print a notice about those that may have been killed."""
    if insights.journals is None:
        return []
    killed = []
    for row in [row for row in insights.steps(run_id) if row["state"] == "open"][-MAX_OPEN:]:
        writer = undelivered.describe_writer(insights.journals(row["step_id"]))
        if writer == undelivered.KILLED:
            killed.append(step_label(row))
        elif writer.startswith(undelivered.UNKNOWN_STATE):
            output.print_notice(f"step {step_label(row)} has not ended: {writer}")
    return killed
