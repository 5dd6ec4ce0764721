"""An answer in the form that was asked for: lines, a table, JSON or CSV.

In: parsed options, a `Table` or one of its rows. Out: the answer on stdout, its notes on stderr.
"""

from __future__ import annotations

import sys
from argparse import Namespace

from amllog.cli import rows
from amllog.insights.query.result import Column, Row, Table
from amllog.record.text import escape_json_controls


def put(options: Namespace, found: Table, columns: tuple[str, ...]) -> None:
    """A table; without --json and --csv of these columns."""
    if options.json:
        rows.answer(escape_json_controls(found.to_json(indent=2)))
    elif options.csv:
        rows.put_csv(rows.as_csv(found))
    elif found:
        rows.answer(rows.table(found.rows, columns))
    notes(bool(found), found.notes)


def lines(options: Namespace, found: Table, nothing: str = "nothing found") -> None:
    """Rows of logs: a line each, unless it is to be --json or --csv."""
    if options.json or options.csv:
        put(options, found, found.names)
        return
    for row in found:
        rows.answer(rows.line(row))
    notes(bool(found), found.notes, nothing)


def one(options: Namespace, row: Row) -> None:
    """One row of logs by itself, at once, as somebody may wait for it: in JSON or CSV (without a head) a line too."""
    alone = Table(tuple(map(Column, row)), (row,))
    if options.json:
        rows.answer(escape_json_controls(alone.to_json()[1:-1]))
    elif options.csv:
        rows.put_csv(rows.as_csv(alone, head=False))
    else:
        rows.answer(rows.line(row))
    sys.stdout.flush()  # into a pipe too


def notes(found: bool, told: tuple[str, ...], nothing: str = "nothing found") -> None:
    """What must be said about an answer, and that there is none."""
    for note in told if found else (*told, nothing):
        rows.notice(note)


def without_limit(found: Table) -> tuple[str, ...]:
    """Its notes where the limit is one of our own making."""
    return tuple(note for note in found.notes if not note.startswith("the limit of"))
