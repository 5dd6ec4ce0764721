"""Metrics that a script logs through azureml's Run are recorded at once and exactly once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from amllog.local import AzureOnThisMachine

# Every accepted metric is a line in a file, flushed to the operating system.
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
CAPTURE = """
captured = azureml_metrics.capture_script_metrics(accept, flushed.append)
run = Run.get_context(allow_offline=False)
"""


@pytest.fixture
def job(azure: AzureOnThisMachine) -> dict[str, str]:
    """The environment of a step's job."""
    return azure.job_environment(run_id="run_1", step_name="train", parent_run_id="pipe_1")


def accepted() -> list[Any]:
    """Return the arguments of each call of `accept`."""
    return [json.loads(line) for line in Path("journal.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)", "os._exit(0)", "os.kill(os.getpid(), 9)", "1/0"])
def test_survives_every_end(child: Any, job: dict[str, str], end: str) -> None:
    """All metrics are recorded however the script ends, without a flush."""
    ran = child(PREAMBLE + CAPTURE + "for i in range(1000): run.log('loss', i, step=i)\n" + end, env=job)
    assert [[kind, data["rows"], step] for kind, _, data, _, step in accepted()] == [
        ["scalar", [[i]], i] for i in range(1000)
    ], ran.stderr


def test_every_type_of_metric(child: Any, job: dict[str, str]) -> None:
    """Lists, rows, tables, strings, NaN and metrics of child runs are recorded with azureml's columns and types."""
    script = """
run.log("nan", float("nan")); run.log("text", "abc"); run.log("flag", True); run.log("nothing", None)
run.log_list("list", [1, 2.5]); run.log_row("row", a=1, b="x"); run.log_table("table", {"x": [1, 2], "y": [0.5, 1.5]})
kid = run.child_run("kid"); kid.log("of kid", 1); print(kid.id)
"""
    ran = child(PREAMBLE + CAPTURE + script, env=job)
    kid = ran.stdout.split()[-1]
    assert accepted() == [
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
    """A metric that refers to an artifact keeps the type that the studio needs."""
    picture = "open('p.png', 'wb').write(bytes.fromhex('89504e470d0a1a0a') + b'0' * 20)\n"
    child(PREAMBLE + CAPTURE + picture + "run.log_image('pic', path='p.png')", env=job)
    [(kind, name, data, _, _)] = accepted()
    assert (kind, name, data["type"], data["columns"]) == (
        "table",
        "pic",
        "azureml.v2.image",
        {"pic": "Artifact"},
    )


def test_flush_waits_for_our_delivery(child: Any, job: dict[str, str], azure: AzureOnThisMachine) -> None:
    """flush and complete call our flush, and azureml posts nothing."""
    script = "run.log('loss', 1.0)\nrun.flush(timeout_seconds=7)\nrun.complete()\nprint(flushed)"
    ran = child(PREAMBLE + CAPTURE + script, env=job)
    assert ran.stdout.strip() == "[7.0, 300.0]"
    assert azure.values("run_1") == {}


def test_azureml_posts_rejected_metrics(child: Any, job: dict[str, str], azure: AzureOnThisMachine) -> None:
    """azureml posts a metric that `accept` rejects."""
    script = "accepting = False\nrun.log('loss', 1.0)\nrun.flush()\nprint(run.get_metrics())"
    ran = child(PREAMBLE + CAPTURE + script, env=job)
    assert ran.stdout.strip() == "{'loss': 1.0}", ran.stderr


def test_undo(child: Any, job: dict[str, str], azure: AzureOnThisMachine) -> None:
    """After undo, azureml posts metrics again, also for a run whose metrics were captured before."""
    script = "run.log('a', 1)\ncaptured.undo()\nrun.log('b', 2)\nrun.flush()\nprint(len(flushed))"
    ran = child(PREAMBLE + CAPTURE + script, env=job)
    assert [line[1] for line in accepted()] == ["a"]
    assert (azure.values("run_1"), ran.stdout.strip()) == ({"b": [2]}, "0")


def test_a_second_capture(child: Any, job: dict[str, str]) -> None:
    """A second capture replaces the first, so that each metric is recorded once."""
    child(PREAMBLE + CAPTURE + CAPTURE + "run.log('a', 1)", env=job)
    assert len(accepted()) == 1


def test_waiting_metrics(child: Any, job: dict[str, str], azure: AzureOnThisMachine) -> None:
    """Metrics that wait in azureml's queue are recorded or posted exactly once."""
    script = "run = Run.get_context()\nfor i in range(200): run.log('early', i)\n" + CAPTURE + "run.flush()\n"
    child(PREAMBLE + script, env=job)
    posted = azure.values("run_1").get("early", [])
    assert sorted([data["rows"][0][0] for _, _, data, _, _ in accepted()] + posted) == list(range(200))


def test_fork_duplicates_nothing(child: Any, job: dict[str, str], azure: AzureOnThisMachine) -> None:
    """A forked child records only its metrics, because none of the parent wait in azureml's queues."""
    script = """
for i in range(10): run.log("before", i)
pid = os.fork()
if pid == 0:
    run.log("in child", 1); run.flush(); os._exit(0)
os.waitpid(pid, 0)
run.flush()
"""
    child(PREAMBLE + CAPTURE + script, env=job)
    assert [line[1] for line in accepted()] == ["before"] * 10 + ["in child"]
    assert azure.values("run_1") == {}
