"""The story of a run: real processes, one that failed, one that was killed; and records as others leave them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amllog.errors import UsageError
from amllog.insights import connect
from amllog.insights.insights import Insights
from amllog.insights.stores.local.python_store import PythonStore

from ..conftest import RUN, envelope, failure, log, step  # isort: skip

STEP = """
import sys, time, amllog
log = amllog.setup(step_name="{name}", experiment_name="digits", metrics="none")
log.info("began", rows=17)
with log.span("work", part=3):
    log.metric("loss", 0.5)
    log.warning("slow {name}")
    {then}
log.info("ended")
"""
KILLED = "print('ready', flush=True); time.sleep(600)"


def run_of(child: Any, directory: Path, name: str, then: str = "pass") -> Any:
    """Starts one step of the pipeline run r1."""
    env = {"AMLLOG_DIR": str(directory / name), "AZUREML_RUN_ID": f"r1_{name}", "AZUREML_ROOT_RUN_ID": "r1",
           "AMLLOG_PARENT_RUN_ID": None}  # fmt: skip
    return child.start(STEP.format(name=name, then=then), env=env)


@pytest.fixture
def pipeline(child: Any, tmp_path: Path) -> Callable[[str], Insights]:
    """Runs prepare, train (which ends as it is told) and publish, each a process of its own."""

    def run(then: str) -> Insights:
        assert run_of(child, tmp_path, "prepare").wait(600) == 0
        process = run_of(child, tmp_path, "train", then)
        if then == KILLED:
            while "ready" not in process.stdout.readline():
                assert process.poll() is None
            process.kill()
        process.wait(600)
        assert run_of(child, tmp_path, "publish").wait(600) == 0
        return connect(tmp_path)

    return run


def test_a_step_that_failed(pipeline: Callable[[str], Insights]) -> None:
    """Steps in order, the exception with its stack, its span, what was before it there and elsewhere."""
    story = pipeline("raise ValueError('really bad batch')").story()
    assert (story.run, story.state, story.experiment_name) == ("r1", "failed", "digits")
    assert [(row["step_name"], row["state"]) for row in story.steps] == [
        ("prepare", "done"), ("train", "failed"), ("publish", "done"),
    ]  # fmt: skip
    assert story.failure is not None and story.span is not None
    assert story.failure["stack"].endswith("ValueError: really bad batch")
    assert (story.span["name"], story.span["dimensions"]["part"]) == ("work", "3")
    assert [(row["message"], row["elsewhere"]) for row in story.around] == [
        ("slow prepare", True), ("began", False), ("slow train", False), ("Uncaught exception", False),
    ]  # fmt: skip
    assert [(row["step_name"], row["last_value"]) for row in story.metrics] == [
        ("prepare", 0.5), ("train", 0.5), ("publish", 0.5),
    ]  # fmt: skip
    assert story.missing == ()
    assert "amllog logs r1 --step-name train" in story.next[0]
    text = repr(story)
    assert re.search(r"train +failed .*, 2 errors, 1 warning\n", text)
    assert "Uncaught exception: ValueError: really bad batch" in text
    assert re.search(r"→ .*Uncaught exception", text) and re.search(r"\* .*\[prepare\] slow prepare", text)
    found = json.loads(story.to_json())
    assert (found["failure"]["type"], found["span"]["name"]) == ("ValueError", "work")
    assert [len(found[name]) for name in ("steps", "around", "metrics")] == [3, 4, 3]
    assert story._repr_html_().startswith("<pre>run r1 of digits\n")


def test_a_step_that_was_killed(pipeline: Callable[[str], Insights]) -> None:
    """It never ended: the story says so, when it last spoke and what it said; its tree has what lay in it."""
    insights = pipeline(KILLED)
    story = insights.story("r1")
    assert (story.state, story.failure) == ("open", None)
    assert [row["state"] for row in story.steps] == ["done", "open", "done"]
    (said,) = story.missing
    assert re.match(r"step train began at \S+ and has not ended: it was killed \(no process", said)
    assert said.endswith('ago: "slow train". Steps that began after it: publish (done)')
    assert [(row["message"], row["elsewhere"]) for row in story.around][-1] == ("slow train", False)
    assert "its last logs" in story.text and "no end" in story.text
    tree = insights.tree("r1").text
    assert "in step train: a step or span that has not ended or not arrived" in tree
    assert tree.count("step p") == 2


def test_no_exception(journal: Callable[..., Path]) -> None:
    """A step that failed without a word is itself the failure; an error that ended nothing is one too."""
    path = journal(step("train", success=False), log("before"))
    story = Insights(PythonStore([path])).story()
    assert story.failure is not None
    assert (story.failure["itemType"], story.errors, story.span) == ("request", 1, None)
    assert "failure in step train\n" in story.text
    path = journal(
        step("train"), log("bad", 3, time="2026-11-22T10:00:01Z"), name="20261122T100001-n-1-ab.jsonl"
    )
    story = Insights(PythonStore([path])).story()
    assert story.failure is not None
    assert (story.state, story.failure["message"]) == ("done", "bad")


def test_what_ended_the_step_is_told_not_what_came_before(journal: Callable[..., Path]) -> None:
    """An exception that was caught is not why the step failed, if another was not caught."""
    at = "2026-11-22T10:00:0{}Z"
    path = journal(
        step("train", success=False, time=at.format(0)), failure("caught", at.format(1)),
        failure("deadly", at.format(2), logger="amllog.uncaught"), failure("at exit", at.format(3)),
        log("in another", 3, at.format(0), step_id="s0"),
    )  # fmt: skip
    story = Insights(PythonStore([path])).story()
    assert story.failure is not None
    assert story.failure["message"] == "deadly"
    assert [row["message"] for row in story.around] == ["in another", "caught", "deadly", "at exit"]


def test_torn_lines_are_told(journal: Callable[..., Path]) -> None:
    """What could not be read is missing from the story, and it says so."""
    story = Insights(PythonStore([journal(step("train"), log("x"), '{"torn\n')])).story(RUN)
    assert story.missing == (
        "1 line could not be read and left out (torn by a kill, or being written right now)",
    )


def test_a_run_that_went_well(journal: Callable[..., Path]) -> None:
    """Short: steps and metrics; names it with the run before it to compare with."""
    earlier = {"parent_run_id": "r0", "experiment_name": "e", "time": "2026-11-21T10:00:00Z"}
    point = {"metrics": [{"name": "loss", "value": float(number)} for number in (1,)]}
    many = [envelope("MetricData", {"metrics": [{"name": f"m{n:02}", "value": n}]}) for n in range(14)]
    path = journal(
        step("train", experiment_name="e"),
        envelope("MetricData", point),
        *many,
        step("t", step_id="s0", **earlier),
    )
    story = Insights(PythonStore([path])).story()
    assert (story.state, story.failure, len(story.around)) == ("done", None, 0)
    assert "failure in step" not in story.text and " and 3 more" in story.text
    assert f"amllog compare r0 {RUN}   with the run before it (done)" in story.text


def test_a_story_is_of_one_run(journal: Callable[..., Path]) -> None:
    """Not of all."""
    with pytest.raises(UsageError, match="story needs one run id"):
        Insights(PythonStore([journal(log("x"))])).story("all")


def test_what_has_not_been_sent(child: Any, tmp_path: Path) -> None:
    """Nobody answered: what waits is told with the command that sends it. What `amllog.local` got waits for nobody."""
    to = "InstrumentationKey=00000000-0000-0000-0000-0000000010ca;IngestionEndpoint=https://127.0.0.1:9/"
    env = {"AMLLOG_DIR": str(tmp_path / "j"), "APPLICATIONINSIGHTS_CONNECTION_STRING": to}
    ran = child("import amllog; amllog.setup(metrics='none', grace_seconds=0.1).info('kept')", env=env)
    assert ran.returncode == 0, ran.stderr
    where, there = tmp_path / "j", tmp_path / "received"
    there.mkdir()
    (written,) = where.glob("*.jsonl")
    shutil.copy(written, there / "20261122T100000-local-1-abcd.jsonl")
    story = connect(tmp_path).story()
    assert story.missing == (
        f"not sent yet: 2 records for app_insights, in {where} (amllog deliver {where})",
    )


def test_a_step_that_is_still_running(child: Any, tmp_path: Path) -> None:
    """Its journal is held by a living process: it was not killed."""
    process = run_of(child, tmp_path, "train", KILLED)
    while "ready" not in process.stdout.readline():
        assert process.poll() is None
    assert "has not ended: it is still running (a process" in connect(tmp_path).story().missing[0]
    process.kill()
    process.wait(600)


def test_what_followed_from_a_step_that_was_killed(journal: Callable[..., Path]) -> None:
    """The next one failed: the last words of the killed one stand before that, and what did not begin is told."""
    before: dict[str, Any] = {"parent_run_id": "r0", "experiment_name": "e", "time": "2026-11-21T10:00:00Z"}
    now: dict[str, Any] = {"experiment_name": "e"}
    at = "2026-11-22T10:00:{:02}Z"
    path = journal(
        *(step(name, step_id=f"r0-{name}", step_name=name, **before) for name in ("train", "score", "publish")),
        *(log(f"epoch {number}", 1, at.format(number), step_id="s1", **now) for number in range(6)),
        step("score", success=False, time=at.format(20), step_id="s2", step_name="score", **now),
        failure("no model", at.format(21), step_id="s2", step_name="score", **now),
    )  # fmt: skip
    story = Insights(PythonStore([path])).story(RUN)
    assert story.state == "failed" and story.failure is not None and story.failure["message"] == "no model"
    assert [row["message"] for row in story.around] == ["epoch 3", "epoch 4", "epoch 5", "no model"]
    assert story.missing[0].endswith('"epoch 5". Steps that began after it: score (failed)')
    assert story.missing[1] == "steps of the run before it (r0) that have not begun here: publish"


def test_whether_it_was_killed_cannot_be_seen_everywhere(journal: Callable[..., Path]) -> None:
    """Files that no process of amllog writes do not tell: neither another SDK's, nor what `amllog.local` received."""
    other = journal(log("x"), name="envelopes.jsonl")
    (said,) = connect(other.parent).story().missing
    assert "has not ended: it was killed, or is still running. Its last record" in said


