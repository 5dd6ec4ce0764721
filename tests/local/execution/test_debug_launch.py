"""Debugged steps: a real client of the debug protocol attaches to real processes that the shims start."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any

import pytest

from amllog.config.parsers import Address
from amllog.config.variables import DEBUG_PROCESS
from amllog.errors import ConfigError
from amllog.local.execution.debug_launch import DebugLaunch, debugger_error, source_folder
from amllog.local.execution.interpreter_shims import step_variables, write_shims
from amllog.local.execution.step_values import StepValues
from amllog.local.plan.planned_steps import PlannedStep, SourceLine

from ...debug_client import DebugClient  # isort: skip

SCRIPT = """
import sys

def add(first, second):
    total = first + second
    return total

if __name__ == "__main__":
    print(add(40, 2), sys.argv[1:], sys.path[0])
"""
PARENT = """
import subprocess
subprocess.run(["python", "-u", "child.py"])
"""
LINE = 1 + SCRIPT.splitlines().index("    return total")
LATE = """
import subprocess, sys, threading, time

def count(number):
    return number

def wait():
    while "DebugClient" not in sys.argv:  # the debugger adds it
        time.sleep(0.01)

wait()
while any(thread.name == "amllog debugger" for thread in threading.enumerate()):
    time.sleep(0.01)  # it has not seen the debugger yet
