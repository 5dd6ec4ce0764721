"""Stop all processes of a run, also those that are about to start."""

from __future__ import annotations

import threading

from amllog.local.execution.keeper_process import StepProcess


class StopSwitch:
    """The running processes of a run. Thread-safe. After `stop`, a process that is added is stopped at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: set[StepProcess] = set()
        self._reason = ""
        self._is_killing = False

    @property
    def reason(self) -> str:
        """Why the run was stopped, or ""."""
        return self._reason

    def add(self, process: StepProcess) -> None:
        """Take a process that has started."""
        with self._lock:
            self._processes.add(process)
            if self._reason:
                process.stop(now=self._is_killing)

    def remove(self, process: StepProcess) -> None:
        """Forget a process that has ended."""
        with self._lock:
            self._processes.discard(process)

    def stop(self, reason: str) -> None:
        """Stop all processes with SIGTERM, and later with SIGKILL. The second call kills them at once."""
        with self._lock:
            self._is_killing = bool(self._reason)
            self._reason = self._reason or reason
            for process in self._processes:
                process.stop(now=self._is_killing)
