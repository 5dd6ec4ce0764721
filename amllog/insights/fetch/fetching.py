"""Fetch the logs and journals of a run and of all runs below it.

The SDKs of Azure ML may wait without a limit, so each of their calls runs in the background, within the time that
remains. A file that cannot be loaded does not stop the others. What is missing is loaded by the next fetch.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amllog.errors import UsageError
from amllog.insights.driver_logs.log_folders import STEPS
from amllog.insights.fetch import fetched_folder
from amllog.insights.fetch.fetched_folder import FetchedFolder
from amllog.insights.fetch.remote_runs import RemoteRun, RemoteRuns, defect_of_name, is_wanted
from amllog.process.background import BackgroundCall
from amllog.record.error_cause import cause, describe
from amllog.record.text import escape_controls

MAX_RUNS, MAX_FILES = 2_000, 10_000  # of one fetch, and of one run
_NEVER = 10**12


class OutOfBounds(Exception):
    """The time or the size of a fetch is used up."""


class CallFailed(Exception):
    """A call of an SDK failed. The message is the cause."""


@dataclass
class FetchedRun:
    """The files of one run: the loaded ones, those that were here already, and the failures."""

    run: RemoteRun
    folder: Path
    loaded: int = 0
    kept: int = 0  # files that were here already
    size_bytes: int = 0
    failures: list[str] = field(default_factory=list)

    def keep(self) -> None:
        """Count a file that was here already."""
        self.kept += 1

    def load(self, size: int) -> None:
        """Count a loaded file."""
        self.loaded += 1
        self.size_bytes += size


@dataclass
class FetchReport:
    """The result of a fetch: the runs, the requested one first, and what ended it early."""

    runs: list[FetchedRun] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def all_failures(self) -> list[str]:
        """All failures with the names of their runs."""
        return [*(f"{run.run.name}: {text}" for run in self.runs for text in run.failures), *self.failures]

    @property
    def folder(self) -> Path:
        """The folder of the requested run."""
        return self.runs[0].folder


class Fetch:
    """One fetch. `seconds` and `max_bytes` limit it as a whole. `progress` gets a sentence for each run."""

    def __init__(
        self,
        source: RemoteRuns,
        directory: Path,
        *,
        seconds: float,
        max_bytes: int = _NEVER,
        progress: Callable[[str], object] = lambda text: None,
    ) -> None:
        self._source, self._directory, self._progress = source, directory, progress
        self._deadline, self._bytes, self._seconds = time.monotonic() + seconds, max_bytes, seconds
        self._max_bytes = max_bytes
        self._report = FetchReport()

    def fetch(self, run_id: str) -> FetchReport:
        """Fetch a run. UsageError if the run cannot be read or its folder cannot be used."""
        try:
            run = self._call(lambda: self._source.run(run_id))
        except (CallFailed, OutOfBounds) as error:
            raise UsageError(f"run {run_id} cannot be read: {error}") from error
        below = self._below(run_id)
        steps = [{"name": step.name, "run_id": step.run_id, "state": step.state} for step in below]
        root = fetched_folder.open_run(self._directory, run, {STEPS: steps} if steps else None)
        parts = fetched_folder.temporary_folder(root.path)
        try:
            self._fetch_run(root, parts)
            for step in below:
                self._fetch_run(fetched_folder.open_step(root.path, step), parts)
        except OutOfBounds as error:
            self._report.failures.append(f"{error}; fetch again for the rest")
        finally:
            shutil.rmtree(parts, ignore_errors=True)
        return self._report

    def _below(self, run_id: str) -> list[RemoteRun]:
        """Return the runs below a run. A failure is reported, and the run itself is fetched."""
        try:
            below = sorted(
                self._call(lambda: self._source.descendants(run_id)), key=lambda step: step.started
            )
        except (CallFailed, OutOfBounds) as error:
            self._report.failures.append(f"the steps of {run_id} cannot be listed: {error}")
            return []
        if len(below) > MAX_RUNS:
            self._report.failures.append(f"{len(below)} runs: only the first {MAX_RUNS} are fetched")
        return below[:MAX_RUNS]

    def _fetch_run(self, folder: FetchedFolder, parts: Path) -> None:
        """Fetch the files of one run."""
        result = FetchedRun(folder.run, folder.path)
        self._report.runs.append(result)
        folder.save(is_complete=False)
        try:
            names = self._call(lambda: self._source.files(folder.run.run_id))
        except OutOfBounds:
            result.failures.append("not fetched")
            raise
        except CallFailed as error:
            result.failures.append(f"its files cannot be listed: {error}")
            return
        wanted = sorted(set(filter(is_wanted, names)))
        if len(wanted) > MAX_FILES:
            result.failures.append(f"{len(wanted)} files: only the first {MAX_FILES} are fetched")
        folder.announce(name for name in wanted[:MAX_FILES] if not defect_of_name(name))
        try:
            for name in wanted[:MAX_FILES]:
                self._fetch_file(folder, name, parts, result)
        finally:
            folder.save(is_complete=not result.failures)
            kept = f", {result.kept} were here" if result.kept else ""
            self._progress(f"{folder.run.name}: {result.loaded} files{kept}")

    def _fetch_file(self, folder: FetchedFolder, name: str, parts: Path, result: FetchedRun) -> None:
        if not defect_of_name(name) and folder.has(name):
            result.keep()
            return
        part = parts / f"{len(self._report.runs)}-{result.loaded + len(result.failures)}"
        try:
            folder.target(name)
            self._call(lambda: self._source.download(folder.run.run_id, name, part))
            size = folder.add(name, part)
        except OutOfBounds:
            result.failures.append(f"{escape_controls(name)}: not fetched")
            raise
        except CallFailed as error:
            result.failures.append(f"{escape_controls(name)}: {error}")
            return
        except OSError as error:  # of the disk, or a path that is not ours
            result.failures.append(f"{escape_controls(name)}: {reason(error)}")
            return
        result.load(size)
        self._bytes -= size
        if self._bytes < 0:
            raise OutOfBounds(f"more than {self._max_bytes:,} bytes (--max-bytes)")

    def _call(self, work: Callable[[], Any]) -> Any:
        """Call the SDK within the remaining time. Raises OutOfBounds or CallFailed."""
        remaining = self._deadline - time.monotonic()
        message = f"not everything was fetched within {self._seconds:g} s (--timeout)"
        if remaining <= 0:
            raise OutOfBounds(message)
        call = BackgroundCall(work)
        call.wait(remaining)
        if not call.over:
            raise OutOfBounds(message)
        try:
            return call.result(0)
        except Exception as error:  # any exception of an SDK
            raise CallFailed(reason(error)) from error


def reason(error: BaseException) -> str:
    """Return the type and the cause of an error. Some errors of azureml cannot be converted to strings."""
    message = getattr(error, "message", None)
    text = cause(message) if isinstance(message, str) else ""
    return f"{type(error).__name__}: {text}" if text else describe(error)
