"""The commands that read: runs, logs, errors, metrics, timeline, tail.

In: parsed options. Out: the answer on stdout, and the exit code: 1 where errors were found.
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from amllog.errors import UsageError
from amllog.insights import journals
from amllog.insights.journals import Reading, Row
from amllog.present import show

FOLLOW_SECONDS = 0.5
_RUN_COLUMNS = ("run", "experiment_name", "began", "state", "steps", "records", "errors")
_METRIC_COLUMNS = ("step_name", "name", "count", "first", "last", "min", "max")
_VALUE_COLUMNS = ("time", "step_name", "name", "step", "value")


def directories(given: Sequence[Path], environ: Mapping[str, str]) -> list[Path]:
    """Where the journals are: as given, else AMLLOG_DIR, else where setup() puts them."""
    if given:
        missing = [str(path) for path in given if not path.is_dir()]
        if missing:
            raise UsageError(f"no such directory: {', '.join(missing)}")
        return list(given)
    named = environ.get("AMLLOG_DIR", "").strip()
    usual = [Path(named)] if named else [Path(".amllog"), Path("logs", "amllog")]
    found = [path for path in usual if path.is_dir()]
    if not found:
        looked = " and ".join(str(path) for path in usual)
        raise UsageError(f"no journal here (looked for {looked}): set AMLLOG_DIR, or give --dir DIRECTORY")
    return found


def runs(options: Namespace, where: Sequence[Path]) -> int:
    """Which runs the journals know, the latest last."""
    _table(options, journals.runs(_read(where).rows), _RUN_COLUMNS, "the journal has no records yet")
    return 0


def logs(options: Namespace, where: Sequence[Path]) -> int:
    """Logs and exceptions of a run in time order."""
    rows = _rows(options, where)
    kinds = ("log", "exception")
    asked = {"level": journals.LEVELS[options.level], "step": options.step, "contains": options.contains}
    _lines(options, journals.where(rows, kinds=kinds, **asked), "no such lines")
    return 0


def errors(options: Namespace, where: Sequence[Path]) -> int:
    """Exceptions, logs at ERROR or above, and steps that failed; 1 if there are any."""
    rows = journals.where(_rows(options, where), step=options.step, contains=options.contains)
    found = list(filter(journals.is_error, rows))
    found.sort(
        key=lambda row: bool(row["kind"] == "step")
    )  # its failure is told at its end, not where it began
    _lines(options, found, "no errors")
    return int(bool(found))


def metrics(options: Namespace, where: Sequence[Path]) -> int:
    """Metrics of a run: a line for each, or every value."""
    rows = journals.where(_rows(options, where), kinds=("metric",), step=options.step)
    if options.name:
        rows = [row for row in rows if row["name"] == options.name]
    if options.values:
        _table(
            options,
            [{name: row[name] for name in _VALUE_COLUMNS} for row in rows],
            _VALUE_COLUMNS,
            "no metrics",
        )
    else:
        _table(options, journals.metrics(rows), _METRIC_COLUMNS, "no metrics")
    return 0


def timeline(options: Namespace, where: Sequence[Path]) -> int:
    """Steps, spans, events, warnings and errors of a run in time order, with what lies within what."""
    rows = journals.where(_rows(options, where), step=options.step)
    warning = journals.LEVELS["WARNING"]
    kept = [
        row for row in rows if "success" in row or row["kind"] == "event" or journals.level_of(row) >= warning
    ]
    if options.json:
        show.answer(show.as_json(kept))
        return 0
    depth = _depths(kept)
    for row in kept:
        indent = "  " * depth(row)
        level = f"{row['level']} " if row.get("level") else ""
        show.answer(f"{show.paint(show.clock(row['time']), show.GREY)}  {indent}{level}{show.said(row)}")
    _said_nothing(kept, "nothing to show")
    return 0


def tail(options: Namespace, where: Sequence[Path]) -> int:
    """The last lines of a run, and with `--follow` those to come, until Ctrl-C."""
    seen: set[tuple[str, str]] = set()
    first = True
    while first or options.follow:
        rows = journals.where(_rows(options, where, quiet=not first), kinds=("log", "exception"))
        new = [row for row in rows if (row["record_id"], row["time"]) not in seen]
        for row in new[-options.lines :] if first else new:
            show.answer(show.as_json_line(row) if options.json else show.line(row))
        seen.update((row["record_id"], row["time"]) for row in new)
        first = False
        if options.follow:
            time.sleep(FOLLOW_SECONDS)
    return 0


def _read(where: Sequence[Path], *, quiet: bool = False) -> Reading:
    found = journals.read(where)
    if found.torn and not quiet:
        lines = show.count(found.torn, "line")
        show.notice(f"{lines} could not be read and left out (torn by a kill, or being written right now)")
    if not found.files and not quiet:
        show.notice(f"no journal files in {', '.join(map(str, where))}")
    return found


def _rows(options: Namespace, where: Sequence[Path], *, quiet: bool = False) -> list[Row]:
    name, rows = journals.find(_read(where, quiet=quiet).rows, options.run)
    if not quiet and options.run != name:
        show.notice(f"run {name}")
    return rows


def _table(
    options: Namespace, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], nothing: str
) -> None:
    if options.json:
        show.answer(show.as_json(list(rows)))
    elif rows:
        show.answer(show.table(rows, columns))
    _said_nothing(rows, nothing)


def _lines(options: Namespace, rows: Sequence[Row], nothing: str) -> None:
    if options.json:
        show.answer(show.as_json(list(rows)))
    else:
        for row in rows:
            show.answer(show.line(row))
    _said_nothing(rows, nothing)


def _said_nothing(rows: Sequence[object], nothing: str) -> None:
    if not rows:
        show.notice(nothing)


def _depths(rows: Sequence[Row]) -> Callable[[Row], int]:
    """How deep a row lies in the steps and spans among `rows`."""
    parents = {row["span_id"]: row["parent_id"] for row in rows if row.get("span_id")}

    def depth(row: Row) -> int:
        above, at = {row.get("span_id")}, row["parent_id"]
        while at in parents and at not in above:
            above.add(at)
            at = parents[at]
        return len(above) - 1

    return depth
