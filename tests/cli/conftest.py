"""The command line in a child process, and runs that it reads."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from amllog.local.azure import INSTRUMENTATION_KEY
from amllog.record import envelope

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAY = 86_400.0

RUN = """
import logging
import amllog

log = amllog.setup(step_name="train", experiment_name="digits")
log.info("loaded", rows=1000)
with log.span("fit", fold=3):
    logging.getLogger("library").warning("slow %s", "fold")
for epoch, loss in enumerate([0.5, 0.25]):
    log.metric("loss", loss, step=epoch)
log.metric("odd", float("nan"))
log.event("model registered", version=3)
"""
FAILED = RUN + "raise ValueError('really bad batch')\n"


@pytest.fixture
def cli(child: Any) -> Callable[..., Any]:
    """A function that runs `amllog …` to its end."""

    def run(*arguments: object, **options: Any) -> Any:
        return child([sys.executable, "-m", "amllog", *map(str, arguments)], **options)

    return run


@pytest.fixture
def read_json(cli: Callable[..., Any]) -> Callable[..., Any]:
    """A function that runs `amllog … --json` and returns the parsed answer."""
    return lambda *arguments, **options: json.loads(cli(*arguments, "--json", **options).stdout)


@pytest.fixture
def good_run(child: Any) -> None:
    """A successful run in the journal of the test's directory."""
    assert child(RUN).returncode == 0


@pytest.fixture
def failed_run(child: Any) -> None:
    """A run that ended with an exception."""
    assert child(FAILED).returncode == 1


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """The journal directory of the test."""
    return tmp_path / ".amllog"


def write_old(folder: Path, ages_days: list[float]) -> Path:
    """Write the journal file of an ended process, with a record of each age."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "20260101T000000-gone-999999-abcd.jsonl"
    for number, age in enumerate(ages_days):
        data = {"message": f"record {number}", "properties": {"step_id": "s", "record_id": f"r-{number}"}}
        with path.open("ab") as file:
            file.write(
                envelope.encode_record(time.time() - age * DAY, INSTRUMENTATION_KEY, {}, "MessageData", data)
            )
    return path


def run_on_terminal(*arguments: str, env: dict[str, str]) -> tuple[str, int]:
    """Run `amllog …` on a new terminal and return its output, without the progress of reading, and its exit code."""
    master, slave = pty.openpty()
    command, env = [sys.executable, "-m", "amllog", *arguments], {**os.environ, **env}
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=env) as process:
        os.close(slave)
        output = b""
        with contextlib.suppress(OSError):  # on Linux, the end of the output is an error
            while piece := os.read(master, 65536):
                output += piece
    os.close(master)
    text = output.decode().replace("\r\n", "\n")
    return re.sub(r"\r\x1b\[K(amllog: reading, \d+ s)?", "", text), process.returncode
