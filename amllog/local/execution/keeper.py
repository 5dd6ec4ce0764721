"""Program that starts one step, keeps its output, and stops it when asked or when the runner ends.

The runner starts it with `python -I -S` as a module without its package, so that Python uses the compiled file. It uses
a small part of the standard library only, because each step waits for the import. It is the parent of the step.

* stdin: the length of the order in 8 digits, and the order (`StepProcess` in keeper_process.py). Then commands of one
  byte: `t` stops the step with SIGTERM and later SIGKILL, `k` with SIGKILL. The end of stdin is the end of the runner.
* stdout: one line of JSON per event: `started`, `output` (the log has grown), and `exit`, which is also in a file.

No line is lost when the step or the runner is killed, because this process has the pipe and the log. On Linux it adopts
the processes that the step leaves behind, also daemons. They are stopped, as the end of a job stops its container.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time

TYPE_CHECKING = False  # typing takes as long to import as all other modules here
if TYPE_CHECKING:
    from typing import Any

CHUNK = 1 << 16
NOTICE_SECONDS = 0.02  # between two events about output
GIVE_UP_SECONDS = 10.0  # after SIGKILL: a process that waits for a broken disk cannot end
LEAVE_SECONDS = 1.0  # children that the step left behind may end by themselves, such as `tee`
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)


def adopt_orphans() -> bool:
    """Make this process the parent of all descendants whose parent ends. Return whether the system can do that."""
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    return bool(ctypes.CDLL(None).prctl(ADOPT_ORPHANS, 1, 0, 0, 0) == 0)


def descendants(ancestor: int) -> list[int]:
    """Return the process ids of all children of a process, and of theirs. Empty without /proc."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else []:
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except OSError:  # it has ended
                continue
            children.setdefault(parent, []).append(int(name))
    result: list[int] = []
    waiting = children.get(ancestor, [])
    while waiting:
        pid = waiting.pop()
        result.append(pid)
        waiting += children.get(pid, [])
    return result


class KeptStep:
    """The process of a step, with everything that it started."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.is_alive = True  # a child is left
        self.exit_code: int | None = None  # of the process itself
        read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._become_step(write)
        os.close(write)
        os.set_blocking(read, False)
        self.output = read

    def _become_step(self, output: int) -> None:
        """Replace this process, a child, by the program of the step."""
        argv = self.order["argv"]
        try:
            os.setsid()  # a group of its own, without a terminal
            null = os.open(os.devnull, os.O_RDONLY)
            for source, target in ((null, 0), (output, 1), (output, 2)):
                os.dup2(source, target)
            for number in (*SIGNALS, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            signal.set_wakeup_fd(-1)
            os.chdir(self.order["work"])
            os.execve(self.order["executable"], argv, self.order["environment"])
        except (OSError, ValueError) as error:  # ValueError: a variable has `=` in its name, or a NUL
            reason, file = getattr(error, "strerror", error), getattr(error, "filename", None) or argv[0]
            os.write(2, f"amllog: {reason}: {file}\n".encode(errors="replace"))
        finally:
            os._exit(127)

    def reap(self) -> None:
        """Note the end of children."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == self.pid:
                    self.exit_code = os.waitstatus_to_exitcode(status)
                elif pid == 0:
                    return
        except ChildProcessError:
            self.is_alive = False

    def send(self, number: int) -> None:
        """Send a signal to all processes of the step."""
        for target, kill in ((self.pid, os.killpg), *((pid, os.kill) for pid in descendants(os.getpid()))):
            try:
                kill(target, number)
            except (ProcessLookupError, PermissionError):  # it has ended, or it runs as another user
                continue


class StepLog:
    """The log file of a step. On a full disk, lost bytes are counted, and the step continues."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.lost = 0
        self.error = ""

    def write(self, data: bytes) -> None:
        """Append bytes."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self.file, view) :]
            except OSError as error:
                self.lost += len(view)
                self.error = error.strerror or "error"
                return

    def check(self) -> None:
        """Count everything as lost if the step has deleted the file."""
        size = os.fstat(self.file).st_size
        if size and not os.path.exists(self.path):
            self.lost += size
            self.error = "the step deleted it"


