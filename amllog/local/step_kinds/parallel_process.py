"""One worker process of a parallel step, as the driver sees it.

A part of the stand-alone program `parallel_driver`, which imports it from its own folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SECONDS_FOR_TRACES = 0.5  # after the time limit, in which the worker writes where it is


def _descendants(ancestor: int) -> list[int]:
    """Return the process ids of the children of a process, and of theirs. Empty without /proc."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else []:
        with contextlib.suppress(OSError, ValueError, IndexError):  # it has ended, or is no process
            stat = Path("/proc", name, "stat").read_bytes()
            children.setdefault(int(stat.rpartition(b")")[2].split()[1]), []).append(int(name))
    pids = list(children.get(ancestor, []))
    for pid in pids:  # the list grows
        pids += children.get(pid, [])
    return pids


class WorkerProcess:
    """One worker process, its two pipes and its mini-batch."""

    def __init__(self, name: str, task: dict[str, Any], files: Mapping[str, str]) -> None:
        self.name = name
        self.batch: dict[str, Any] | None = None
        self.is_ready = self.has_error = False
        self.deadline = self.started = 0.0
        self._rest = b""
        for path in files.values():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        batches, self._batches = os.pipe()
        self.results, results = os.pipe()
        worker = {
            **task["worker"],
            "name": name,
            "files": dict(files),
            "batches": batches,
            "results": results,
        }
        with open(files["stdout"], "ab") as stdout, open(files["stderr"], "ab") as stderr:
            self.process = subprocess.Popen(
                [task["python"], task["worker_program"], json.dumps(worker)],
                cwd=task["worker"]["work"],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                pass_fds=(batches, results),
            )
        os.close(batches)
        os.close(results)
        os.set_blocking(self.results, False)

    def send(self, batch: dict[str, Any], rows: str, seconds: float) -> None:
        """Send a mini-batch. The process may have ended, which is noticed later."""
        self.batch, self.started = batch, time.monotonic()
        self.deadline = self.started + seconds + _SECONDS_FOR_TRACES
        message = {key: batch[key] for key in ("number", "items", "table")}
        data = json.dumps({**message, "rows": rows}).encode() + b"\n"
        with contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(self._batches, data) :]

    def take_batch(self) -> dict[str, Any]:
        """Return the mini-batch of this process, which has none afterwards."""
        batch, self.batch = self.batch, None
        assert batch is not None
        return batch

    def messages(self) -> list[dict[str, Any]]:
        """Return the messages that have arrived."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.results, 65536):
                self._rest += data
        *lines, self._rest = self._rest.split(b"\n")
        messages: list[dict[str, Any]] = [json.loads(line) for line in lines]
        events = {message["event"] for message in messages}
        self.is_ready = self.is_ready or "ready" in events
        self.has_error = self.has_error or bool(events & {"init_error", "shutdown_error"})
        return messages

    def finish(self) -> None:
        """Let the process end after its mini-batch."""
        os.close(self._batches)
        self._batches = -1

    @property
    def seconds(self) -> float:
        """The time since the mini-batch was sent."""
        return time.monotonic() - self.started

    @property
    def is_late(self) -> bool:
        """Return whether the time limit of the mini-batch is over."""
        return self.batch is not None and time.monotonic() >= self.deadline

    def kill(self) -> None:
        """Kill the process with all that it has started, and wait for its end."""
        self.process.send_signal(signal.SIGSTOP)  # it must not see the end of its children, nor start more
        children = _descendants(self.process.pid)
        self.process.kill()
        for pid in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    @property
    def end(self) -> str:
        """The way in which the process has ended, as a part of a sentence."""
        code = self.process.returncode
        return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"

    def close(self) -> None:
        """Release the pipes of a process that has ended."""
        for descriptor in (self._batches, self.results):
            if descriptor >= 0:
                os.close(descriptor)
