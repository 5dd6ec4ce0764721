"""Determine whether another process is the step, and the span of this process below it.

In a job, the first process that calls setup() is the step: it records the one request. It sets `AMLLOG_STEP_PROCESS`,
so that the processes that it starts are spans of the step. `AMLLOG_CHILD` names the span of one process. It comes from
`amllog.trace_environment()`, or the process sets it for the processes that it starts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from typing import NamedTuple

from amllog.config.variables import CHILD, STEP_PROCESS
from amllog.context import traceparent


class Place(NamedTuple):
    """The span of a process, and the span around it."""

    span_id: str
    parent_span_id: str


def place_below_step(environ: Mapping[str, str], step_id: str, step_span: str, token: str) -> Place | None:
    """Return the place of this process if another one is the step, otherwise None.

    `step_span`: the span of the step. `token` identifies this process. It is "" for workers and forked processes, which
    have the span of the process that started them.
    """
    step, span, owner, parent = _words(environ.get(CHILD, ""), 4)
    if step == step_id and re.fullmatch("[0-9a-f]{16}", span):
        if token and owner not in ("", token):
            return Place(_new_span(step_id, token), span)
        started_by = traceparent.read_parent(environ)
        return Place(span, parent or (started_by[1] if started_by is not None else step_span))
    step, owner = _words(environ.get(STEP_PROCESS, ""), 2)
    if step == step_id and token and owner != token:
        return Place(_new_span(step_id, token), step_span)
    return None


def span_of_worker(environ: Mapping[str, str], step_id: str, step_span: str) -> str:
    """Return the span that the records of a process belong to that does not record its own end.

    `step_span`: that of the step, if `AMLLOG_CHILD` names no span of this step.
    """
    step, span, owner, _ = _words(environ.get(CHILD, ""), 4)
    if step != step_id or not re.fullmatch("[0-9a-f]{16}", span):
        return step_span
    started_by = traceparent.read_parent(environ)
    # Without an owner, the span is that of a process that records its end. The span around it is known.
    return span if owner else started_by[1] if started_by is not None else step_span


def mark_process(environ: MutableMapping[str, str], step_id: str, token: str, place: Place | None) -> None:
    """Set the variable from which child processes find their place. Safe to repeat.

    It stays after shutdown(), because the step has ended then. Later records of its processes are in a span.
    """
    if place is None:
        environ[STEP_PROCESS] = f"{step_id} {token}"
    else:
        environ[CHILD] = f"{step_id} {place.span_id} {token} {place.parent_span_id}"


def _new_span(step_id: str, token: str) -> str:
    import hashlib  # here: `import amllog` must stay light

    return hashlib.sha256(f"{step_id} {token}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _words(value: str, count: int) -> list[str]:
    """Return the words of a variable, with "" for those that it does not have."""
    return [*value.split(" "), *[""] * count][:count]
