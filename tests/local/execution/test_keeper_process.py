"""Steps that end in every way, with real processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from amllog.local.execution import keeper
from amllog.local.execution.keeper_process import StepExit, StepProcess

SHELL = shutil.which("sh") or "/bin/sh"
Start = Callable[..., StepProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a step with a shell command."""
    processes = []

    def start_command(
        command: str, environment: dict[str, str] | None = None, **options: float
    ) -> StepProcess:
        process = StepProcess(
            ["sh", "-c", command],
            executable=SHELL,
            environment=environment or {"PATH": os.environ["PATH"]},
            work=tmp_path,
            log=tmp_path / "log.txt",
            exit_file=tmp_path / "exit.json",
            **options,  # type: ignore[arg-type]  # the two numbers
        )
        processes.append(process)
        return process

    yield start_command
    for process in processes:
        process.close()


def end(process: StepProcess) -> StepExit:
    """Wait for the end of a step."""
    while True:
        events = process.read_events()
        if events.exit:
            return events.exit


def wait_for_output(process: StepProcess) -> None:
    """Wait until a step has written something."""
    while not process.read_events().has_output:
        pass


def is_running(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("command", "code", "reason"),
    [
        ("exit 0", 0, ""),
        ("exit 3", 3, "exit code 3"),
        ("kill -9 $$", -9, "killed by SIGKILL"),
        ("sh -c 'kill -9 $$'; exit $?", 137, "exit code 137 (SIGKILL)"),
    ],
)
def test_exits_have_a_reason(start: Start, tmp_path: Path, command: str, code: int, reason: str) -> None:
    """The exit code or the signal of the step is reported, and written to a file."""
    result = end(start(command))
    assert (result.exit_code, result.reason, result.stopped) == (code, reason, "")
    assert StepExit.read(tmp_path / "exit.json") == result


def test_variables_that_no_process_can_have(start: Start, tmp_path: Path) -> None:
    """A step that cannot start because of its variables has the reason in its log."""
    assert end(start("true", environment={"A=B": "1"})).exit_code == 127
    assert (tmp_path / "log.txt").read_text() == "amllog: illegal environment variable name: sh\n"


def test_a_signal_does_not_cut_a_long_order(start: Start, tmp_path: Path) -> None:
    """Variables of several megabytes arrive, although signals interrupt the thread that sends them."""
    before = signal.signal(signal.SIGALRM, lambda number, frame: None)
    signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
    try:
        process = start("true", environment={str(number): "x" * 100_000 for number in range(30)})
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert end(process).exit_code == 127
    assert (tmp_path / "log.txt").read_text() == f"amllog: Argument list too long: {SHELL}\n"


def test_all_output_is_in_the_log(start: Start, tmp_path: Path) -> None:
    """Output of both streams, binary output and a last line without its end are in the log as they were written."""
    end(start(r"printf 'a\n\377\0'; printf 'error' >&2"))
    assert (tmp_path / "log.txt").read_bytes() == b"a\n\xff\0error"


def test_much_output_is_in_the_log(start: Start, tmp_path: Path) -> None:
    """All of 100 MB arrive, although nobody reads the events."""
    process = start("head -c 100000000 /dev/zero")
    assert end(process).exit_code == 0
    assert (tmp_path / "log.txt").stat().st_size == 100_000_000
    (tmp_path / "log.txt").unlink()


def test_a_killed_step_loses_no_line(start: Start, tmp_path: Path) -> None:
    """What a step wrote before `kill -9` is in the log."""
    assert end(start("seq 100000; kill -9 $$")).exit_code == -9
    assert (tmp_path / "log.txt").read_text().splitlines() == [str(n) for n in range(1, 100001)]


def test_a_timeout_stops_the_step(start: Start) -> None:
    """A step that runs too long is stopped, and the reason is the timeout."""
    result = end(start("exec sleep 1000", timeout_seconds=0.1))
    assert (result.exit_code, result.reason) == (-signal.SIGTERM, "timeout")


def test_a_step_that_ignores_sigterm_is_killed(start: Start) -> None:
    """After the grace, SIGKILL ends a step that ignores SIGTERM, with its children."""
    process = start("trap '' TERM; echo ready; sleep 1000", grace_seconds=0.2)
    wait_for_output(process)
    process.stop()
    assert end(process).exit_code == -signal.SIGKILL