def test_an_error_of_another_step_is_not_why_one_was_killed(journal: Callable[..., Path]) -> None:
    """It stands among the lines around the last words; an error of the killed step itself is told as what failed."""
    lines = [
        step("prepare", step_id="s0", step_name="prepare"), log("handled", 3, step_id="s0", step_name="prepare"),
        log("epoch 1", 1, "2026-11-22T10:00:09Z"),
    ]  # fmt: skip
    story = Insights(PythonStore([journal(*lines)])).story(RUN)
    assert story.failure is None
    assert [(row["message"], row["elsewhere"]) for row in story.around] == [
        ("handled", True),
        ("epoch 1", False),
    ]
    lines.append(log("out of memory", 3, "2026-11-22T10:00:10Z"))
    story = Insights(PythonStore([journal(*lines)])).story(RUN)
    assert story.failure is not None and story.failure["message"] == "out of memory"


def test_what_was_refused(journal: Callable[..., Path]) -> None:
    """By the files beside the journal; where they say that all has arrived, nothing is missing."""
    time = "2026-11-22T10:00:00.000000Z"
    own = {"time": time, "iKey": "", "ver": 1, "name": "Microsoft.ApplicationInsights.Request"}
    path = journal({**own, **step("train", time=time)}, log("x"))
    entry = {"outlet": "app_insights", "to": path.stat().st_size, "delivered": 1, "refused": {"too old": 1}}
    path.with_suffix(".ack").write_text(json.dumps(entry) + "\n", encoding="utf-8")
    insights = connect(path.parent)
    assert insights.story().missing == ("refused by app_insights: 1 record: too old",)
    path.with_suffix(".ack").write_text(json.dumps({**entry, "refused": {}}) + "\n", encoding="utf-8")
    assert insights.story().missing == ()


def test_links_into_the_portal(journal: Callable[..., Path]) -> None:
    """Where a resource is known: the lines of the step that failed, and all of its operation."""
    path = journal(step("train", success=False), failure("no"))
    component = "/subscriptions/s/resourceGroups/g/providers/microsoft.insights/components/ai"
    assert not any("portal" in line for line in connect(path, environ={}).story().next)
    insights = connect(path, environ={"AMLLOG_RESOURCE_ID": component})
    lines, operation = (line for line in insights.story().next if "portal" in line)
    assert lines.startswith("all logs of that step, in the portal: https://portal.azure.com/#/blade/")
    assert operation.startswith(
        "all records of its operation, in the portal: https://portal.azure.com/#/blade/"
    )


def test_many_steps_that_never_ended(journal: Callable[..., Path]) -> None:
    """Twenty of them are told, and as many names behind each; the others are counted."""
    lines = [log("x", step_id=f"s{number:03}", step_name=f"n{number:03}") for number in range(100)]
    found = connect(journal(*lines).parent).story(RUN)
    told = [one for one in found.missing if one.startswith("step ")]
    assert len(told) == 20 and "80 more steps began and did not end" in found.missing
    assert "and 80 more" in told[0] and len(found.text) < 20_000
