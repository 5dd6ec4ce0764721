"""The step that a process works for: where it is found, and which steps are not accepted."""

from __future__ import annotations

import dataclasses
import itertools
import os
import time
from pathlib import Path
from typing import Any

import pytest

from amllog.config.settings import Settings
from amllog.context.detector import RunDetector
from amllog.process.process_token import process_token
from amllog.session.joining import Joining, arguments_of, detached_run, find_step
from amllog.session.published_step import PublishedStep, write_step

IDENTITY = RunDetector({}, lambda message: None).from_environment(Settings())


def step(name: str, made: float, process: str = "1.1") -> str:
    """Return the string of a step with this name."""
    identity = dataclasses.replace(IDENTITY, step_name=name, step_id=name)
    return write_step(PublishedStep({}, identity, Path("/j"), process, made))


def test_variable() -> None:
    """The variable names the step, unless this process is the step, or runs in a job of another step."""
    environ = {"AMLLOG_WORKERS": step("first", 1.0)}
    found = find_step(environ)
    assert found is not None and found.identity.step_name == "first"
    assert find_step({**environ, "AZUREML_RUN_ID": "first"}) == found
    assert find_step({**environ, "AZUREML_RUN_ID": "other"}) is None
    assert find_step({"AMLLOG_WORKERS": step("first", 1.0, process_token())}) is None
    assert find_step({}) is None


def test_no_worker_joins_by_a_pickled_object() -> None:
    """A pickled step is ignored in a process that is not a worker, such as a later run that loads a model."""
    assert find_step({}, step("first", time.time())) is None


# A worker program. It prints the step that it finds with the string in its first argument.
WORKER = """
import os, sys
from amllog.session.joining import find_step
found = find_step(os.environ, sys.argv[1])
print(found and found.identity.step_name)
"""


@pytest.mark.parametrize(
    ("variable", "pickled", "name"),
    [
        (step("first", 1.0), step("second", time.time()), "second"),
        (step("first", time.time()), step("second", time.time() - 60), "first"),
        ("", step("second", time.time() - 60), "second"),
        ("", step("second", time.time() - 49 * 3600), "None"),
        ("no JSON", "no JSON", "None"),
    ],
)
def test_the_newest_step(child: Any, tmp_path: Path, variable: str, pickled: str, name: str) -> None:
    """A worker works for the newest step: the older one has started its cluster, or was loaded from a file."""
    script = tmp_path / "pyspark" / "worker.py"
    script.parent.mkdir()
    script.write_text(WORKER)
    assert child(script, pickled, env={"AMLLOG_WORKERS": variable}).stdout == f"{name}\n"


def test_note_of_an_ancestor(child: Any, tmp_path: Path) -> None:
    """A worker that is older than setup() finds the step of its ancestor, with the connection string."""
    script = tmp_path / "pyspark" / "worker.py"
    script.parent.mkdir()
    script.write_text(
        "import os, sys\nfrom amllog.session.joining import find_step\nsys.stdin.read()\n"
        "print(find_step(os.environ).arguments)\n"
    )
    code = """
import subprocess, sys
import amllog
older = subprocess.Popen([sys.executable, "pyspark/worker.py"], stdin=-1, stdout=-1, text=True)
amllog.setup(connection_string=sys.argv[1], level="ERROR", driver_level="CRITICAL")
print(older.communicate("")[0])
"""
    connection = (
        "InstrumentationKey=00000000-0000-0000-0000-0000000010ca;IngestionEndpoint=http://127.0.0.1:9"
    )
    found = child(code, connection).stdout
    assert "'level': 'ERROR'" in found and "0000-0000000010ca" in found


CLUSTER = """
import base64, pickle, subprocess, sys, types
import amllog
sys.modules["ray"] = types.ModuleType("ray")
log = amllog.setup(connection_string=sys.argv[1], driver_level="CRITICAL")
task = base64.b64encode(pickle.dumps(log)).decode()
# The process between them ends, so the worker is not below the step.
between = "import subprocess, sys; subprocess.Popen([sys.executable, 'ray/default_worker.py', *sys.argv[1:]])"
environ = {"PYTHONPATH": sys.argv[2]}
started = subprocess.Popen([sys.executable, "-c", between, task], env=environ, stdout=subprocess.PIPE, text=True)
started.wait()
print(started.stdout.read())
"""


def test_worker_of_another_cluster(child: Any, tmp_path: Path) -> None:
    """A worker that is not below the step, but on its machine, gets the connection string with a pickled logger."""
    script = tmp_path / "ray" / "default_worker.py"
    script.parent.mkdir()
    script.write_text(
        "import base64, pickle, sys\nimport amllog\npickle.loads(base64.b64decode(sys.argv[1])).info('worker')\n"
        "print(*amllog.status().outlets)\n"
    )
    connection = (
        "InstrumentationKey=00000000-0000-0000-0000-0000000010ca;IngestionEndpoint=http://127.0.0.1:9"
    )
    assert child(CLUSTER, connection, os.environ["PYTHONPATH"]).stdout.strip() == "app_insights driver_log"


def test_time_between_looks() -> None:
    """A process looks for its step in a tenth of its time, at once for another string, and again after it has left."""
    clock = itertools.count()  # each look takes a second
    environ: dict[str, str] = {}
    joining = Joining(environ, str, lambda: float(next(clock)))
    assert not joining.begin_contact("", with_record=True)
    environ["AMLLOG_WORKERS"] = step("first", 1.0)
    looks = [joining.begin_contact("", with_record=True) for _ in range(20)]
    assert (looks.index(True), looks.count(True)) == (8, 1)
    environ["AMLLOG_WORKERS"] = step("second", 2.0)
    assert not joining.begin_contact("", with_record=True)
    assert joining.begin_contact("another", with_record=True)
    assert joining.step is not None and joining.step.identity.step_name == "second"
    joining.end(None)
    assert joining.begin_contact("", with_record=True)
    with joining.paused():
        environ["AMLLOG_WORKERS"] = step("third", 3.0)
        assert not joining.begin_contact("a third", with_record=True)


def test_directory_on_another_node(tmp_path: Path) -> None:
    """The directory of the step is used on its node, and on another one if it exists there."""
    identity = dataclasses.replace(IDENTITY, node="here")
    for directory, node, expected in (
        (tmp_path / "none", "here", {"level": "DEBUG", "directory": str(tmp_path / "none")}),
        (tmp_path / "none", "there", {"level": "DEBUG"}),
        (tmp_path, "there", {"level": "DEBUG", "directory": str(tmp_path)}),
    ):
        known = PublishedStep({"level": "DEBUG", "directory": "relative"}, identity, directory, "1.1", 1.0)
        assert arguments_of(known, node) == expected


def test_run_of_detached_workers() -> None:
    """Workers of one parent that know no step have one run, whose id has the form of others."""
    from amllog.context.identity import split_local_run

    run = detached_run("node")
    assert (run, detached_run("other") == run) == (detached_run("node"), False)
    assert split_local_run(f"root {run}") == ("root", run)


def test_pickled_logger(child: Any) -> None:
    """A pickled logger contains the step only beside a package that sends it to a cluster."""
    code = """
import pickle, sys, types
import amllog
log = amllog.setup(driver_level="CRITICAL")
plain = len(pickle.dumps(log))
sys.modules["ray"] = types.ModuleType("ray")
print(plain, amllog.identity().step_id.encode() in pickle.dumps(log), pickle.dumps(log) == pickle.dumps(log))
"""
    first, second = child(code).stdout.split(), child(code).stdout.split()
    assert first == second
    assert first[1:] == ["True", "True"]
    assert int(first[0]) < 200
