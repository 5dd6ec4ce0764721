"""Collect the data of a story: the failure, the logs around it, missing records, and the next steps.

A story takes a fixed number of queries, and a few more for each step that never ended, of which at most `MAX_LOST`
are reported one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from amllog.errors import UsageError
from amllog.insights.query.result import Column, Row, Table
from amllog.insights.query.run_ids import root_of
from amllog.insights.questions import Questions
from amllog.insights.reports import next_steps, rendering, undelivered
from amllog.insights.reports.story import Story, step_label
from amllog.insights.stores.service.service_store import UNBOUNDED
from amllog.record.envelope import UNCAUGHT_LOGGER

BEFORE, AFTER, ELSEWHERE = 8, 3, 6  # logs around the failure: before it, after it, in other steps
LAST_LOGS = 3  # of each step that never ended
MAX_LOST = 20  # steps that never ended. The others are counted.
MAX_NAMES = 100  # names of steps that an earlier run may have
_MAX_ERRORS = 100  # of the failed step that are read, the latest first
_TICK = timedelta(microseconds=1)


def build_story(questions: Questions, run: str) -> Story:
    """Return the story of one run or step by its full id. UsageError if it has no records."""
    steps = questions.steps(run)
    if not run or not steps:
        if run:
            raise UsageError(f"no records of {run}")
        raise UsageError("story needs one run id; list them with `amllog runs`")
    failure, moment = _failure(questions, run, steps)
    lost = _open(steps)[:MAX_LOST]
    if failure is None and lost:
        moment = lost[0]["last_seen"]
    cause = failure or next(iter(lost), None)
    around = (
        _around(questions, run, cause["step_id"], moment, lost)
        if cause and moment
        else questions.logs(run, limit=1)
    )
    ends = [_end(row) for row in steps]
    began, state = steps[0]["began"], _state(steps)
    seconds = (max(ends) - began).total_seconds()
    before = _before(questions, run, steps)
    return Story(
        run=run,
        state=state,
        experiment_name=steps[0]["experiment_name"],
        began=began,
        seconds=seconds,
        steps=steps,
        failure=failure,
        span=_span(questions, run, failure, around),
        around=_marked(around, cause),
        metrics=_in_order(questions.last_values(run), steps),
        missing=tuple(_missing(questions, run, steps, around, before)),
        next=tuple(next_steps.next_steps(questions, run, steps, cause, before, around)),
        errors=sum(row["errors"] for row in steps),
    )


def _failure(questions: Questions, run: str, steps: Table) -> tuple[Row | None, datetime | None]:
    """Return the row that explains the failure, and its time.

    It is the record that ended the first failed step: an uncaught exception, else an exception, else an error, else
    the step itself. If no step failed, it is the last error of a step that never ended, because errors in other steps
    did not stop those. If all steps ended well, it is the first error of the run.
    """
    failed = sorted((row for row in steps if row["state"] == "failed"), key=_end)
    for step in failed[:1]:
        latest = questions.errors(step_id=step["step_id"], limit=_MAX_ERRORS, newest_first=True)
        errors = [row for row in latest if row["itemType"] != "request"]
        exceptions = [row for row in errors if row["itemType"] == "exception"]
        uncaught = [row for row in exceptions if row["logger"] == UNCAUGHT_LOGGER]
        for row in (uncaught or exceptions or errors)[:1]:
            return row, row["timestamp"]
        return next((row for row in latest if row["itemType"] == "request"), None), _end(step)
    lost = [row["step_id"] for row in steps if row["state"] == "open"]
    if lost:
        last = questions.errors(step_id=lost, limit=1, newest_first=True)
        return (last[0], last[0]["timestamp"]) if last else (None, None)
    errors = [row for row in questions.errors(run, limit=_MAX_ERRORS) if row["itemType"] != "request"]
    return (errors[0], errors[0]["timestamp"]) if errors else (None, None)


def _around(questions: Questions, run: str, step_id: str, moment: datetime, lost: list[Row]) -> Table:
    """Return logs around a moment in time order.

    They are the logs of the step before and after the moment, warnings of other steps before it, and the last logs of
    steps that never ended.
    """
    until = moment + _TICK
    before = questions.logs(run, step_id=step_id, until=until, limit=BEFORE + 1, newest_first=True)
    after = questions.logs(run, step_id=step_id, since=until, limit=AFTER)
    warnings = questions.logs(run, level="WARNING", until=until, limit=100, newest_first=True)
    others = [row for row in warnings if row["step_id"] != step_id][:ELSEWHERE]
    for step in lost:
        if step["step_id"] != step_id and step["began"] < moment:
            last = questions.logs(step_id=step["step_id"], until=until, limit=LAST_LOGS, newest_first=True)
            others += [row for row in last if row not in others]
    rows = sorted((*reversed(before.rows), *after.rows, *others), key=lambda row: row["timestamp"])
    return Table(before.columns, tuple(rows), before.notes)


def _marked(around: Table, cause: Row | None) -> Table:
    """Return the logs with a column that marks rows of other steps. No rows without a cause."""
    step_id = cause["step_id"] if cause else ""
    rows = tuple({**row, "elsewhere": row["step_id"] != step_id} for row in around) if cause else ()
    return Table((*around.columns, Column("elsewhere", "bool")), rows, around.notes)


def _span(questions: Questions, run: str, failure: Row | None, around: Table) -> Row | None:
    """Return the span that contains the failure.

    An uncaught exception has the span in which it was raised. One that was caught and logged left a span if that span
    failed with its type, and the step logged nothing in between.
    """
    if failure is None or failure["itemType"] == "request":
        return None
    spans = questions.spans(run, step_id=failure["step_id"], until=failure["timestamp"] + _TICK)
    found = [row for row in spans if row["id"] == failure["operation_ParentId"]]
    if not found and failure["itemType"] == "exception" and failure["logger"] != UNCAUGHT_LOGGER:
        of_step = (row["timestamp"] for row in around if row["step_id"] == failure["step_id"])
        last = max((time for time in of_step if time < failure["timestamp"]), default=None)
        kind = failure["type"].rpartition(".")[2]
        failed = [row for row in spans if not row["success"] and row["resultCode"].rpartition(".")[2] == kind]
        found = [row for row in failed if last is None or _end_of_span(row) > last]
    for span in found[-1:]:
        return {**span, "message": span["name"], "itemType": "dependency"}
    return None


def _end_of_span(span: Row) -> datetime:
    return rendering.add_seconds(span["timestamp"], span["duration_seconds"])


def _missing(
    questions: Questions, run: str, steps: Table, around: Table, before: Row | None
) -> Iterator[str]:
    """Yield sentences about steps that never ended or never began, and about records that are not complete."""
    lost = _open(steps)
    yield from (_describe_lost(questions, row, steps) for row in lost[:MAX_LOST])
    if len(lost) > MAX_LOST:
        yield f"{rendering.pluralize(len(lost) - MAX_LOST, 'more step')} began and did not end"
    is_step = run in {row["step_id"] for row in steps} - {row["parent_run_id"] for row in steps}
    if before is not None and not is_step and _state(steps) != "done":
        absent = _not_begun(questions.steps(before["parent_run_id"]), steps)
        if absent:
            run_before = before["parent_run_id"]
            yield f"steps of the run before it ({run_before}) that have not begun here: {', '.join(absent)}"
    if questions.journals is not None:
        yield from undelivered.describe_undelivered(questions.journals(run))
    notes = dict.fromkeys((*steps.notes, *around.notes))
    yield from (note for note in notes if note != UNBOUNDED and not note.startswith("the limit of"))


def _not_begun(earlier: Table, steps: Table) -> list[str]:
    """Return the steps of an earlier run that followed the ones of this run and have no records here.

    Steps before the latest common one are left out, because Azure ML may have reused their results. So are steps
    without a name of their own, such as the trials of a sweep.
    """
    known = {row["step_name"] for row in steps}
    common = [row["began"] for row in earlier if row["step_name"] in known]
    return [
        *dict.fromkeys(
            step_label(row)
            for row in earlier
            if common
            and row["began"] >= max(common)
            and row["step_name"] not in known
            and row["step_name"] != row["step_id"]
        )
    ]


def _open(steps: Table) -> list[Row]:
    return [row for row in steps if row["state"] == "open"]


def _describe_lost(questions: Questions, step: Row, steps: Table) -> str:
    """Return sentences about a step that never ended: its process, its last record, and steps that began later."""
    last = step["last_seen"]
    latest = questions.records(step_id=step["step_id"], since=last).rows[-1:]
    record = f': "{rendering.first_line(latest[0])}"' if latest else ""
    ago = rendering.format_duration(max(0.0, (datetime.now(timezone.utc) - last).total_seconds()))
    began = rendering.format_time(step["began"])
    writer = undelivered.describe_writer(questions.journals(step["step_id"]) if questions.journals else ())
    text = f"step {step_label(step)} began at {began} and has not ended: {writer}. "
    text += f"Its last record is of {rendering.format_time(last)}, {ago} ago{record}"
    later = [f"{step_label(row)} ({row['state']})" for row in steps if row["began"] >= last]
    more = f" and {len(later) - MAX_LOST} more" if len(later) > MAX_LOST else ""
    return f"{text}. Steps that began after it: {', '.join(later[:MAX_LOST])}{more}" if later else text


def _in_order(metrics: Table, steps: Table) -> Table:
    """Return the metrics in the order of their steps."""
    order = {row["step_id"]: index for index, row in enumerate(steps)}
    return replace(
        metrics, rows=tuple(sorted(metrics, key=lambda row: order.get(row["step_id"], len(order))))
    )


def _before(questions: Questions, run: str, steps: Table) -> Row | None:
    """Return the last run of the same experiment and steps before this one that was good, or else the last one.

    A run without a step of this run is another pipeline, or on a laptop another script.
    """
    experiment, until = steps[0]["experiment_name"], steps[0]["began"]
    names = [*dict.fromkeys(row["step_name"] for row in steps if row["step_name"])][:MAX_NAMES]
    if not experiment or not names:
        return None
    alike = questions.runs(experiment_name=experiment, step_name=names, until=until)
    ids = {row["parent_run_id"] for row in alike} - {root_of(run, steps[0]["parent_run_id"])}
    # The states are those of all steps of a run.
    runs = questions.runs(experiment_name=experiment, until=until) if ids else ()
    others = [row for row in runs if row["parent_run_id"] in ids]
    good = [row for row in others if row["state"] == "done"] or others
    return good[-1] if good else None


def _state(steps: Table) -> str:
    states = {row["state"] for row in steps}
    return next((state for state in ("failed", "open") if state in states), "done")


def _end(step: Row) -> datetime:
    """Return the time at which a step ended, or the time of its last record."""
    end: datetime = max(step["last_seen"], rendering.add_seconds(step["began"], step["duration_seconds"]))
    return end
