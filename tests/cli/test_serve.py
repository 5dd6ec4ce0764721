"""`amllog serve`: what it prints is a job's environment, and what arrives can be read."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

JOB = "import amllog; log = amllog.setup(); log.info('hello'); log.metric('loss', 1)"


def test_serve_and_read(child: Any, cli: Any, asked: Any) -> None:
    """A script in its environment is a job of it; `amllog logs` reads what arrived."""
    arguments = ["serve", "--directory", "far", "--run-id", "run_1", "--step-name", "train"]
    process = child.start([sys.executable, "-m", "amllog", *arguments])
    environment = {}
    for line in process.stdout:
        if line.startswith("export "):
            name, _, value = line[len("export ") :].strip().partition("=")
            environment[name] = value.strip("'")
        if line.startswith("# stop"):
            break
    assert child(JOB, env=environment).returncode == 0
    process.send_signal(signal.SIGINT)
    assert process.wait(600) == 0
    (row,) = asked("logs", "run_1", "--dir", "far/received")
    assert (row["message"], row["step_name"], row["parent_run_id"]) == ("hello", "train", "run_1")


def test_a_port_that_is_taken(cli: Any, azure: Any) -> None:
    """Wrong usage, with the reason."""
    ran = cli("serve", "--port", azure.url.rpartition(":")[2])
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "cannot serve on port" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert Path("amllog-azure").exists()
