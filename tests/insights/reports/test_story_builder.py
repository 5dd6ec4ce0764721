"""The data of a story."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amllog.errors import UsageError
from amllog.insights.insights import Insights
from amllog.insights.stores.local.python_store import PythonStore

from ..conftest import RUN, failure, log, step  # isort: skip
from .conftest import KILLED  # isort: skip


def test_a_step_that_failed(pipeline: Callable[[str], Insights]) -> None:
    """The story has the steps in order, the exception with its stack and span, and the logs around it."""
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
    members = json.loads(story.to_json())
    assert (members["failure"]["type"], members["span"]["name"]) == ("ValueError", "work")
    assert [len(members[name]) for name in ("steps", "around", "metrics")] == [3, 4, 3]
    assert story._repr_html_().startswith("<pre>run r1 of digits\n")


def test_a_step_that_was_killed(pipeline: Callable[[str], Insights]) -> None:
    """The story reports a killed step with its last record, and its tree has the records in it."""
    insights = pipeline(KILLED)
    story = insights.story("r1")
    assert (story.state, story.failure) == ("open", None)
    assert [row["state"] for row in story.steps] == ["done", "open", "done"]
    (sentence,) = story.missing
    assert re.match(r"step train began at \S+ and has not ended: it was killed \(no process", sentence)
    assert sentence.endswith('ago: "slow train". Steps that began after it: publish (done)')
    assert [(row["message"], row["elsewhere"]) for row in story.around][-1] == ("slow train", False)
    assert "its last logs" in story.text and "no end" in story.text
    tree = insights.tree("r1").text
    assert "in step train: a step or span that has not ended or not arrived" in tree
    assert tree.count("step p") == 2


def test_no_exception(journal: Callable[..., Path]) -> None:
    """A failed step without records is the failure itself, and so is an error in a run that ended well."""
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


def test_an_uncaught_exception_takes_precedence(journal: Callable[..., Path]) -> None:
    """The failure is the uncaught exception and not a caught one before it."""
    time = "2026-11-22T10:00:0{}Z"
    path = journal(
        step("train", success=False, time=time.format(0)), failure("caught", time.format(1)),
        failure("deadly", time.format(2), logger="amllog.uncaught"), failure("at exit", time.format(3)),
        log("in another", 3, time.format(0), step_id="s0"),
    )  # fmt: skip
    story = Insights(PythonStore([path])).story()
    assert story.failure is not None
    assert story.failure["message"] == "deadly"
    assert [row["message"] for row in story.around] == ["in another", "caught", "deadly", "at exit"]


@pytest.mark.parametrize(
    ("outside", "name"),
    [
        ("raise error", "read"),
        ("log.exception('no data', exc_info=error)", "read"),
        ("raise KeyError from error", None),
        ("log.info('next'); log.exception('no data', exc_info=error)", None),
        ("log.exception('no key', exc_info=KeyError('a'))", None),
        ("log.error('no data')", None),
    ],
)
def test_the_span_of_a_failure(child: Any, tmp_path: Path, outside: str, name: str | None) -> None:
    """The span of a failure is the one in which its exception was raised, and not one that failed before it."""
    script = f"""
import amllog
log = amllog.setup()
try:
    with log.span("read"):
        raise ValueError("bad")
