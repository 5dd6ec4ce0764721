"""Start the processes of a distributed step, write their output to files, and stop all if one fails.

A stand-alone program of the standard library: `python -I -S distribution_launcher.py JSON`. Each process has a log
file. All lines are on stdout too. The exit code is that of the process that failed first. The launcher and all
processes are in one process group, so that whoever stops the group stops them all.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_CHUNK = 65536
_PIPE_CHUNKS = 64  # more than a pipe holds


def _print(data: bytes) -> None:
    """Write to stdout without a buffer, so that no line waits in this process."""
    while data:
        data = data[os.write(1, data) :]


class RankProcess:
    """One process of the step, its pipe and its log file."""

    def __init__(
        self, command: list[str], number: int, log: str, environment: dict[str, str], label: bytes
    ) -> None:
        self.number = number
        self._label = label
        self._partial = b""
        self._log_error = ""
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        self.process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self.process.stdout is not None
        self.pipe = self.process.stdout.fileno()
        os.set_blocking(self.pipe, False)

    def read(self) -> bool:
        """Copy one chunk of the output. Return False at the end of the pipe, or if it is empty at the moment."""
        try:
            data = os.read(self.pipe, _CHUNK)
        except BlockingIOError:
            return False
        self._write_log(data)
        *lines, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > _CHUNK or not data:
            lines, self._partial = [*lines, *([self._partial] if self._partial else [])], b""
        if lines:
            _print(b"".join(self._label + line + b"\n" for line in lines))
        return bool(data)

    def _write_log(self, data: bytes) -> None:
        """Write to the log file. After an error the process runs on, and its lines are on stdout only."""
        try:
            while data and not self._log_error:
                data = data[os.write(self._log, data) :]
        except OSError as error:
            self._log_error = str(error)
            _print(f"The log file of process {self.number} is incomplete: {error}\n".encode())

    def drain(self) -> None:
        """Copy what is in the pipe, and the last line without an end."""
        for _ in range(_PIPE_CHUNKS):  # a child that it has left behind may write for ever
            if not self.read():
                break
        if self._partial:
            _print(self._label + self._partial + b"\n")
            self._partial = b""


def _members() -> list[int]:
    """Return the other processes of our group, or our children only if the group belongs to another program."""
    pids = []
    is_leader = os.getpgrp() == os.getpid()
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):  # it has ended in the meantime, or is no process
            fields = Path("/proc", entry, "stat").read_text(errors="replace").rpartition(")")[2].split()
            parent, group = int(fields[1]), int(fields[2])
            if int(entry) != os.getpid() and (group == os.getpgrp() if is_leader else parent == os.getpid()):
                pids.append(int(entry))
    return pids


def _signal_members(number: int) -> None:
    for pid in _members():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


class Launcher:
    """All processes, until the last one has ended."""

    def __init__(self, task: dict[str, Any]) -> None:
        self._seconds_to_stop = float(task["seconds_to_stop"])
        self._exit_code = 0
        self._kill_at: float | None = None
        self._selector = selectors.DefaultSelector()
        self._wakeup, write_end = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(write_end, False)
        signal.set_wakeup_fd(write_end)
        for signal_number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(signal_number, self._handle)
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        self._ranks: list[RankProcess] = []
        count = len(task["processes"])
        for number, process in enumerate(task["processes"]):
            label = b"[%d] " % number if count > 1 else b""
            rank = RankProcess(task["command"], number, process["log"], process["environment"], label)
            self._ranks.append(rank)
            self._selector.register(rank.pipe, selectors.EVENT_READ, rank)

    def _handle(self, number: int, _frame: object) -> None:
        if number != signal.SIGCHLD:
            self._stop(128 + number, "")

    def _stop(self, exit_code: int, message: str) -> None:
        """Stop the processes that still run. The first reason decides the exit code."""
        if self._kill_at is not None:
            return
        self._exit_code = exit_code
        self._kill_at = time.monotonic() + self._seconds_to_stop
        if message:
            _print(message.encode())
        _signal_members(signal.SIGTERM)

    def run(self) -> int:
        """Wait for all processes. Return the exit code of the step."""
        running = list(self._ranks)
        while running:
            seconds = None if self._kill_at is None else max(0.0, self._kill_at - time.monotonic())
            for key, _ in self._selector.select(seconds):
                if key.data is None:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wakeup, _CHUNK)
                elif not key.data.read():
                    self._selector.unregister(key.fd)
            for rank in [rank for rank in running if rank.process.poll() is not None]:
                running.remove(rank)
                self._end(rank, len(running))
            if running and self._kill_at is not None and time.monotonic() >= self._kill_at:
                _signal_members(signal.SIGKILL)
                self._kill_at = time.monotonic() + self._seconds_to_stop
        for rank in self._ranks:
            rank.drain()
        return self._exit_code

    def _end(self, rank: RankProcess, running: int) -> None:
        code = rank.process.returncode
        if code:
            rank.drain()  # its last lines stand before the message
            reason = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            others = " The other processes are stopped." if running else ""
            self._stop(128 - code if code < 0 else code, f"Process {rank.number} {reason}.{others}\n")

    def kill(self) -> None:
        """Kill what is left of the processes."""
        if any(rank.process.poll() is None for rank in self._ranks):
            _signal_members(signal.SIGKILL)


def main() -> int:
    """Run the task in the first argument."""
    task = json.loads(sys.argv[1])
    if task["note"]:
        _print(task["note"].encode() + b"\n")
    try:
        launcher = Launcher(task)
    except OSError as error:
        _print(f"The processes of the step cannot start: {error}\n".encode())
        _signal_members(signal.SIGKILL)
        return 127
    try:
        return launcher.run()
    finally:
        launcher.kill()


if __name__ == "__main__":
    sys.exit(main())