thread = threading.Thread(target=count, args=[1])
thread.start()
thread.join()
subprocess.run([sys.executable, "child.py"])
"""


class Step:
    """One process that runs `python train.py` as the runner would start it."""

    def __init__(self, folder: Path, launch: DebugLaunch, script: str, python: str = sys.executable) -> None:
        self.clients: list[DebugClient] = []
        code, work = folder / "code", folder / "work"
        for place in (code, work):
            place.mkdir(parents=True)
            (place / "train.py").write_text(script)
            (place / "child.py").write_text("print('in child')\n")
        self.source = code / "train.py"
        self.values = StepValues({}, {}, work, folder, Path(python))
        self.step = PlannedStep("train", SourceLine(folder / "job.yml", 1), code=code)
        write_shims(folder / "bin", Path(python), launch(self.step, self.values))
        self.process = subprocess.Popen(
            ["sh", "-c", "python -u train.py a 'b c'"],
            cwd=work,
            env=step_variables(folder / "bin", Path(python), os.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            start_new_session=True,
        )

    def configuration(self) -> dict[str, Any]:
        """Read the output up to the configuration for launch.json, and return it."""
        assert self.process.stdout
        for line in self.process.stdout:
            if '"debugpy"' in line:
                return dict(json.loads(line.removeprefix("amllog: ")))
        raise AssertionError("the step does not listen")

    def client(self) -> tuple[DebugClient, dict[str, Any]]:
        """Return a client and the configuration to attach with."""
        configuration = self.configuration()
        self.clients.append(DebugClient(**configuration["connect"]))
        return self.clients[-1], configuration

    def output(self) -> str:
        """Wait for the end, and return the rest of the output."""
        return self.process.communicate(timeout=300)[0]


def is_open(address: dict[str, Any]) -> bool:
    """Return whether a process listens. The adapter of debugpy ends soon after its program."""
    with socket.socket() as client:
        return client.connect_ex((address["host"], address["port"])) == 0


@pytest.fixture
def start(tmp_path: Path) -> Any:
    """Starts steps, and kills their processes at the end of the test."""
    steps: list[Step] = []

    def start(name: str, launch: DebugLaunch, script: str = SCRIPT, python: str = sys.executable) -> Step:
        steps.append(Step(tmp_path / name, launch, script, python))
        return steps[-1]

    yield start
    for step in steps:
        if step.process.poll() is None:
            os.killpg(step.process.pid, signal.SIGKILL)
        for client in step.clients:
            client.close()
        step.process.communicate()


def test_two_steps_stop_at_breakpoints(start: Any, tmp_path: Path) -> None:
    """Two steps listen at the same time. A breakpoint in the source is hit in the copy, and variables are readable."""
    # One of them has an interpreter without debugpy.
    venv.create(tmp_path / "bare", symlinks=True)
    bare = str(tmp_path / "bare" / "bin" / "python")
    assert debugger_error(Path(bare)) == ""
    steps = [start("one", DebugLaunch()), start("two", DebugLaunch(), python=bare)]
    clients = [step.client() for step in steps]
    assert clients[0][1]["connect"] != clients[1][1]["connect"]
    for step, (client, configuration) in zip(steps, clients):
        assert configuration["name"] == "amllog: train"
        assert configuration["pathMappings"][0]["localRoot"] == str(step.source.parent)
        client.attach(configuration, {str(step.source): [LINE]})
        event, frame = client.stop()
        assert (event["reason"], frame["line"], frame["source"]["path"]) == (
            "breakpoint",
            LINE,
            str(step.source),
        )
        assert client.variables(frame) == {"first": "40", "second": "2", "total": "42"}
        assert client.evaluate(frame, "total * 2") == "84"
        client.proceed(event)
        client.end()
        assert f"42 ['a', 'b c'] {step.values.work}\n" in step.output()
        assert step.process.returncode == 0


def test_a_child_process_does_not_listen(start: Any) -> None:
    """A child process that the step starts by the shim runs without a listener of its own."""
    output = start("one", DebugLaunch(seconds=0), PARENT).output()
    assert (output.count("listens"), output.count("in child")) == (1, 1)


def test_a_debugger_stops_where_an_exception_ends_the_script(start: Any) -> None:
    """An exception that ends the script stops at its line, and the step fails as without a debugger."""
    step = start(
        "one", DebugLaunch(Address("127.0.0.1", 0)), "def fail():\n    raise ValueError('x' * 3)\nfail()\n"
    )
    client, configuration = step.client()
    client.attach(configuration, filters=["uncaught"])
    event, frame = client.stop()
    assert (event["reason"], frame["name"], frame["line"]) == ("exception", "fail", 2)
    client.proceed(event)
    client.end()
    output = step.output()
    assert "ValueError: xxx" in output and "debug_launcher" not in output
    assert step.process.returncode == 1


def test_a_debugger_attaches_after_the_wait(start: Any) -> None:
    """After a wait without a debugger, a later one sees the running frame, new threads and child processes."""
    step = start("one", DebugLaunch(seconds=0), LATE)
    client, configuration = step.client()
    lines = LATE.splitlines()
    inside, looping = 1 + lines.index("    return number"), 1 + lines.index("        time.sleep(0.01)")
    child = str(step.source.with_name("child.py"))
    client.attach(configuration, {str(step.source): [inside, looping], child: [1]})
    event, frame = client.stop()
    assert frame["line"] == looping
    client.request("setBreakpoints", source={"path": str(step.source)}, breakpoints=[{"line": inside}])
    client.evaluate(frame, "sys.argv.append('DebugClient')")
    client.proceed(event)
    event, frame = client.stop()
    assert (frame["line"], client.evaluate(frame, "number")) == (inside, "1")
    client.proceed(event)
    attach = client.event("debugpyAttach")
    second = DebugClient(**attach["connect"])
    second.attach(attach, {child: [1]})
    event, frame = second.stop()
    assert frame["source"]["path"] == child
    second.proceed(event)
    second.end()
    client.end()
    assert "in child" in step.output()


def test_ctrl_c_ends_the_wait(start: Any) -> None:
    """SIGINT during the wait ends the step with 130, without a traceback, and nothing listens afterwards."""
    step = start("one", DebugLaunch(seconds=600))
    address = step.configuration()["connect"]
    os.killpg(step.process.pid, signal.SIGINT)
    output = step.output()
    assert "Traceback" not in output
    assert "stopped by Ctrl-C while it waited for a debugger" in output
    assert step.process.returncode in (130, -signal.SIGINT)
    while is_open(address):
        time.sleep(0.05)


def test_interpreters_that_cannot_be_debugged_are_reported(tmp_path: Path) -> None:
    """An interpreter of another version without debugpy has a message with the pip command."""
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\necho '[\"cpython-36m\", false]'\n")
    other.chmod(0o755)
    assert debugger_error(other) == f"{other} has no debugpy. To install it: {other} -m pip install debugpy"
    assert "does not run" in debugger_error(tmp_path / "missing")
    assert debugger_error(Path(sys.executable)) == ""


def test_the_prefix_has_the_settings(tmp_path: Path) -> None:
    """The address and the limit are those of the environment, and an invalid one is an error."""
    step = PlannedStep("a.b", SourceLine(tmp_path, 0), code=tmp_path / "train.py")
    values = StepValues({}, {}, tmp_path, tmp_path, Path(sys.executable))
    launch = DebugLaunch.from_environment({"AMLLOG_DEBUG_ADDRESS": "[::1]:80", "AMLLOG_DEBUG_SECONDS": "5"})
    words = " ".join(launch(step, values))
    assert "--seconds 5 --name amllog: a.b --host ::1 --port 80 --fixed-port" in words
    assert words.endswith(f"--source {tmp_path} --marker {DEBUG_PROCESS} --")
    assert "--host" not in DebugLaunch.from_environment({})(step, values)
    with pytest.raises(ConfigError, match="AMLLOG_DEBUG_ADDRESS = 'here'"):
        DebugLaunch.from_environment({"AMLLOG_DEBUG_ADDRESS": "here"})
    assert source_folder(PlannedStep("a", SourceLine(tmp_path, 0))) is None
