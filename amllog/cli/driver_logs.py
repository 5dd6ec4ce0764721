"""`amllog logs --driver`: show the driver logs of a run, joined with the journal.

Lines of Azure ML's own wrapper are hidden and counted. The exit code is 0, or 2 if there is no log.
"""

from __future__ import annotations

import json
import logging
from argparse import Namespace
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from amllog.cli import output, pager
from amllog.config import user_path
from amllog.config.variables import candidate_directories
from amllog.errors import UsageError
from amllog.insights import connection
from amllog.insights.driver_logs import run_places
from amllog.insights.driver_logs.driver_lines import DriverLine, file_lines, is_at_least
from amllog.insights.driver_logs.layouts import LogKind
from amllog.insights.driver_logs.log_folders import JobFolder, LogFile
from amllog.insights.driver_logs.parallel_causes import ParallelCause, find_cause
from amllog.insights.driver_logs.record_pages import record_rows
from amllog.insights.driver_logs.run_places import RunFolder
from amllog.insights.insights import Insights
from amllog.insights.query.result import Column, Table
from amllog.insights.reports import rendering
from amllog.record.line_format import LEVEL_COLOURS, LEVEL_NAMES
from amllog.record.text import escape_json_controls

_RECORDS_ONLY = ("last", "since", "until", "experiment_name", "run_type", "where", "kql_only", "follow")
_SCOPES = ("resource_id", "workspace_id", "app_id")
_GOOD_STATES = {"completed", "finished", "reused"}
_COLOURS = dict(zip(reversed(LEVEL_NAMES), LEVEL_COLOURS.values()))
_BATCH = 500  # lines that are printed at once


class _Part(NamedTuple):
    """The lines of one file, or the cause of a failure, under a title."""

    title: str
    lines: Iterator[DriverLine]


class _Counts:
    """The lines that were hidden, and whether any was shown."""

    def __init__(self) -> None:
        self.hidden = 0
        self.files: set[Path] = set()
        self.notes: list[str] = []

    def hide(self) -> None:
        """Count a hidden line."""
        self.hidden += 1

    def read(self, file: Path) -> None:
        """Count a file that was read, once."""
        self.files.add(file)


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    """Print the driver logs of a run and return the exit code."""
    wrong = [name for name in _RECORDS_ONLY if getattr(options, name, None)]
    if wrong:
        names = ", ".join(f"--{name.replace('kql_only', 'kql').replace('_', '-')}" for name in wrong)
        raise UsageError(
            f"{names}: selects records, and --driver shows files; use --level, --contains or --step-name"
        )
    logging.getLogger("azure").addHandler(logging.NullHandler())
    places = _places(options)
    runs = run_places.select(run_places.run_folders(places), options.run or "", places)
    for folder in runs:
        if folder.run_id != options.run:
            output.print_notice(f"run {folder.run_id}")
    counts = _Counts()
    with pager.paged():
        shown = _print(options, list(_parts(options, environ, runs, counts)), counts)
    for note in counts.notes:
        output.print_notice(note)
    if counts.hidden:
        lines = rendering.pluralize(counts.hidden, "line")
        output.print_notice(f"{lines} of the runtime hidden: --runtime shows them")
    if not shown and counts.files:
        output.print_notice("nothing found")
    return 0 if counts.files else 2


def _places(options: Namespace) -> list[Path]:
    """Return the folders in which runs are looked for. UsageError if there is none."""
    if options.dir:
        places = [user_path.expand_path(path) for path in options.dir]
        missing = [str(path) for path in places if not user_path.is_directory(path)]
        if missing:
            raise UsageError(f"no such directory: {', '.join(missing)}")
        return places
    places = run_places.default_places(Path())
    if not places:
        names = f"./{run_places.RUNS_FOLDER} and ./{run_places.FETCHED_FOLDER}"
        raise UsageError(
            f"no driver logs here (looked for {names}): run amllog run FILE or amllog fetch RUN, or pass --dir"
        )
    return places


def _parts(
    options: Namespace, environ: Mapping[str, str], runs: list[RunFolder], counts: _Counts
) -> Iterator[_Part]:
    """Yield the parts of the answer in order."""
    for run in runs:
        jobs = [job for job in run.jobs(counts.notes) if _is_selected(options, job)]
        if not jobs:
            counts.notes.append(f"no log files in {run.path}")
        insights = _insights(options, environ, run)
        for job in jobs:
            cause = _cause(job, counts)
            if cause is not None:
                counts.read(job.path / cause.file)
                # A list: a generator would read `cause` after it is that of the last job.
                lines = [DriverLine(job.name, cause.file, 0, text, "ERROR") for text in cause.lines]
                yield _Part(f"{job.name}: the cause of the failure is in {cause.file}", iter(lines))
            kinds = set(LogKind) if options.runtime else {LogKind.USER}
            files = [file for file in job.files if file.kind in kinds]
            if not files:
                state = f" ({job.state})" if job.state else ""
                counts.notes.append(f"{job.name}{state}: no driver log in {job.path}")
            for file in files:
                title = "  ".join(filter(None, (f"{job.name}: {file.name}", job.state, job.run_id)))
                yield _Part(title, _lines(options, job, file, insights, counts))


