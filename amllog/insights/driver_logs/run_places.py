"""Find the folders of a run: one of `amllog run`, one of `amllog fetch`, or a download of another tool.

A run is named by its id, by the beginning of it, by the id of one of its steps, or by `last`. Runs are ordered by the
time of their file `run.json`, or of their folder.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from amllog.config import user_path
from amllog.errors import UsageError
from amllog.insights.driver_logs.layouts import MARKS
from amllog.insights.driver_logs.log_folders import (
    RUN_FILE,
    STEP_FILE,
    STEPS,
    JobFolder,
    find_jobs,
    read_json,
    text_of,
)
from amllog.insights.run_tree import ALL, LAST

RUNS_FOLDER = "amllog-runs"  # of `amllog run`, in its working directory
FETCHED_FOLDER = "amllog-fetched"  # of `amllog fetch`
_LOCAL_AZURE = "azure"
MAX_LISTED = 5  # candidates in a message


class RunFolder(NamedTuple):
    """The folder of a run. `step_id`: the only step that was named, or ""."""

    path: Path
    run_id: str
    name: str
    step_id: str = ""

    @property
    def is_local(self) -> bool:
        """True for a folder that `amllog run` made. The local Azure in it has copies of the records."""
        return (self.path / _LOCAL_AZURE).is_dir()

    def jobs(self, notes: list[str]) -> list[JobFolder]:
        """Return its steps, or the run itself if it has none. `notes` gets a sentence for each that is not read."""
        names = read_json(self.path / RUN_FILE).get("steps")  # in the order of the plan
        order = {str(name): place for place, name in enumerate(names if isinstance(names, list) else ())}
        jobs = find_jobs(self.path, notes)
        jobs.sort(key=lambda job: (job.started, order.get(job.name, len(order))))
        return [job for job in jobs if job.run_id == self.step_id] if self.step_id else jobs


def run_folders(places: Iterable[Path]) -> list[RunFolder]:
    """Return all runs in the places, the latest last. Raises OSError if a place cannot be read."""
    paths = {path.resolve(): path for place in places for path in _roots(place)}
    return sorted(map(_run, paths.values()), key=_time)


def select(runs: Sequence[RunFolder], name: str, places: Sequence[Path]) -> list[RunFolder]:
    """Return the runs that a name means. UsageError if there is none, or if it is the beginning of several."""
    looked_in = ", ".join(map(str, places))
    if not runs:
        raise UsageError(f"no driver logs in {looked_in}: pass the folder of a run with --dir")
    text = name or LAST
    if text == ALL:
        return list(runs)
    if text == LAST or (text.startswith(f"{LAST}~") and text[len(LAST) + 1 :].isdecimal()):
        number = int(text[len(LAST) + 1 :] or 0)
        if number >= len(runs):
            raise UsageError(f"{text}: there are {len(runs)} runs in {looked_in}")
        return [runs[-1 - number]]
    matches = [run for run in runs if run.run_id.startswith(text)]
    matches = matches or _with_step(runs, text) or _downloads(runs, text)
    exact = [run for run in matches if text in (run.run_id, run.step_id)]
    if len(exact or matches) == 1:
        return exact or matches
    if matches:
        candidates = ", ".join(run.step_id or run.run_id for run in matches[-MAX_LISTED:])
        raise UsageError(f"{text} is the beginning of {len(matches)} runs: {candidates}")
    known = ", ".join(run.run_id for run in runs[-MAX_LISTED:])
    raise UsageError(f"no driver logs of run {text} in {looked_in}; there are those of {known}")


def default_places(directory: Path) -> list[Path]:
    """Return the folders of runs in a working directory, or the directory itself if it is a downloaded job."""
    folders = [directory / RUNS_FOLDER, directory / FETCHED_FOLDER]
    places = [path for path in folders if path.is_dir()]
    is_job = any((directory / name).is_dir() for name in (*MARKS, "artifacts"))
    return places or ([directory] if is_job else [])


def has_run(directory: Path, run_id: str) -> bool:
    """Return whether `amllog logs --driver` in a working directory finds a run by its complete id."""
    places = [directory / name / run_id for name in (RUNS_FOLDER, FETCHED_FOLDER)]
    try:
        return Path(run_id).name == run_id and any(user_path.is_file(place / RUN_FILE) for place in places)
    except UsageError:  # no folder has such a name
        return False


def driver_command(directory: Path, root: str, selection: str = "") -> str:
    """Return the command that shows what a run has printed, or "" if a working directory does not have its logs.

    `root` is the outermost run. `selection` is the options that select a step.
    """
    options = f" {selection}" if selection else ""
    return f"amllog logs --driver {shlex.quote(root)}{options}" if has_run(directory, root) else ""


def _roots(place: Path) -> list[Path]:
    """Return the folders of runs in a place: those with the file of a run, or the place itself."""
    if _is_run(place):
        return [place]
    children = sorted(path for path in place.iterdir() if path.is_dir() and not path.is_symlink())
    runs = [path for path in children if _is_run(path)]
    nested = [
        path for child in children if child.name in (RUNS_FOLDER, FETCHED_FOLDER) for path in _roots(child)
    ]
    return runs + nested or [place]


def _is_run(path: Path) -> bool:
    return (path / RUN_FILE).is_file()


def _run(path: Path) -> RunFolder:
    values, name = read_json(path / RUN_FILE), path.absolute().name
    return RunFolder(path, text_of(values, "run_id") or name, text_of(values, "name") or name)


def _with_step(runs: Sequence[RunFolder], text: str) -> list[RunFolder]:
    """Return the runs with a step whose id begins with the text, each with this step."""
    return [
        run._replace(step_id=step_id)
        for run in runs
        for step_id in sorted(
            text_of(read_json(path), "run_id") for path in run.path.glob(f"{STEPS}/*/{STEP_FILE}")
        )
        if step_id.startswith(text)
    ]


def _downloads(runs: Sequence[RunFolder], text: str) -> list[RunFolder]:
    """Return the folders of downloads in a place whose name begins with the text. Such a folder has the id of a job."""
    places = [run.path for run in runs if not _is_run(run.path)]
    paths = [path for place in places for path in sorted(place.iterdir()) if path.name.startswith(text)]
    return [_run(path) for path in paths if path.is_dir() and not path.is_symlink() and find_jobs(path, [])]


def _time(run: RunFolder) -> tuple[float, str]:
    """Return the time of the start of a local run, or that at which another one was fetched or downloaded."""
    path = run.path / RUN_FILE if _is_run(run.path) else run.path
    started = read_json(path).get("started") if run.is_local else None
    return float(started) if isinstance(started, (int, float)) else path.stat().st_mtime, run.run_id