def test_a_step_may_end_by_itself_after_sigterm(start: Start, tmp_path: Path) -> None:
    """A step that handles SIGTERM writes its last lines and ends with its own code."""
    process = start("trap 'echo saved; exit 5' TERM; echo ready; while :; do sleep 0.01; done")
    wait_for_output(process)
    process.stop()
    result = end(process)
    assert (result.exit_code, result.stopped) == (5, "stop")
    assert (tmp_path / "log.txt").read_text().endswith("saved\n")


def test_a_step_can_be_killed_at_once(start: Start) -> None:
    """The second Ctrl-C waits for no grace."""
    process = start("trap '' TERM; echo ready; sleep 1000", grace_seconds=1000)
    wait_for_output(process)
    process.stop()
    process.stop(now=True)
    assert end(process).exit_code == -signal.SIGKILL


def test_processes_that_are_left_behind_are_stopped(start: Start, tmp_path: Path) -> None:
    """A background process that holds the pipe, and a daemon in its own session, end with the step."""
    daemon = "setsid sh -c 'echo $$; echo ready > ready; exec sleep 1000'"
    process = start(f"mkfifo ready; sleep 1000 & echo $!; {daemon} & read line < ready; exit 0")
    assert end(process).exit_code == 0
    pids = [int(line) for line in (tmp_path / "log.txt").read_text().split()]
    assert len(pids) == 2
    assert [pid for pid in pids if is_running(pid)] == []


def test_a_process_left_behind_may_finish_its_line(start: Start, tmp_path: Path) -> None:
    """A process that ends shortly after the step writes all of its output."""
    end(start("(sleep 0.1; echo late) & echo early"))
    assert (tmp_path / "log.txt").read_text() == "early\nlate\n"


def test_the_end_of_the_runner_stops_the_step(start: Start, tmp_path: Path) -> None:
    """When the pipe of the runner closes, the keeper stops the step and writes its exit."""
    process = start("echo $$; exec sleep 1000")
    wait_for_output(process)
    process.close()
    result = StepExit.read(tmp_path / "exit.json")
    assert result
    assert (result.exit_code, result.stopped) == (-signal.SIGTERM, "runner")
    assert not is_running(int((tmp_path / "log.txt").read_text()))


def test_a_killed_keeper_is_reported(start: Start) -> None:
    """If the keeper itself is killed, the step is killed too, and its exit is unknown."""
    process = start("echo ready; exec sleep 1000")
    wait_for_output(process)
    assert process.pid
    os.kill(process._keeper.pid, signal.SIGKILL)
    result = end(process)
    assert (result.exit_code, result.reason) == (None, "the process that keeps the step was killed")
    deadline = time.monotonic() + 300
    while is_running(process.pid) and time.monotonic() < deadline:
        os.sched_yield()
    assert not is_running(process.pid)


def test_a_program_that_does_not_exist(tmp_path: Path) -> None:
    """A program that cannot be started gives exit code 127 and a line in the log."""
    process = StepProcess(
        ["nothing"],
        executable="/nothing",
        environment={},
        work=tmp_path,
        log=tmp_path / "log.txt",
        exit_file=tmp_path / "exit.json",
    )
    assert end(process).exit_code == 127
    assert (tmp_path / "log.txt").read_text() == "amllog: No such file or directory: /nothing\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_full_disk_is_reported(tmp_path: Path) -> None:
    """Output that cannot be written does not stop the step. Its size and the error are in the exit."""
    process = StepProcess(
        ["sh", "-c", "echo 1234567; exit 0"],
        executable=SHELL,
        environment={},
        work=tmp_path,
        log=Path("/dev/full"),
        exit_file=Path("/dev/full/exit"),
    )
    result = end(process)
    assert (result.exit_code, result.lost_bytes, result.error) == (0, 8, "No space left on device")


def test_a_deleted_log_is_reported(start: Start, tmp_path: Path) -> None:
    """A step that deletes its own log loses what it has printed, and the exit counts it."""
    result = end(start("echo 1234567; rm log.txt; echo 1234567"))
    assert (result.exit_code, result.lost_bytes, result.error) == (0, 16, "the step deleted it")


def test_the_keeper_imports_few_modules() -> None:
    """Each step waits for the import of the keeper, which needs neither typing nor a package."""
    code = "import sys; sys.path.append(sys.argv[1]); import keeper; print(*sys.modules)"
    words = [sys.executable, "-I", "-S", "-c", code, str(Path(keeper.__file__).parent)]
    names = set(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())
    assert "keeper" in names
    assert not names & {"typing", "subprocess", "ctypes", "contextlib", "dataclasses", "pathlib", "amllog"}
