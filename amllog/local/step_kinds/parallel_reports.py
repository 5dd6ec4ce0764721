"""The log files of a parallel step, in the folders and with the names of ParallelRunStep.

A part of the stand-alone program `parallel_driver`, which imports it from its own folder.
"""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

NODE = "localhost"
_COLUMNS = (
    "Mini-batch Id", "Picked Count", "Process", "Process Start Time", "Total", "Succeeded", "Failed",
    "Elapsed Seconds", "Process Seconds", "Run Method Seconds", "Status", "Error Category", "Error Message",
    "Mini-batch Detail",
)  # fmt: skip
_SECONDS_BETWEEN_LINES = 5.0
_TRACEBACKS = 5  # shown in the log of the step. All are in the files


def show(text: str) -> None:
    """Write lines to stdout without a buffer, so that none is lost when this process is killed."""
    data = text.encode("utf-8", "backslashreplace") + b"\n"
    while data:
        data = data[os.write(1, data) :]


class Tally:
    """The counts of mini-batches, and of their files or rows, with the limits of the step."""

    def __init__(self, task: Mapping[str, Any], total: int) -> None:
        self.total = total
        self.done = self.failed = 0
        self._failed_items = 0
        self._tracebacks: set[str] = set()
        self._last_error = self._last_traceback = ""
        self._task = task

    def is_new_error(self, message: str, traceback: str) -> bool:
        """Note an error. Return whether its traceback should be shown: the first ones that differ."""
        self._last_error, self._last_traceback = message, traceback
        is_new = bool(traceback) and traceback not in self._tracebacks and len(self._tracebacks) < _TRACEBACKS
        self._tracebacks.update([traceback] if is_new else [])
        return is_new

    def add_success(self, items: int, results: int) -> None:
        """Count a mini-batch. An item without a result has failed."""
        self.done += 1
        self._failed_items += max(0, items - results)

    def add_failure(self, items: int) -> None:
        """Count a mini-batch that has failed finally."""
        self.failed += 1
        self._failed_items += items

    def problem(self) -> str:
        """Return the limit that is exceeded, or an empty string."""
        batches, items = self._task["mini_batch_error_threshold"], self._task["error_threshold"]
        percent = self._task["allowed_failed_percent"]
        if 0 <= batches < self.failed:
            return f"{self.failed} mini-batches failed, and mini_batch_error_threshold is {batches}"
        if 0 <= items < self._failed_items:
            return f"{self._failed_items} files or rows have no result, and error_threshold is {items}"
        if self.failed * 100 > percent * self.total:
            return f"{self.failed} of {self.total} mini-batches failed, and {percent:g} percent may fail"
        return ""

    def summary(self, failure: str) -> list[str]:
        """Return the lines at the end of the step."""
        counts = f"{self.done} of {self.total} mini-batches succeeded, {self.failed} failed."
        logs = f"Output of the script: {self._task['logs']}/user/stdout. Errors: {self._task['logs']}/user/error."
        if not failure and self.failed:
            return [counts + " The step completes, because its thresholds allow them.", logs]
        if not failure:
            return [counts, logs]
        cause = f" The last error: {self._last_error}" if self._last_error not in failure else ""
        # The log of the step ends with the traceback, where people and programs look for it.
        traceback = [self._last_traceback.rstrip()] if self._last_traceback else []
        return [counts, logs, f"The parallel step failed. {failure}.{cause}", *traceback]


class ParallelReports:
    """The files below `./logs`."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._day = datetime.now(timezone.utc).strftime("%Y%m%d")
        self._started = time.time()
        self._next_line = time.monotonic() + _SECONDS_BETWEEN_LINES
        self._is_incomplete = False

    def process_files(self, process: str) -> Mapping[str, str]:
        """Return the files of one worker process."""
        user = self._logs / "user"
        return {
            "stdout": str(user / "stdout" / NODE / f"{process}.stdout.txt"),
            "stderr": str(user / "stderr" / NODE / f"{process}.stderr.txt"),
            "error": str(user / "error" / NODE / f"{process}.txt"),
            "logger": str(user / "entry_script_log" / NODE / f"{process}.log.txt"),
        }

    def _append(self, name: str, text: str) -> None:
        """Append to a file. After an error, such as a full disk, the step goes on, and the error is shown once."""
        path = self._logs / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8", errors="backslashreplace", newline="") as file:
                file.write(text)
        except OSError as error:
            if not self._is_incomplete:
                show(f"The log files in {self._logs} are incomplete: {error}")
            self._is_incomplete = True

    def system(self, text: str, process: str = "_main") -> None:
        """Write a line about a process, or about the driver, in the format of the service."""
        now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")
        self._append(f"sys/node/{NODE}/{process}.txt", f"{now}|INFO|{os.getpid()}|MainThread|{text}\n")

    def attempt(
        self, process: str, batch: Mapping[str, Any], status: str, message: Mapping[str, Any], seconds: float
    ) -> None:
        """Add a row about one attempt to process a mini-batch.

        `status`: RUN_DONE, RUN_EXCEPTION, RUN_TIMEOUT or PROCESS_END. `message` is that of the worker, if it sent one.
        """
        name = "sys/job_report/processed_mini-batches.csv"
        rows = io.StringIO()
        writer = csv.writer(rows)
        if not (self._logs / name).exists():
            writer.writerow(_COLUMNS)
        started = datetime.fromtimestamp(time.time() - seconds, timezone.utc).isoformat()
        total, succeeded = batch["total"], min(message.get("count", 0), batch["total"])
        writer.writerow(
            [
                batch["number"], batch["attempt"], process, started, total, succeeded, total - succeeded,
                f"{seconds:.3f}", f"{seconds:.3f}", f"{message.get('seconds', seconds):.3f}", status,
                message.get("type", ""), message.get("message", ""), batch["detail"],
            ]
        )  # fmt: skip
        self._append(name, rows.getvalue())

    def user_error(self, process: str, summary: str, traceback: str) -> None:
        """Write an error of the entry script: the summary of all, and the traceback of this process."""
        self._append("user/error.txt", f"{summary}\n")
        self._append(f"user/error/{NODE}/{process}.txt", f"{summary}\n{traceback.rstrip()}\n\n")

    def progress(self, tally: Tally) -> None:
        """Show the progress, at most every few seconds."""
        if time.monotonic() < self._next_line:
            return
        self._next_line = time.monotonic() + _SECONDS_BETWEEN_LINES
        line = f"{tally.done} of {tally.total} mini-batches, {tally.failed} failed, {time.time() - self._started:.0f} s"
        show(line)
        self._append(f"job_progress_overview.{self._day}.txt", line + "\n")

    def end(self, lines: list[str], *, is_failed: bool) -> None:
        """Write the end of the step, and show it."""
        text = "\n".join(lines)
        show(text)
        self._append(f"job_result.{self._day}.txt", text + "\n")
        if is_failed:
            self._append(f"job_error.{self._day}.txt", text + "\n")
