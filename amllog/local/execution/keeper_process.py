"""The process of one step, seen by the runner: a keeper that owns the process, its output and its end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from amllog.local.execution import keeper
from amllog.local.job_records.step_end import describe_exit, signal_name

# Imported, not run as a file: Python keeps the compiled code of modules only.
_PROGRAM = "import sys; sys.path.append(sys.argv[1]); import keeper; keeper.main()"
GRACE_SECONDS = 5.0  # between SIGTERM and SIGKILL
END_SECONDS = (
    10.0  # a keeper that was told to stop ends within GRACE_SECONDS, unless the machine is overloaded
)
FORCED_NAMES = {
    "timeout": "timeout",
    "stop": "stopped",
    "runner": "the runner ended",
    "keeper": "stopped by a signal",
}


@dataclass(frozen=True)
class StepExit:
    """The end of the process of a step."""

    exit_code: int | None  # negative: the signal. None: unknown, because the keeper was killed
    stopped: str = ""  # "timeout", "stop", "runner" or "keeper": the cause if the keeper stopped the step
    started: float = 0.0
    ended: float = 0.0
    lost_bytes: int = 0  # output that no disk had space for
    error: str = ""

    @classmethod
    def read(cls, file: Path) -> StepExit | None:
        """Read the file that a keeper wrote. Return None if there is none."""
        try:
            return cls(**json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    @property
    def has_succeeded(self) -> bool:
        """Return whether the process ended with 0 by itself."""
        return self.exit_code == 0 and not self.stopped

    @property
    def reason(self) -> str:
        """The cause of a failure in a few words, or ""."""
        if self.stopped:
            return FORCED_NAMES[self.stopped]
        if self.exit_code is None:
            return "the process that keeps the step was killed"
        if self.exit_code > 128 and (name := signal_name(self.exit_code - 128)).startswith("SIG"):
            return f"exit code {self.exit_code} ({name})"
        return describe_exit(self.exit_code) if self.exit_code else ""


class StepEvents(NamedTuple):
    """The events that a keeper has sent since the last time."""

    has_output: bool
    exit: StepExit | None


class StepProcess:
    """One attempt of a step. `stop` may be called from any thread, and the others from one."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        executable: str,
        environment: Mapping[str, str],
        work: Path,
        log: Path,
        exit_file: Path,
        timeout_seconds: float | None = None,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        order = {
            "argv": list(argv),
            "executable": executable,
            "environment": dict(environment),
            "work": str(work),
            "log": str(log),
            "exit_file": str(exit_file),
            "timeout": timeout_seconds,
            "grace": grace_seconds,
        }
        self.pid: int | None = None
        self._rest = b""
        # A session of its own: Ctrl-C reaches the runner only, which stops the steps.
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, str(Path(keeper.__file__).parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
        data = json.dumps(order).encode()
        self._send(b"%08d" % len(data) + data)

    def read_events(self) -> StepEvents:
        """Read what the keeper has sent, and wait if there is nothing."""
        assert self._keeper.stdout
        data = os.read(self._keeper.stdout.fileno(), 1 << 16)
        if not data:
            return StepEvents(True, self._lost_keeper())
        *lines, self._rest = (self._rest + data).split(b"\n")
        events: dict[str, Any] = {}
        for line in lines:
            events.update(json.loads(line))
        self.pid = events.get("started", self.pid)
        if "exit" not in events:
            return StepEvents("output" in events, None)
        return StepEvents(True, StepExit(**events["exit"]))

    def stop(self, *, now: bool = False) -> None:
        """Stop the step: SIGTERM, and SIGKILL after the grace or `now`. Its exit arrives as an event."""
        self._send(b"k" if now else b"t")

    def _send(self, data: bytes) -> None:
        assert self._keeper.stdin
        with contextlib.suppress(BrokenPipeError):  # the keeper has ended, and the end of its stdout follows
            while data:  # a signal may end a long write early
                data = data[self._keeper.stdin.write(data) :]

    def _lost_keeper(self) -> StepExit:
        """Kill the step of a keeper that ended without a report."""
        assert self._keeper.stderr
        self._keeper.wait()
        message = self._keeper.stderr.read().decode(errors="replace").strip()
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        return StepExit(None, error=message.rpartition("\n")[2])

    def close(self) -> None:
        """Close the pipes, and wait for the keeper for a limited time. A step that still runs is stopped."""
        assert self._keeper.stdin
        self._keeper.stdin.close()
        try:
            self._keeper.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()
        for stream in (self._keeper.stdout, self._keeper.stderr):
            if stream:
                stream.close()
