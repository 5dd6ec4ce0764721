"""What a script logs through its own azureml Run is journaled at once, and arrives exactly once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from amllog.local import AzureOnThisMachine

# A gate of the plainest kind: every accepted metric is a line in a file, flushed to the operating system.
PREAMBLE = """
import json, os, sys, time
from amllog.sources.capture import azureml_metrics
from amllog.exporters.run_metrics import azureml_sdk
journal = os.open("journal.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
accepting = True
flushed = []

def accept(kind, name, data, run_id, step):
    if accepting:
        os.write(journal, (json.dumps([kind, name, data, run_id, step], allow_nan=False) + "\\n").encode())
    return accepting

from azureml.core import Run
"""
ADOPT = """
adopted = azureml_metrics.capture_script_metrics(accept, flushed.append)
run = Run.get_context(allow_offline=False)
"""


@pytest.fixture
def job(azure: AzureOnThisMachine) -> dict[str, str]:
    """The environment of a step's job."""
    return azure.job_environment(run_id="run_1", step_name="train", parent_run_id="pipe_1")


def journaled() -> list[Any]:
    """What `accept` was given, in order."""
    return [json.loads(line) for line in Path("journal.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)", "os._exit(0)", "os.kill(os.getpid(), 9)", "1/0"])
def test_survives_every_end(child: Any, job: dict[str, str], end: str) -> None:
    """However the script ends, without a flush, everything that it logged is in the journal."""
    ran = child(PREAMBLE + ADOPT + "for i in range(1000): run.log('loss', i, step=i)\n" + end, env=job)
    assert [[kind, data["rows"], step] for kind, _, data, _, step in journaled()] == [
        ["scalar", [[i]], i] for i in range(1000)
    ], ran.stderr


def test_every_kind_of_metric(child: Any, job: dict[str, str]) -> None:
    """Lists, rows, tables, texts, numbers that JSON has not, and those of child runs keep what azureml made."""
    script = """
run.log("nan", float("nan")); run.log("text", "abc"); run.log("flag", True); run.log("nothing", None)
run.log_list("list", [1, 2.5]); run.log_row("row", a=1, b="x"); run.log_table("table", {"x": [1, 2], "y": [0.5, 1.5]})
kid = run.child_run("kid"); kid.log("of kid", 1); print(kid.id)
"""
    ran = child(PREAMBLE + ADOPT + script, env=job)
    kid = ran.stdout.split()[-1]
    assert journaled() == [
        ["scalar", "nan", {"columns": {"nan": "double"}, "rows": [["NaN"]]}, "run_1", None],
        ["scalar", "text", {"columns": {"text": "string"}, "rows": [["abc"]]}, "run_1", None],
        ["scalar", "flag", {"columns": {"flag": "bool"}, "rows": [[True]]}, "run_1", None],
        ["scalar", "nothing", {"columns": {"nothing": "none"}, "rows": [[None]]}, "run_1", None],
        ["list", "list", {"columns": {"list": "double"}, "rows": [[1], [2.5]]}, "run_1", None],
        ["table", "row", {"columns": {"a": "int", "b": "string"}, "rows": [[1, "x"]]}, "run_1", None],
        [
            *("table", "table"),
            {"columns": {"x": "int", "y": "double"}, "rows": [[1, 0.5], [2, 1.5]]},
            *("run_1", None),
        ],
        ["scalar", "of kid", {"columns": {"of kid": "int"}, "rows": [[1]]}, kid, None],
    ]


def test_images_keep_their_type(child: Any, job: dict[str, str]) -> None:
    """A metric that points to an artifact keeps the type by which the studio knows it."""
    picture = "open('p.png', 'wb').write(bytes.fromhex('89504e470d0a1a0a') + b'0' * 20)\n"
    child(PREAMBLE + ADOPT + picture + "run.log_image('pic', path='p.png')", env=job)
    [(kind, name, data, _, _)] = journaled()
    assert (kind, name, data["type"], data["columns"]) == (
        "table",
        "pic",
        "azureml.v2.image",
        {"pic": "Artifact"},
    )


def test_flush_is_ours(child: Any, job: dict[str, str], azure: AzureOnThisMachine) -> None:
    """flush and complete wait for our delivery, and nothing is posted by azureml itself."""
    script = "run.log('loss', 1.0)\nrun.flush(timeout_seconds=7)\nrun.complete()\nprint(flushed)"
    ran = child(PREAMBLE + ADOPT + script, env=job)
    assert ran.stdout.strip() == "[7.0, 300.0]"
    assert azure.values("run_1") == {}


def test_declined_goes_azuremls_own_way(child: Any, job: dict[str, str], azure: AzureOnThisMachine) -> None:
    """What is not accepted is posted by azureml, as if nobody had come between."""
    script = "accepting = False\nrun.log('loss', 1.0)\nrun.flush()\nprint(run.get_metrics())"
    ran = child(PREAMBLE + ADOPT + script, env=job)
    assert ran.stdout.strip() == "{'loss': 1.0}", ran.stderr


def test_undone(child: Any, job: dict[str, str], azure: AzureOnThisMachine) -> None:
    """After undo, azureml posts by itself again, also for a run that was adopted before."""
    script = "run.log('a', 1)\nadopted.undo()\nrun.log('b', 2)\nrun.flush()\nprint(len(flushed))"
    ran = child(PREAMBLE + ADOPT + script, env=job)
    assert [line[1] for line in journaled()] == ["a"]
    assert (azure.values("run_1"), ran.stdout.strip()) == ({"b": [2]}, "0")


def test_twice_is_once(child: Any, job: dict[str, str]) -> None:
    """A second adoption replaces the first, as a second setup() does."""
    child(PREAMBLE + ADOPT + ADOPT + "run.log('a', 1)", env=job)
    assert len(journaled()) == 1


def test_what_was_pending_before(child: Any, job: dict[str, str], azure: AzureOnThisMachine) -> None:
    """Metrics that wait in azureml's queue when it is adopted are journaled or posted, each exactly once."""
    script = "run = Run.get_context()\nfor i in range(200): run.log('early', i)\n" + ADOPT + "run.flush()\n"
    child(PREAMBLE + script, env=job)
    posted = azure.values("run_1").get("early", [])
    assert sorted([data["rows"][0][0] for _, _, data, _, _ in journaled()] + posted) == list(range(200))


def test_fork_doubles_nothing(child: Any, job: dict[str, str], azure: AzureOnThisMachine) -> None:
    """A forked child holds no metrics of its parent: nothing waits in azureml's queues."""
    script = """
for i in range(10): run.log("before", i)
pid = os.fork()
if pid == 0:
    run.log("in child", 1); run.flush(); os._exit(0)
os.waitpid(pid, 0)
run.flush()
"""
    child(PREAMBLE + ADOPT + script, env=job)
    assert [line[1] for line in journaled()] == ["before"] * 10 + ["in child"]
    assert azure.values("run_1") == {}
