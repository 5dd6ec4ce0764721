"""Tests of the example pipeline that `make demo` runs: the received records and the output report."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from amllog.local import AzureOnThisMachine

RUN = Path(__file__).parents[2] / "examples" / "pipeline" / "run.py"
IDENTITY = {"parent_run_id", "step_id", "step_name", "experiment_name", "run_url"}
pytestmark = pytest.mark.slow


class Demo(NamedTuple):
    """One run of the demo: its exit code, its output and its folder."""

    returncode: int
    output: str
    folder: Path


RUNS: dict[str, Demo] = {}  # one run, which takes seconds, for all tests


@pytest.fixture
def demo(child, tmp_path_factory) -> Demo:
    """Run the demo in an empty folder."""
    pytest.importorskip("sklearn")
    if "demo" not in RUNS:
        here = tmp_path_factory.mktemp("demo")
        ran = child(RUN, cwd=here, timeout=900)
        [folder] = (here / ".amllog" / "demo").iterdir()
        RUNS["demo"] = Demo(ran.returncode, ran.stdout + ran.stderr, folder)
    return RUNS["demo"]


@pytest.fixture
def azure(demo):
    """Open the demo's local Azure again."""
    with AzureOnThisMachine(demo.folder / "azure") as azure:
        yield azure


def records(azure, step: str, kind: str) -> list:
    """Return the records of one type from one step in Application Insights."""
    all_data = [envelope["data"] for envelope in azure.envelopes]
    return [
        data["baseData"]
        for data in all_data
        if data["baseType"] == kind and data["baseData"]["properties"]["step_name"] == step
    ]


def test_no_record_waits_or_is_refused(demo) -> None:
    """The exit code is 0, and the account of each step shows no waiting or refused record."""
    assert demo.returncode == 0, demo.output
    rows = re.findall(r"^  (prepare|train|score) +\d .* (\d+) +(\d+)$", demo.output, re.MULTILINE)
    assert rows == [("prepare", "0", "0"), ("train", "0", "0"), ("score", "0", "0")]


def test_each_journal_line_arrived_once(demo, azure) -> None:
    """Application Insights has every record of the journals, and none twice."""
    journals = [line for file in demo.folder.glob("*/logs/amllog/*.jsonl") for line in file.open("rb")]
    written = [json.loads(line)["data"]["baseData"]["properties"]["record_id"] for line in journals]
    received = [envelope["data"]["baseData"]["properties"]["record_id"] for envelope in azure.envelopes]
    assert Counter(received) == Counter(written)
    assert set(Counter(received).values()) == {1}


def test_every_record_has_an_identity(azure) -> None:
    """Every record has the five dimensions of the identity, and the three processes share one operation id."""
    for envelope in azure.envelopes:
        properties = envelope["data"]["baseData"]["properties"]
        assert {name for name in IDENTITY if properties.get(name)} == IDENTITY
    assert len({envelope["tags"]["ai.operation.id"] for envelope in azure.envelopes}) == 1


def test_metrics_are_in_run_history_without_a_flush(azure) -> None:
    """Run history has every epoch's loss, the table, the confusion matrix, the model and the tag."""
    [train] = [run["runId"] for run in azure.runs.values() if run["name"] == "train"]
    values = azure.values(train)
    assert len(values["loss"]) == len(values["accuracy"]) == 8
    assert values["loss"][-1] < values["loss"][0] / 2
    assert len(values["per digit"]) == 10
    matrix = json.loads(azure.artifacts(train)["confusion matrix"].file.read_bytes())
    assert sum(map(sum, matrix["data"]["matrix"])) == 252
    assert azure.artifacts(train)["outputs/model.joblib"].file.stat().st_size > 1000
    assert set(azure.tags(train)) == {"accuracy"}


def test_the_failure_is_one_exception_under_the_step(azure) -> None:
    """The error of score has its stack, the failed span has the file, and one request failed."""
    [error] = records(azure, "score", "ExceptionData")
    assert error["exceptions"][0]["typeName"] == "ValueError"
    assert "score.py" in error["exceptions"][0]["stack"]
    spans = records(azure, "score", "RemoteDependencyData")
    assert [span["properties"].get("file") for span in spans if not span["success"]] == ["batch_6.csv"]
    requests = {
        step: records(azure, step, "RequestData")[0]["success"] for step in ("prepare", "train", "score")
    }
    assert requests == {"prepare": True, "train": True, "score": False}


def test_the_cause_is_a_record_of_an_earlier_step(azure) -> None:
    """The warning of Python in prepare is a record with its line."""
    messages = records(azure, "prepare", "MessageData")
    warnings = [message for message in messages if message["severityLevel"] == 2]
    assert any("invalid value" in warning["message"] for warning in warnings)
    assert all(warning["properties"]["module"] == "prepare" for warning in warnings)


def test_the_output_explains_the_failure(demo) -> None:
    """The output has the error with its frames, its span, the metrics and warnings before it, and further commands."""
    story = demo.output.partition("why step score failed")[2]
    for part in (
        "ValueError",
        "score.py:31 in main",
        "batch_6.csv",
        "scored = 500",
        "prepare.py:15",
        " errors ",
    ):
        assert part in story
    assert demo.folder.name in story.partition("see more")[2]


def test_the_driver_logs_show_each_line_once(demo) -> None:
    """Each line of a step is in the output once, after the name of the step."""
    lines = demo.output.splitlines()
    expected = {
        "prepare |": "loaded  images=1797",
        "train   |": "epoch done  epoch=8",
        "score   |": "ValueError: Input",
    }
    for step, text in expected.items():
        assert sum(line.startswith(step) and text in line for line in lines) == 1