class Keeper:
    """The loop that copies the output, and ends the step in time."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.wake, wake_write = os.pipe()
        for end in (self.wake, wake_write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake_write)
        self.asked = ""  # the reason of a stop by a signal
        for number in SIGNALS:
            signal.signal(number, self._signaled)
        self.order, self.stopped = order, ""
        self.is_parent_of_all = adopt_orphans()
        self.log = StepLog(order["log"])
        self.started = time.time()
        self.step = KeptStep(order)
        now = time.monotonic()
        self.limit = now + order["timeout"] if order["timeout"] else None
        self.kill_time: float | None = None
        self.leave_time: float | None = None
        self.give_up_time: float | None = None
        self.notice_time: float | None = None  # when the next event about output is due
        self.noticed = 0.0
        self.inputs = [0, self.wake, self.step.output]

    def _signaled(self, number: int, _frame: object) -> None:
        if number != signal.SIGCHLD:
            self.asked = "keeper"

    def report(self, **event: Any) -> None:
        """Send an event to the runner, which may have ended. A runner that does not read does not stop the step."""
        os.set_blocking(1, "output" not in event)
        try:
            os.write(1, json.dumps(event).encode() + b"\n")
        except BlockingIOError:  # enough events wait
            return
        except BrokenPipeError:
            self.stop("runner")

    def stop(self, reason: str, *, now: bool = False) -> None:
        """Send SIGTERM the first time, and SIGKILL when the grace is over or at once."""
        if not self.stopped:
            self.stopped = reason
        if now:
            self.kill_time = time.monotonic()
        elif self.kill_time is None:
            self.kill_time = time.monotonic() + self.order["grace"]
            self.step.send(signal.SIGTERM)

    def copy(self) -> bool:
        """Append what the step has written, a chunk at most. Return whether there was anything."""
        if self.step.output not in self.inputs:
            return False
        try:
            data = os.read(self.step.output, CHUNK)
        except BlockingIOError:
            return False
        if data:
            self.log.write(data)
            self.notice_time = self.notice_time or self.noticed + NOTICE_SECONDS
        else:
            self.inputs.remove(self.step.output)
        return bool(data)

    def obey(self) -> None:
        """Take a command of the runner."""
        command = os.read(0, 1)
        if command in (b"t", b""):
            self.stop("stop" if command else "runner")
        elif command == b"k":
            self.stop("stop", now=True)
        if not command:
            self.inputs.remove(0)

    def keep_time(self) -> float | None:
        """Do what is due. Return the seconds until something else is, or None."""
        now = time.monotonic()
        if self.asked:
            self.stop(self.asked)
        if self.limit and now >= self.limit and self.step.exit_code is None:
            self.limit = None
            self.stop("timeout")
        if self.step.exit_code is not None and self.leave_time is None:
            self.leave_time = now + LEAVE_SECONDS
        if self.leave_time and now >= self.leave_time and self.kill_time is None:
            self.kill_time = now + self.order["grace"]
            self.step.send(signal.SIGTERM)
        if self.kill_time and now >= self.kill_time:
            self.kill_time = now + 0.1  # again, until no process is left
            self.give_up_time = self.give_up_time or now + GIVE_UP_SECONDS
            self.step.send(signal.SIGKILL)
        if self.notice_time and now >= self.notice_time:
            self.notice_time, self.noticed = None, now
            self.report(output=1)
        limit = None if self.step.exit_code is not None else self.limit
        times = [due for due in (limit, self.kill_time or self.leave_time, self.notice_time) if due]
        return max(0.0, min(times) - now) if times else None

    def run(self) -> dict[str, Any]:
        """Wait for the end of the step and of all its children. Return the exit."""
        self.report(started=self.step.pid)
        while True:
            self.step.reap()
            if not self.step.is_alive or (self.give_up_time and time.monotonic() > self.give_up_time):
                break
            ready = select.select(self.inputs, [], [], self.keep_time())[0]
            if self.wake in ready:
                os.read(self.wake, 512)
            if self.step.output in ready:
                self.copy()
            if 0 in ready:
                self.obey()
        if not self.is_parent_of_all:  # the end of the output needs the end of all processes
            self.step.send(signal.SIGKILL)
        while self.copy():
            pass
        self.log.check()
        return {
            "exit_code": self.step.exit_code,
            "stopped": self.stopped,
            "started": self.started,
            "ended": time.time(),
            "lost_bytes": self.log.lost,
            "error": self.log.error,
        }


def read_exactly(count: int) -> bytes:
    """Read bytes from stdin. The commands after them stay there."""
    data = b""
    while len(data) < count:
        part = os.read(0, count - len(data))
        if not part:
            sys.exit("the runner ended before it sent the order")
        data += part
    return data


def main() -> None:
    """Read the order, keep the step, and report its exit."""
    order = json.loads(read_exactly(int(read_exactly(8))))
    keeper = Keeper(order)
    result = keeper.run()
    try:
        with open(order["exit_file"] + ".new", "w", encoding="utf-8") as file:
            json.dump(result, file)
        os.replace(order["exit_file"] + ".new", order["exit_file"])
    except OSError as error:
        result["error"] = result["error"] or error.strerror
    keeper.report(exit=result)


if __name__ == "__main__":
    main()
