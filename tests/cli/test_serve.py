"""`amllog serve`: the printed variables, and the received records."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

JOB = "import amllog; log = amllog.setup(); log.info('hello'); log.metric('loss', 1)"


def test_serve_and_read(child: Any, cli: Any, read_json: Any) -> None:
    """A script with the printed variables is a job of the server, and `amllog logs` reads its records."""
    arguments = ["serve", "--directory", "azure", "--run-id", "run_1", "--step-name", "train"]
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
    (row,) = read_json("logs", "run_1", "--dir", "azure/received")
    assert (row["message"], row["step_name"], row["parent_run_id"]) == ("hello", "train", "run_1")


def test_a_port_in_use(cli: Any, azure: Any) -> None:
    """A port in use is wrong usage, with the reason."""
    ran = cli("serve", "--port", azure.url.rpartition(":")[2])
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "cannot serve on port" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert Path("amllog-azure").exists()
