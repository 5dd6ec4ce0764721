"""Gathers what the story of a run tells: the failure, what is around it, what is missing, what to look at next.

In: the questions over any store, a run's or step's whole id. Out: a `Story`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from amllog.errors import UsageError
from amllog.insights.query.result import Column, Row, Table
from amllog.insights.questions import Questions
from amllog.insights.reports import next_steps, rendering, undelivered
from amllog.insights.reports.story import Story, step_label

BEFORE, AFTER, ELSEWHERE = 8, 3, 6  # records around the failure: before it, after it, of other steps
LAST_WORDS = 3  # of a step that never ended
LOST = 20  # steps that never ended, each of which takes several queries; the others are counted
UNCAUGHT = "amllog.uncaught"  # the logger of exceptions that nobody caught
_LOOKED_AT = 100  # errors of the failed step, the latest first
_TICK = timedelta(microseconds=1)


def build_story(questions: Questions, run: str) -> Story:
    """The story of one run, or of one step; `run` is a whole id. UsageError if nothing is known of it."""
    steps = questions.steps(run)
    if not run or not steps:
        if run:
            raise UsageError(f"nothing is known of {run}")
        raise UsageError("a story is of one run: name it, where there are any (amllog runs)")
    failure, moment = _failure(questions, run, steps)
    lost = _open(steps)[:LOST]
    if failure is None and lost:
        moment = lost[0]["last_seen"]
    told = failure or next(iter(lost), None)
    around = (
        _around(questions, run, told["step_id"], moment, lost)
        if told and moment
        else questions.logs(run, limit=1)
    )
    ends = [_end(row) for row in steps]
    began, state = steps[0]["began"], _state(steps)
    seconds = (max(ends) - began).total_seconds()
    before = _before(questions, steps)
    return Story(
        run, state, steps[0]["experiment_name"], began, seconds, steps, failure,
        _span(questions, run, failure), _marked(around, told), _in_order(questions.last_values(run), steps),
        tuple(_missing(questions, run, steps, around, before)),
        tuple(next_steps.next_steps(questions, run, steps, told, before, around)),
        sum(row["errors"] for row in steps),
    )  # fmt: skip


def _failure(questions: Questions, run: str, steps: Table) -> tuple[Row | None, datetime | None]:
    """The row that tells why, and when it happened: what ended the first failed step; else the last error of a step
    that never ended (those of others did not keep them from ending); else the first error."""
    failed = sorted((row for row in steps if row["state"] == "failed"), key=_end)
    for step in failed[:1]:
        latest = questions.errors(step_id=step["step_id"], limit=_LOOKED_AT, newest_first=True)
        said = [row for row in latest if row["itemType"] != "request"]
        thrown = [row for row in said if row["itemType"] == "exception"]
        uncaught = [row for row in thrown if row["logger"] == UNCAUGHT]
        for row in (uncaught or thrown or said)[:1]:
            return row, row["timestamp"]
        return next((row for row in latest if row["itemType"] == "request"), None), _end(step)
    lost = [row["step_id"] for row in steps if row["state"] == "open"]
    if lost:
        last = questions.errors(step_id=lost, limit=1, newest_first=True)
        return (last[0], last[0]["timestamp"]) if last else (None, None)
    said = [row for row in questions.errors(run, limit=_LOOKED_AT) if row["itemType"] != "request"]
    return (said[0], said[0]["timestamp"]) if said else (None, None)


def _around(questions: Questions, run: str, step_id: str, moment: datetime, lost: list[Row]) -> Table:
    """Logs of that step before and after the moment, and of others before it their warnings and, of those that never
    ended, their last words; in time order."""
    until = moment + _TICK
    before = questions.logs(run, step_id=step_id, until=until, limit=BEFORE + 1, newest_first=True)
    after = questions.logs(run, step_id=step_id, since=until, limit=AFTER)
    warned = questions.logs(run, level="WARNING", until=until, limit=100, newest_first=True)
    others = [row for row in warned if row["step_id"] != step_id][:ELSEWHERE]
    for step in lost:
        if step["step_id"] != step_id and step["began"] < moment:
            last = questions.logs(step_id=step["step_id"], until=until, limit=LAST_WORDS, newest_first=True)
            others += [row for row in last if row not in others]
    rows = sorted((*reversed(before.rows), *after.rows, *others), key=lambda row: row["timestamp"])
    return Table(before.columns, tuple(rows), before.notes)


def _marked(around: Table, told: Row | None) -> Table:
    """The same with a column that says which rows are of other steps; nothing where there is nothing to tell."""
    own = told["step_id"] if told else ""
    rows = tuple({**row, "elsewhere": row["step_id"] != own} for row in around) if told else ()
    return Table((*around.columns, Column("elsewhere", "bool")), rows, around.notes)


def _span(questions: Questions, run: str, failure: Row | None) -> Row | None:
    """The span in which the failure lies, or which failed just before it."""
    if failure is None or failure["itemType"] == "request":
        return None
    spans = questions.spans(run, step_id=failure["step_id"], until=failure["timestamp"] + _TICK)
    exact = [row for row in spans if row["id"] == failure["operation_ParentId"]]
    failed = [row for row in spans if row["success"] is False]
    found = (exact or failed)[-1:]
    return {**found[0], "message": found[0]["name"], "itemType": "dependency"} if found else None


def _missing(
    questions: Questions, run: str, steps: Table, around: Table, before: Row | None
) -> Iterator[str]:
    """Steps that never ended, steps that did not begin though they did before, records that are not all there."""
    lost = _open(steps)
    yield from (_lost(questions, row, steps) for row in lost[:LOST])
    if len(lost) > LOST:
        yield f"{rendering.pluralize(len(lost) - LOST, 'more step')} began and did not end"
    if before is not None and run == steps[0]["parent_run_id"] and _state(steps) != "done":
        known = {row["step_name"] for row in steps}
        earlier = questions.steps(before["parent_run_id"])
        absent = dict.fromkeys(step_label(row) for row in earlier if row["step_name"] not in known)
        if absent:
            run_before = before["parent_run_id"]
            yield f"steps of the run before it ({run_before}) that have not begun here: {', '.join(absent)}"
    if questions.journals is not None:
        yield from undelivered.describe_undelivered(questions.journals(run))
    notes = dict.fromkeys((*steps.notes, *around.notes))
    yield from (note for note in notes if not note.startswith(("the limit of", "no time range was given")))


def _open(steps: Table) -> list[Row]:
    """The steps that never ended."""
    return [row for row in steps if row["state"] == "open"]


def _lost(questions: Questions, row: Row, steps: Table) -> str:
    last = row["last_seen"]
    latest = questions.records(step_id=row["step_id"], since=last).rows[-1:]
    words = f': "{rendering.first_line(latest[0])}"' if latest else ""
    ago = rendering.format_duration(max(0.0, (datetime.now(timezone.utc) - last).total_seconds()))
    found = f"step {step_label(row)} began at {rendering.format_time(row['began'])} and has not ended: "
    found += undelivered.describe_writer(questions.journals(row["step_id"]) if questions.journals else ())
    found += f". It last spoke at {rendering.format_time(last)}, {ago} ago{words}"
    after = [f"{step_label(one)} ({one['state']})" for one in steps if one["began"] >= last]
    more = f" and {len(after) - LOST} more" if len(after) > LOST else ""
    return f"{found}. After that began: {', '.join(after[:LOST])}{more}" if after else found


def _in_order(metrics: Table, steps: Table) -> Table:
    """Those of the first step first."""
    order = {row["step_id"]: at for at, row in enumerate(steps)}
    return replace(
        metrics, rows=tuple(sorted(metrics, key=lambda row: order.get(row["step_id"], len(order))))
    )


def _before(questions: Questions, steps: Table) -> Row | None:
    """The run of the same experiment before this one: the last that was good, else the last."""
    experiment = steps[0]["experiment_name"]
    found = questions.runs(experiment_name=experiment, until=steps[0]["began"]) if experiment else ()
    others = [row for row in found if row["parent_run_id"] != steps[0]["parent_run_id"]]
    good = [row for row in others if row["state"] == "done"] or others
    return good[-1] if good else None


def _state(steps: Table) -> str:
    states = {row["state"] for row in steps}
    return next((state for state in ("failed", "open") if state in states), "done")


def _end(step: Row) -> datetime:
    """When a step ended, or when it was last heard of."""
    last: datetime = max(step["last_seen"], rendering.add_seconds(step["began"], step["duration_seconds"]))
    return last