def _cause(job: JobFolder, counts: _Counts) -> ParallelCause | None:
    """Return the cause of the failure of a parallel job. A file that cannot be read is noted."""
    try:
        return None if job.state.lower() in _GOOD_STATES else find_cause(job)
    except OSError as error:
        counts.notes.append(f"{job.name}: the cause is not known: {error}")
        return None


def _is_selected(options: Namespace, job: JobFolder) -> bool:
    names, ids = options.step_name or (), options.step_id or ()
    return (not names or job.name in names) and (not ids or job.run_id in ids)


def _insights(options: Namespace, environ: Mapping[str, str], run: RunFolder) -> Insights | None:
    """Return the questions over the records of a run: of the service if it is named, else of all journals at hand."""
    service: Any = {name: getattr(options, name) for name in _SCOPES if getattr(options, name)}
    if service:
        return connection.connect(environ=environ, **service)
    candidates = [user_path.expand_path(name) for name in candidate_directories(environ)]
    if not run.is_local:
        candidates.append(run.path)  # a local run has a copy of its records that clients sent
    places = [path for path in candidates if user_path.is_directory(path)]
    return Insights(connection.local_store(places)) if places else None


def _lines(
    options: Namespace, job: JobFolder, file: LogFile, insights: Insights | None, counts: _Counts
) -> Iterator[DriverLine]:
    """Yield the lines of a file that the options select. A file that cannot be read is noted."""
    records = record_rows(insights, job.run_id) if insights is not None else iter(())
    contains, is_shown = (options.contains or "").casefold(), False
    try:
        for line in file_lines(job, file, records):
            if line.number == 1:
                counts.read(file.path)
            if line.is_runtime and not options.runtime:
                counts.hide()
                continue
            if not line.is_further:
                is_shown = contains in line.text.casefold()
                is_shown = is_shown and (not options.level or is_at_least(line.level, options.level))
            elif not is_shown and contains and contains in line.text.casefold():
                is_shown = not options.level or is_at_least(line.level, options.level)
            if is_shown:
                yield line
        counts.read(file.path)  # it may be empty
    except OSError as error:
        counts.notes.append(f"{file.path} is not read: {error.strerror or error}")


def _print(options: Namespace, parts: list[_Part], counts: _Counts) -> bool:
    """Print the parts in the chosen format. Return whether there was a line."""
    numbered: Iterator[tuple[_Part, DriverLine]] = ((part, line) for part in parts for line in part.lines)
    if options.lines:
        numbered = iter(deque(numbered, maxlen=options.lines))
    elif options.limit:
        numbered = islice(numbered, options.limit)
    if options.csv:
        return _print_csv(line for _, line in numbered)
    texts = _json_texts(numbered) if options.json else _texts(numbered, has_titles=len(parts) > 1)
    is_empty = True
    while batch := list(islice(texts, _BATCH)):
        is_empty = False
        output.print_answer("\n".join(batch))
    if options.json:
        output.print_answer("[]" if is_empty else "]")
    return not is_empty


def _texts(numbered: Iterable[tuple[_Part, DriverLine]], *, has_titles: bool) -> Iterator[str]:
    """Yield the lines under the titles of their parts."""
    last: _Part | None = None
    for part, line in numbered:
        if part is not last and has_titles:
            separator = "" if last is None else "\n"
            yield f"{separator}{output.paint(f'== {part.title}', output.GREY)}"
        last = part
        yield _text(line)


def _text(line: DriverLine) -> str:
    colour = _COLOURS.get(line.level, "") if line.level not in ("", "INFO", "DEBUG") else ""
    text = output.paint(line.text, colour) if colour else line.text
    missing = line.missing_dimensions if line.row is not None else ""
    return f"{text}{output.paint(missing, output.GREY)}" if missing else text


def _json_texts(numbered: Iterable[tuple[_Part, DriverLine]]) -> Iterator[str]:
    """Yield the members of a JSON list, one on each line."""
    separator = "["
    for _, line in numbered:
        values = line.as_dict()
        values["timestamp"] = rendering.format_time(values["timestamp"]) or None
        yield separator + escape_json_controls(json.dumps(values, ensure_ascii=False, default=str))
        separator = ","


def _print_csv(lines: Iterator[DriverLine]) -> bool:
    """Print CSV in batches."""
    is_first = True
    while batch := [line.as_dict() for line in islice(lines, _BATCH)]:
        output.print_csv(Table(tuple(map(Column, batch[0])), tuple(batch)), header=is_first)
        is_first = False
    return not is_first