except ValueError as caught:
    error = caught
{outside}
"""
    child(script, env={"AMLLOG_DIR": str(tmp_path / "logs")})
    span = Insights(PythonStore([tmp_path / "logs"])).story("last").span
    assert (span and span["name"]) == name


def test_torn_lines_are_reported(journal: Callable[..., Path]) -> None:
    """Lines that could not be read are missing records."""
    story = Insights(PythonStore([journal(step("train"), log("x"), '{"torn')])).story(RUN)
    assert story.missing == (
        "1 line could not be read and left out (torn by a kill, or being written right now)",
    )


def test_a_story_of_all_runs(journal: Callable[..., Path]) -> None:
    """A story of all runs is an error."""
    with pytest.raises(UsageError, match="story needs one run id"):
        Insights(PythonStore([journal(log("x"))])).story("all")


def test_steps_after_a_killed_step(journal: Callable[..., Path]) -> None:
    """The last logs of a killed step precede the failure of a later one, and missing steps are reported."""
    before: dict[str, Any] = {"parent_run_id": "r0", "experiment_name": "e", "time": "2026-11-21T10:00:00Z"}
    now: dict[str, Any] = {"experiment_name": "e"}
    time = "2026-11-22T10:00:{:02}Z"
    path = journal(
        *(step(name, step_id=f"r0-{name}", step_name=name, **before) for name in ("train", "score", "publish")),
        *(log(f"epoch {number}", 1, time.format(number), step_id="s1", **now) for number in range(6)),
        step("score", success=False, time=time.format(20), step_id="s2", step_name="score", **now),
        failure("no model", time.format(21), step_id="s2", step_name="score", **now),
    )  # fmt: skip
    story = Insights(PythonStore([path])).story(RUN)
    assert story.state == "failed" and story.failure is not None and story.failure["message"] == "no model"
    assert [row["message"] for row in story.around] == ["epoch 3", "epoch 4", "epoch 5", "no model"]
    assert story.missing[0].endswith('"epoch 5". Steps that began after it: score (failed)')
    assert story.missing[1] == "steps of the run before it (r0) that have not begun here: publish"


def steps_of(run: str, day: int, *names: str, failed: str = "", experiment: str = "e") -> list[Any]:
    """Return the records of the steps of a run, each a minute after the one before it."""
    return [
        step(name, success=name != failed, time=f"2026-11-{day}T10:{minute:02}:00Z", step_name=name,
             step_id=f"{run}-{name}", parent_run_id=run, experiment_name=experiment)
        for minute, name in enumerate(names)
    ]  # fmt: skip


def test_only_steps_that_follow_are_reported_as_not_begun(journal: Callable[..., Path]) -> None:
    """Steps before the failed one are reused results, and no sentence reports them or the trials of a sweep."""
    before = steps_of("r0", 21, "prepare", "train", "evaluate", "publish")
    trial = step("HD_7", step_id="HD_7", step_name="HD_7", parent_run_id="r0", experiment_name="e",
                 time="2026-11-21T11:00:00Z")  # fmt: skip
    path = journal(*before, trial, *steps_of("r1", 22, "train", failed="train"))
    assert Insights(PythonStore([path])).story("r1").missing == (
        "steps of the run before it (r0) that have not begun here: evaluate, publish",
    )
    path = journal(*before, *steps_of("r1", 22, "train"))
    assert Insights(PythonStore([path])).story("r1").missing == ()


def test_the_run_before_has_a_step_of_this_run(journal: Callable[..., Path]) -> None:
    """A run of other steps is another pipeline or script, and is neither compared nor reported as missing."""
    others = (*steps_of("r0", 20, "train", "evaluate"), *steps_of("r1", 21, "score", "publish"))
    story = Insights(PythonStore([journal(*others, *steps_of("r2", 22, "train", failed="train"))])).story()
    assert story.missing == ("steps of the run before it (r0) that have not begun here: evaluate",)
    assert "amllog compare r0 r2   with the run before it (done)" in story.next
    story = Insights(PythonStore([journal(*others, *steps_of("r2", 22, "load", failed="load"))])).story()
    assert (story.missing, [line for line in story.next if "compare" in line]) == ((), [])


def test_the_state_of_the_run_before_is_that_of_all_its_steps(journal: Callable[..., Path]) -> None:
    """A run whose other step failed is not the good run to compare with."""
    path = journal(
        *steps_of("r0", 20, "train", "evaluate"),
        *steps_of("r1", 21, "train", "evaluate", failed="evaluate"),
        *steps_of("r2", 22, "train", failed="train"),
    )
    story = Insights(PythonStore([path])).story()
    assert "amllog compare r0 r2   with the run before it (done)" in story.next


def test_commands_quote_the_name_of_a_run(journal: Callable[..., Path]) -> None:
    """The commands of a run whose name has a space can be pasted into a shell."""
    path = journal(*steps_of("run of monday", 22, "train", failed="train"))
    story = Insights(PythonStore([path])).story()
    assert story.next[0].startswith("amllog logs 'run of monday' --step-name train")
    assert story.next[1].startswith("amllog timeline 'run of monday' ")


def test_an_error_of_another_step_is_not_the_cause(journal: Callable[..., Path]) -> None:
    """The failure of a killed step is its own error. An error of another step is only among the last logs."""
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
