"""Run a parallel step: divide the input, send mini-batches to worker processes, and collect what `run` returns.

A stand-alone program of the standard library: `python -I -S parallel_driver.py JSON`. The exit code is 0, or 42 if the
step failed, as in Azure ML. A mini-batch fails by an exception, a wrong result, the time limit or the end of its
process. It is tried again, in another process if its own has ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from amllog.local.step_kinds.parallel_process import WorkerProcess
    from amllog.local.step_kinds.parallel_reports import ParallelReports, Tally, show
else:
    # The folder of this program. `-I` keeps it from the path.
    sys.path.insert(0, str(Path(__file__).parent))
    from parallel_process import WorkerProcess
    from parallel_reports import ParallelReports, Tally, show

FAILED = 42
_SECONDS_FOR_SHUTDOWN = 60.0


class StepFailed(Exception):
    """The end of the step before all mini-batches are done."""


class Driver:
    """The mini-batches and the worker processes."""

    def __init__(self, task: dict[str, Any], reports: ParallelReports, directory: str) -> None:
        self._task, self._reports, self._directory = task, reports, directory
        self.tally = Tally(task, 0)
        self._selector = selectors.DefaultSelector()
        self._workers: list[WorkerProcess] = []
        self._waiting: deque[dict[str, Any]] = deque()
        self._started = self._init_errors = 0
        self._has_worked = False
        self._wakeup, write_end = os.pipe()
        for end in (self._wakeup, write_end):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(self._wakeup, selectors.EVENT_READ)

    def divide(self) -> None:
        """Divide the input into mini-batches, in the interpreter of the step. Raises StepFailed."""
        task = {**self._task["input"], "directory": self._directory}
        program = [self._task["input_python"], self._task["input_program"], json.dumps(task)]
        done = subprocess.run(
            program, cwd=self._task["worker"]["work"], stdin=subprocess.DEVNULL, check=False
        )
        path = Path(self._directory, "batches.json")
        answer = json.loads(path.read_text("utf-8")) if path.exists() else {}
        if "batches" not in answer:
            reason = answer.get("error") or f"the program ended with exit code {done.returncode}, see above"
            raise StepFailed(f"The input {self._task['input']['name']} cannot be divided: {reason}")
        self._waiting.extend({**batch, "attempt": 0} for batch in answer["batches"])
        self.tally = Tally(self._task, len(self._waiting))

    def run(self) -> None:
        """Process all mini-batches. Raises StepFailed."""
        self._reports.system(f"{self.tally.total} mini-batches, {self._task['processes']} processes")
        if self._task["append_to"]:
            self._open_output("wb").close()
        while self._waiting or any(worker.batch for worker in self._workers):
            self._start_workers()
            self._assign()
            self._wait()
            self._take_ends()
            if problem := self.tally.problem():
                raise StepFailed(problem)
            self._reports.progress(self.tally)
        self._finish()
        if self.tally.failed == self.tally.total:
            raise StepFailed(f"All {self.tally.total} mini-batches failed")

    def _start_workers(self) -> None:
        active = [worker for worker in self._workers if not worker.has_error]
        busy = sum(worker.batch is not None for worker in active)
        wanted = min(self._task["processes"], len(self._waiting) + busy) - len(active)
        for _ in range(wanted):
            name = f"process{self._started:03d}"
            worker = WorkerProcess(name, self._task, self._reports.process_files(name))
            self._started += 1
            self._reports.system(f"started as process {worker.process.pid}", worker.name)
            self._workers.append(worker)
            self._selector.register(worker.results, selectors.EVENT_READ, worker)

    def _assign(self) -> None:
        for worker in self._workers:
            if self._waiting and worker.is_ready and worker.batch is None and not worker.has_error:
                batch = self._waiting.popleft()
                batch["attempt"] += 1
                worker.send(batch, self._rows(worker), self._task["worker"]["timeout_seconds"])

    def _rows(self, worker: WorkerProcess) -> str:
        """Return the file for the rows of one attempt, or an empty string if rows are not collected."""
        return str(Path(self._directory, f"{worker.name}.rows")) if self._task["append_to"] else ""

    def _wait(self) -> None:
        """Wait for a message, the end of a process or a time limit. Kill processes that are late."""
        deadlines = [worker.deadline for worker in self._workers if worker.batch]
        self._select(max(0.0, min(deadlines) - time.monotonic()) if deadlines else None)
        self._take_messages()
        for worker in self._workers:
            if worker.is_late:
                worker.kill()

    def _select(self, seconds: float | None) -> None:
        self._selector.select(seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wakeup, 65536)

    def _take_messages(self) -> None:
        for worker in self._workers:
            for message in worker.messages():
                event = message["event"]
                if event == "ready":
                    self._has_worked = True
                elif event == "done":
                    self._batch_done(worker, message)
                elif event == "run_error":
                    self._batch_failed(worker, message, "RUN_EXCEPTION")
                elif event in ("init_error", "shutdown_error"):
                    self._script_failed(worker, "init()" if event == "init_error" else "shutdown()", message)

    def _take_ends(self) -> None:
        """Take the processes that have ended, after all their messages."""
        ended = [worker for worker in self._workers if worker.process.poll() is not None]
        self._take_messages()
        for worker in ended:
            self._reports.system(worker.end, worker.name)
            if worker.is_late:
                limit = self._task["worker"]["timeout_seconds"]
                message = f"run() did not end within {limit:g} seconds. {worker.name} was killed"
                self._batch_failed(worker, {"message": message, "type": "Timeout"}, "RUN_TIMEOUT")
            elif worker.batch is not None:
                message = f"{worker.name} {worker.end} while run() had the mini-batch"
                self._batch_failed(worker, {"message": message, "type": "ProcessEnd"}, "PROCESS_END")
            elif not worker.is_ready and not worker.has_error:
                self._script_failed(worker, "init()", {"message": f"{worker.name} {worker.end}"})
            elif worker.process.returncode and not worker.has_error:
                show(f"{worker.name} {worker.end} after its last mini-batch")
            self._selector.unregister(worker.results)
            self._workers.remove(worker)
            worker.close()

    def _script_failed(self, worker: WorkerProcess, place: str, message: dict[str, Any]) -> None:
        """Report an error of the script outside of run(). If no process can begin, the step fails."""
        self._show_error(worker, f"{place} failed in {worker.name}: {message['message']}", message)
        if place == "init()":
            self._init_errors += 1
            if self._init_errors >= self._task["processes"] * (3 if self._has_worked else 1):
                raise StepFailed(f"init() failed in {self._init_errors} processes: {message['message']}")

    def _batch_done(self, worker: WorkerProcess, message: dict[str, Any]) -> None:
        batch = worker.take_batch()
        if self._task["append_to"]:
            with open(self._rows(worker), "rb") as rows, self._open_output("ab") as output:
                while data := rows.read(1 << 20):
                    output.write(data)
        self._reports.attempt(worker.name, batch, "RUN_DONE", message, worker.seconds)
        self.tally.add_success(batch["total"], message["count"])

    def _open_output(self, mode: str) -> IO[bytes]:
        try:
            return open(self._task["append_to"], mode, buffering=0)
        except OSError as error:
            raise StepFailed(f"The output cannot be written: {error}") from error

    def _batch_failed(self, worker: WorkerProcess, message: dict[str, Any], status: str) -> None:
        batch = worker.take_batch()
        attempts = self._task["max_retries"] + 1
        number, attempt = batch["number"], batch["attempt"]
        text = f"mini-batch {number} failed in {worker.name}, attempt {attempt} of {attempts}: {message['message']}"
        self._show_error(worker, text, message)
        self._reports.attempt(worker.name, batch, status, message, worker.seconds)
        if attempt < attempts:
            self._waiting.append(batch)
        else:
            self.tally.add_failure(batch["total"])

    def _show_error(self, worker: WorkerProcess, text: str, message: dict[str, Any]) -> None:
        trace = message.get("traceback", "")
        self._reports.user_error(worker.name, text, trace)
        show(text)
        if self.tally.is_new_error(message["message"], trace):
            show(trace.rstrip())

    def _finish(self) -> None:
        """Let the workers call shutdown(), and wait for their end."""
        for worker in self._workers:
            worker.finish()
        deadline = time.monotonic() + _SECONDS_FOR_SHUTDOWN
        while self._workers and time.monotonic() < deadline:
            self._select(deadline - time.monotonic())
            self._take_ends()
        for worker in self._workers:
            show(f"shutdown() of {worker.name} did not end within {_SECONDS_FOR_SHUTDOWN:g} seconds")

    def kill(self) -> None:
        """Kill the processes that are left."""
        for worker in self._workers:
            worker.kill()


def _stop(number: int, _frame: object) -> None:
    """End this process. A second signal does not interrupt the end."""
    for other in (signal.SIGTERM, signal.SIGINT):
        signal.signal(other, signal.SIG_IGN)
    sys.exit(128 + number)


def main() -> int:
    """Run the task in the first argument."""
    task = json.loads(sys.argv[1])
    reports = ParallelReports(Path(task["logs"]))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    failure = ""
    with tempfile.TemporaryDirectory(prefix="mini-batches-", dir=task["directory"]) as directory:
        driver = Driver(task, reports, directory)
        try:
            driver.divide()
            driver.run()
        except StepFailed as error:
            failure = str(error)
        except OSError as error:
            failure = f"The step cannot go on: {error}"
        finally:
            driver.kill()
    reports.end(driver.tally.summary(failure), is_failed=bool(failure))
    return FAILED if failure else 0


if __name__ == "__main__":
    sys.exit(main())
