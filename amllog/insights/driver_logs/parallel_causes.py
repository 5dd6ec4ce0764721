"""Find the cause of a failed ParallelRunStep in its log folders.

A failed step has its error in one of many files, and the first one that a reader opens is rarely the right one. The
order here is that in which the cause is most specific:

1. `logs/job_error*.txt`: the summary of a job that failed.
2. `logs/user/error.txt` and `logs/user/error/<node>/<process>.txt`: tracebacks of the entry script.
3. `logs/user/stderr` and `logs/user/stdout` of the processes that failed: what they printed last.
4. `logs/sys/error`: errors of the system around the entry script.

A summary without an exception names processes only, so the search continues behind it, and it is the answer if no
other file has one.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from amllog.insights.driver_logs.driver_lines import TRACEBACK
from amllog.insights.driver_logs.log_folders import JobFolder, LogFile
from amllog.insights.driver_logs.log_reading import read_lines

MAX_SHOWN = 60  # lines of the cause
_EXCEPTION = re.compile(
    r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Failure)\b(?::|$)|"
    r"Fatal Python error|Segmentation fault|Killed$|.*\bexit code -?[1-9]"
)
_CHAIN = re.compile(r"\s*(?:During handling of the above exception|The above exception was the direct cause)")
_PROCESS = re.compile(r"([^/]+)/(process\d+|[^/]+?)(?:\.(?:stdout|stderr|log))?\.(?:txt|log)\Z")
_SUMMARY = re.compile(r"logs/job_error[^/]*\.txt|logs/user/error\.txt")
_TABLE = re.compile(r"processed_(?:mini-batches|tasks)\.csv\Z")
_FAILED = re.compile(r"EXCEPTION|TIMEOUT|FAIL|ERROR", re.IGNORECASE)
_PLACES = ("logs/job_error", "logs/user/error", "logs/user/stderr/", "logs/user/stdout/", "logs/sys/error")
_MAX_CHARACTERS = 4000  # of one line that is shown


class ParallelCause(NamedTuple):
    """The lines that explain a failure, and the name of their file."""

    file: str
    lines: tuple[str, ...]


def find_cause(job: JobFolder) -> ParallelCause | None:
    """Return the cause of a failed parallel job. None if the job is not parallel or no file has an error.

    Raises OSError if a file cannot be read.
    """
    summary: ParallelCause | None = None
    for file in _in_order(job):
        lines, is_error = _last_error(file.path)
        if is_error:
            return ParallelCause(file.name, lines)
        if lines and summary is None and _SUMMARY.match(file.name):
            summary = ParallelCause(file.name, lines)
    return summary


def _in_order(job: JobFolder) -> Iterator[LogFile]:
    """Yield the files that may have the cause, the most specific first."""
    files = {place: [file for file in job.files if file.name.startswith(place)] for place in _PLACES}
    yield from files["logs/job_error"]
    yield from files["logs/user/error"]
    failed = _failed_processes(job)
    for place in ("logs/user/stderr/", "logs/user/stdout/"):
        yield from (file for file in files[place] if _process(file.name) in failed)
    yield from files["logs/sys/error"]
    if files["logs/sys/error"] or files["logs/job_error"]:  # the job failed, and no process is named
        for place in ("logs/user/stderr/", "logs/user/stdout/"):
            yield from (file for file in files[place] if _process(file.name) not in failed)


def _failed_processes(job: JobFolder) -> set[str]:
    """Return the names of the processes with an error, such as `process003`."""
    errors = [file for file in job.files if file.name.startswith("logs/user/error/")]
    failed = {_process(file.name) for file in errors if file.path.stat().st_size}
    for file in job.files:
        if _TABLE.search(file.name):
            failed |= set(_failed_in_table(file.path))
    for file in job.files:
        if file.name.startswith("logs/job_error"):
            failed |= {
                name for line in read_lines(file.path) for name in re.findall(r"\bprocess\d{3}\b", line)
            }
    return failed - {""}


def _failed_in_table(path: Path) -> Iterator[str]:
    """Yield the processes of the batches that failed in a table of ParallelRunStep, up to a row that is damaged."""
    rows = csv.DictReader(read_lines(path))
    while True:
        try:
            row = next(rows)
        except (StopIteration, csv.Error):  # a killed process leaves NUL or a quote without its end
            return
        values = {
            str(name).strip().lower(): value or "" for name, value in row.items() if isinstance(value, str)
        }
        has_failed = values.get("failed", "0").strip() not in ("", "0")
        if has_failed or _FAILED.search(values.get("status", "")):
            yield values.get("process", "").strip()


def _process(name: str) -> str:
    """Return the name of the process in the name of its file, or ""."""
    match = _PROCESS.search(name)
    return match[2] if match else ""


def _last_error(path: Path) -> tuple[tuple[str, ...], bool]:
    """Return the last traceback or the last line with an exception, and True. Else the last lines, and False."""
    last, error = deque[str](maxlen=MAX_SHOWN), deque[str](maxlen=MAX_SHOWN)
    indent = -1  # of the traceback that has not ended
    is_chained = False
    for line in read_lines(path):
        text = line[:_MAX_CHARACTERS].rstrip()
        if not text:
            continue
        last.append(text)
        if TRACEBACK in text:
            if not is_chained:
                error.clear()
            indent, is_chained = _indent(text), False
            error.append(text)
        elif indent >= 0:
            error.append(text)
            indent = indent if _indent(text) > indent else -1
        elif error and _CHAIN.match(text):
            is_chained = True
            error.append(text)
        elif _EXCEPTION.match(text.strip()):
            error.clear()
            error.append(text)
    return (tuple(error), True) if error else (tuple(last), False)


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())
