"""The example pipeline as a whole, as `make demo` runs it: what arrived at the far side, and what it printed."""

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
    """One run of it: its exit code, what it printed, and its folder."""

    returncode: int
    printed: str
    folder: Path


RAN: dict[str, Demo] = {}  # it takes seconds: run once, looked at by every test


@pytest.fixture
def demo(child, tmp_path_factory) -> Demo:
    """The demo, run in an empty folder."""
    pytest.importorskip("sklearn")
    if "demo" not in RAN:
        here = tmp_path_factory.mktemp("demo")
        ran = child(RUN, cwd=here, timeout=900)
        [folder] = (here / ".amllog" / "demo").iterdir()
        RAN["demo"] = Demo(ran.returncode, ran.stdout + ran.stderr, folder)
    return RAN["demo"]


@pytest.fixture
def azure(demo):
    """The demo's far side, opened again."""
    with AzureOnThisMachine(demo.folder / "azure") as azure:
        yield azure


def of(azure, step: str, kind: str) -> list:
    """What is at Application Insights of one kind from one step."""
    found = [envelope["data"] for envelope in azure.envelopes]
    return [
        data["baseData"]
        for data in found
        if data["baseType"] == kind and data["baseData"]["properties"]["step_name"] == step
    ]


def test_it_ends_well_with_nothing_waiting_or_refused(demo) -> None:
    """Exit code 0, and the account printed for each step ends with two zeros."""
    assert demo.returncode == 0, demo.printed
    rows = re.findall(r"^  (prepare|train|score) +\d .* (\d+) +(\d+)$", demo.printed, re.MULTILINE)
    assert rows == [("prepare", "0", "0"), ("train", "0", "0"), ("score", "0", "0")]


def test_each_journal_line_arrived_once(demo, azure) -> None:
    """The bytes in the journals are what Application Insights has: every record, none twice."""
    journals = [line for file in demo.folder.glob("*/logs/amllog/*.jsonl") for line in file.open("rb")]
    written = [json.loads(line)["data"]["baseData"]["properties"]["record_id"] for line in journals]
    arrived = [one["data"]["baseData"]["properties"]["record_id"] for one in azure.envelopes]
    assert Counter(arrived) == Counter(written)
    assert set(Counter(arrived).values()) == {1}


def test_every_record_says_whose_it_is(azure) -> None:
    """All five identity dimensions, and one operation id for the three processes."""
    for envelope in azure.envelopes:
        properties = envelope["data"]["baseData"]["properties"]
        assert {name for name in IDENTITY if properties.get(name)} == IDENTITY
    assert len({envelope["tags"]["ai.operation.id"] for envelope in azure.envelopes}) == 1


def test_metrics_are_in_run_history_without_a_flush(azure) -> None:
    """Every epoch's loss, the table, the confusion matrix, the model and the tag."""
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
    """The error of score with its stack, the failed span with the file, and the one request that failed."""
    [error] = of(azure, "score", "ExceptionData")
    assert error["exceptions"][0]["typeName"] == "ValueError"
    assert "score.py" in error["exceptions"][0]["stack"]
    spans = of(azure, "score", "RemoteDependencyData")
    assert [span["properties"].get("file") for span in spans if not span["success"]] == ["batch_6.csv"]
    requests = {step: of(azure, step, "RequestData")[0]["success"] for step in ("prepare", "train", "score")}
    assert requests == {"prepare": True, "train": True, "score": False}


def test_the_cause_stands_in_an_earlier_step(azure) -> None:
    """The warning that Python gave in prepare is a record, at the line that gave it."""
    warnings = [one for one in of(azure, "prepare", "MessageData") if one["severityLevel"] == 2]
    assert any("invalid value" in one["message"] for one in warnings)
    assert all(one["properties"]["module"] == "prepare" for one in warnings)


def test_what_it_prints_explains_the_failure(demo) -> None:
    """The error with its frames, what it was at, the metrics and warnings before it, and where to look on."""
    story = demo.printed.partition("why step score failed")[2]
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
    """Each step's lines in the output, with the step before them."""
    lines = demo.printed.splitlines()
    wanted = {
        "prepare |": "loaded  images=1797",
        "train   |": "epoch done  epoch=8",
        "score   |": "ValueError: Input",
    }
    for step, text in wanted.items():
        assert sum(line.startswith(step) and text in line for line in lines) == 1
