"""Find the folders of jobs below a folder, with their log files.

Three programs make such folders: `amllog run` (`<run>/steps/<step>`), `amllog fetch` (the same), and the downloads of
Azure ML's own tools, which put the files of a job below `artifacts`. A folder is that of a job if it has a folder or a
file that only jobs have. Links are not followed, and depth and number of entries are limited.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from amllog.insights.driver_logs.layouts import (
    MARKS,
    STD_LOG,
    LogKind,
    is_rank_log,
    kind_of_file,
    sort_key,
)
from amllog.insights.stores.local.other_formats import open_for_reading

RUN_FILE, STEP_FILE = "run.json", "step.json"  # of `amllog run` and `amllog fetch`
STEPS = "steps"
MAX_DEPTH = 12
MAX_ENTRIES = 200_000
MAX_JSON_BYTES = 16 * 1024 * 1024
NEVER = "~"  # sorts after each time
_LAST_SECOND = 253_402_300_799  # of the year 9999
_WORK = "work"  # the working directory of a local step. Its `logs` are those of the job
# Folders of a job without another job in them.
_INNER = MARKS | {"logs", "outputs", "named-outputs", _WORK, "azure", "inputs", ".git"}


class LogFile(NamedTuple):
    """One log file. `name` is relative to the folder of its job, with `/`."""

    path: Path
    name: str
    kind: LogKind


class JobFolder(NamedTuple):
    """The folder of one job. `run_id` is "" if nothing in the folder has it, as in downloads."""

    path: Path
    name: str
    run_id: str = ""
    state: str = ""
    files: tuple[LogFile, ...] = ()
    started: str = NEVER


def find_jobs(folder: Path, notes: list[str]) -> list[JobFolder]:
    """Return the jobs in and below a folder, in the order of their start as far as known, else by name.

    `notes` gets a sentence for each folder that cannot be read and for each limit.
    """
    jobs = [_job(path, notes) for path in _job_paths(folder, notes)]
    jobs.sort(key=lambda job: (job.started, sort_key(job.name)[1], str(job.path)))
    return [job for job in jobs if job.files or (job.path / STEP_FILE).is_file()]


def read_json(path: Path) -> Mapping[str, Any]:
    """Return the object in a small JSON file. {} if there is none, or if the file is another one."""
    try:
        with open_for_reading(path) as file:
            value = json.loads(file.read(MAX_JSON_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def text_of(values: Mapping[str, Any], *names: str) -> str:
    """Return the first of these members that is a string, or ""."""
    return next((values[name] for name in names if isinstance(values.get(name), str)), "")


def start_of(values: Mapping[str, Any]) -> str:
    """Return the start of a run as ISO 8601, from seconds or from a string. NEVER, which sorts last, without one."""
    started = values.get("started")
    if isinstance(started, (int, float)) and 0 <= started < _LAST_SECOND:
        return datetime.fromtimestamp(started, timezone.utc).isoformat()
    return started if isinstance(started, str) and started else NEVER


def _job_paths(folder: Path, notes: list[str]) -> Iterator[Path]:
    """Yield the folders of jobs in and below a folder."""
    pending, count = [(folder, 0)], 0
    while pending:
        place, depth = pending.pop()
        try:
            with os.scandir(place) as entries:
                listed = [entry for entry in entries if not entry.is_symlink()]
        except OSError as error:
            notes.append(f"{place}: {error.strerror}")
            continue
        count += len(listed)
        names = {entry.name for entry in listed}
        folders = {entry.name for entry in listed if entry.is_dir(follow_symlinks=False)}
        if count > MAX_ENTRIES or (depth == MAX_DEPTH and folders):
            is_deep = count <= MAX_ENTRIES
            limit = f"folders more than {MAX_DEPTH} deep" if is_deep else f"more than {MAX_ENTRIES:,} files"
            notes.append(f"{place}: {limit} are not read")
            continue
        if folders & MARKS or names & {STEP_FILE, RUN_FILE} or _is_parallel(place):
            yield place
        pending += [(place / name, depth + 1) for name in sorted(folders - _INNER, reverse=True)]


def _is_parallel(place: Path) -> bool:
    """Return whether the folder has the logs of ParallelRunStep. `logs` alone is a common name."""
    logs = place / "logs"
    return (logs / "user").is_dir() or (logs / "sys").is_dir() or any(logs.glob("job_error*.txt"))


def _job(path: Path, notes: list[str]) -> JobFolder:
    values = read_json(path / STEP_FILE) or read_json(path / RUN_FILE)
    parent = path.parent if path.name == "artifacts" else path
    name = text_of(values, "name", "display_name") or parent.absolute().name
    files = {file.name: file for base in (path / _WORK, path) for file in _files(base, notes)}
    if not files:
        files = {file.name: file for base in _reused_folders(path, values) for file in _files(base, notes)}
    if text_of(values, "folder") and STD_LOG in files:
        # A local step has the lines of all its ranks in one file, too. In Azure, each rank has its own file only.
        files = {
            name: file._replace(kind=LogKind.RUNTIME) if is_rank_log(name) else file
            for name, file in files.items()
        }
    ordered = tuple(
        files[name]
        for name in sorted(files, key=lambda name: (files[name].kind is not LogKind.USER, sort_key(name)))
    )
    run_id, state = text_of(values, "run_id"), text_of(values, "state", "status")
    return JobFolder(path, name, run_id, state, ordered, start_of(values))


def _reused_folders(path: Path, values: Mapping[str, Any]) -> list[Path]:
    """Return the folders of the step whose outputs this one reuses. They belong to another run in the same folder."""
    folder, runs = Path(text_of(values, "folder")).absolute(), list(path.absolute().parents)[2:3]
    is_reused = folder != path.absolute() and any(runs_folder in folder.parents for runs_folder in runs)
    return [folder / _WORK, folder] if is_reused else []


def _files(base: Path, notes: list[str]) -> Iterator[LogFile]:
    """Yield the log files in a folder."""

    def report(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            notes.append(f"{error.filename}: {error.strerror}")

    for top in sorted(name for name in (*MARKS, "logs") if not (base / name).is_symlink()):
        for place, _, names in os.walk(base / top, onerror=report):
            for file in names:
                path = Path(place, file)
                name = path.relative_to(base).as_posix()
                kind = kind_of_file(name)
                if kind is not None and not path.is_symlink():
                    yield LogFile(path, name, kind)
