"""The launcher of distributed steps: failures, signals, and processes that do not end."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from amllog.local.step_kinds import distribution_step

PROGRAM = Path(distribution_step.__file__).with_name("distribution_launcher.py")


def words(folder: Path, text: str, count: int = 2, seconds_to_stop: float = 5) -> list[str]:
    """Return the command of a launcher for `count` processes of a shell text."""
    processes = [
        {"log": str(folder / f"log_{number}"), "environment": {"RANK": str(number)}}
        for number in range(count)
    ]
    task = {
        "command": ["sh", "-c", text],
        "processes": processes,
        "seconds_to_stop": seconds_to_stop,
        "note": "",
    }
    return [sys.executable, "-I", "-S", str(PROGRAM), json.dumps(task)]


def run(folder: Path, text: str, **options: float) -> "subprocess.CompletedProcess[str]":
    """Run a shell text in two processes."""
    return subprocess.run(
        words(folder, text, **options), stdout=subprocess.PIPE, text=True, timeout=600, start_new_session=True
    )


def is_alive(pid: int) -> bool:
    """Return whether a process runs. A zombie has ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


@pytest.mark.parametrize(
    ("end", "code", "reason"),
    [("exit 3", 3, "ended with exit code 3"), ("kill -9 $$", 137, "was killed by signal 9")],
)
def test_the_first_failure_stops_the_others_and_is_the_exit_code(
    tmp_path: Path, end: str, code: int, reason: str
) -> None:
    """A process that waits for another one does not wait for ever after a failure, and neither do its children."""
    wait = 'sleep 1000 & echo $! > "$RANK.pid"; mv $RANK.pid pid; wait'
    text = f"cd {tmp_path}; [ $RANK = 0 ] && {{ {wait}; }}; until [ -f pid ]; do sleep 0.01; done; echo last; {end}"
    done = run(tmp_path, text)
    assert (done.returncode, f"Process 1 {reason}. The other processes are stopped." in done.stdout) == (
        code,
        True,
    )
    assert done.stdout.index("[1] last") < done.stdout.index("Process 1")
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """The others are killed when the time to stop is over."""
    text = (
        f"cd {tmp_path}; if [ $RANK = 0 ]; then trap '' TERM; echo > ready; while :; do sleep 1000; done; fi; "
        "until [ -f ready ]; do sleep 0.01; done; exit 7"
    )
    assert run(tmp_path, text, seconds_to_stop=0.1).returncode == 7


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_processes(tmp_path: Path, number: int) -> None:
    """SIGTERM and SIGINT to the launcher end all processes, and no line that they wrote is lost."""
    code = (
        "import os, signal; signal.signal(15, lambda *_: (os.write(1, b'stopped'), os._exit(1))); "
        "os.write(1, b'started\\n'); signal.pause()"
    )
    text = f'exec {sys.executable} -I -S -c "{code}"'
    with subprocess.Popen(
        words(tmp_path, text), stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        assert child.stdout is not None
        assert sorted([child.stdout.readline(), child.stdout.readline()]) == [
            "[0] started\n",
            "[1] started\n",
        ]
        os.kill(child.pid, number)
        rest = child.stdout.read()
    assert (sorted(rest.splitlines()), child.returncode) == (["[0] stopped", "[1] stopped"], 128 + number)


def test_output_is_complete_with_any_bytes_and_long_lines(tmp_path: Path) -> None:
    """Megabytes without a newline, binary output and the last line arrive in the log file byte by byte."""
    code = "import os; os.write(1, b'x' * 1000000 + b'\\xff\\x00\\n'); os.write(1, b'end')"
    text = f'{sys.executable} -I -S -c "{code}"'
    done = subprocess.run(
        words(tmp_path, text, 1), stdout=subprocess.PIPE, timeout=600, start_new_session=True
    )
    expected = b"x" * 1000000 + b"\xff\x00\nend"
    assert (tmp_path / "log_0").read_bytes() == expected
    assert done.stdout.replace(b"\n", b"") == expected.replace(b"\n", b"")


def test_a_background_child_that_holds_the_pipe_does_not_hold_the_step(tmp_path: Path) -> None:
    """The step ends with its processes, although a child that they left behind still has the pipe."""
    text = f"printf before; sleep 1000 & echo $! > {tmp_path}/pid"
    try:
        done = run(tmp_path, text, count=1)
        assert (done.stdout, done.returncode) == ("before\n", 0)
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_a_command_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    """A shell that is not there gives its name and exit code 127."""
    task = json.loads(words(tmp_path, "")[-1])
    task["command"] = [str(tmp_path / "no-shell")]
    done = subprocess.run(
        [*words(tmp_path, "")[:-1], json.dumps(task)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert (done.returncode, "cannot start" in done.stdout, "no-shell" in done.stdout) == (127, True, True)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no full device")
def test_a_full_disk_is_reported_and_the_processes_run_on(tmp_path: Path) -> None:
    """The lines are on stdout if the log file cannot take them."""
    (tmp_path / "log_0").symlink_to("/dev/full")
    done = run(tmp_path, "echo one; echo two", count=1)
    assert done.stdout.splitlines()[0].startswith("The log file of process 0 is incomplete")
    assert (done.stdout.splitlines()[1:], done.returncode) == (["one", "two"], 0)
