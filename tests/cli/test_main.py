"""Exit codes and messages of wrong usage."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lgos",), "invalid choice: 'lgos'"),
        (("logs", "--level", "loud"), "invalid choice: 'LOUD'"),
        (("logs", "--line", "3"), "unrecognized arguments"),
        (("tail", "-n", "0"), "'0': expected a number of lines"),
        (("serve", "--port", "70000"), "'70000': expected a port"),
        (("deliver", "--timeout", "soon"), "'soon': expected a number of seconds"),
        (("status", "nowhere"), "no journal in nowhere"),
        (("logs", "--where", "epoch", "--dir", "."), "KEY=VALUE"),
        (("tail", "--every", "0"), "'0': expected a number of seconds"),
        (("errors", "--json", "--csv"), "not allowed with"),
        (("query", "--dir", "."), "no query"),
        (("runs", "--app-id", "a", "--workspace-id", "b"), "use only one of them"),
    ],
)
def test_wrong_usage(cli: Any, arguments: tuple[str, ...], message: str) -> None:
    """The exit code is 2, stdout is empty, and the message names the argument."""
    ran = cli(*arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.usefixtures("good_run")
def test_a_closed_pipe() -> None:
    """`amllog logs | true` ends without a traceback and with exit code 0."""
    command = f"{sys.executable} -m amllog logs --json | true; exit ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (ran.returncode, "Traceback" in ran.stderr, "Exception" in ran.stderr) == (0, False, False)


def test_closed_streams(tmp_path: Path) -> None:
    """Closed streams change neither the steps of a run nor its exit code."""
    (tmp_path / "job.yml").write_text("type: command\ncommand: echo x > $KEPT; exit 3\n")
    command = f"KEPT=$PWD/kept {sys.executable} -m amllog run job.yml >&- 2>&-"
    ran = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert (ran.returncode, (tmp_path / "kept").read_text(), "Traceback" in ran.stderr) == (1, "x\n", False)


@pytest.mark.usefixtures("failed_run")
def test_a_closed_pipe_keeps_the_exit_code() -> None:
    """`amllog errors | true` exits with 1, although the pipe is closed."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "amllog", "errors"], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr.count(b"Traceback")) == (1, 0)
