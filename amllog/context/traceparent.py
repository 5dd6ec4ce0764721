"""W3C `traceparent` in the environment: under which span of which operation a process was started.

In: the environment as a mapping. Out: operation and span ids in the bare form, and the variables for a child process.
Source: W3C Trace Context, level 1, and OpenTelemetry's "Environment Variables as Context Propagation Carriers".
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

VARIABLE = "TRACEPARENT"
CHILD = "AMLLOG_CHILD"  # "<step id> <span id>": what a child process inside a job is of its own in the tree

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?", re.ASCII)


def read_parent(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """(operation id, span id) that TRACEPARENT names; None if there is none, or one that W3C calls invalid."""
    match = _FORM.fullmatch((environ.get(VARIABLE) or environ.get("traceparent") or "").strip().lower())
    if match is None:
        return None
    version, operation, span, more = match.groups()
    if version == "ff" or (version == "00" and more) or not operation.strip("0") or not span.strip("0"):
        return None
    return operation, span


def child_span(environ: Mapping[str, str], step_id: str) -> str:
    """The span id that a process of this step was given by the process of the same step that started it, or nothing."""
    step, _, span = environ.get(CHILD, "").rpartition(" ")
    return span if step == step_id and re.fullmatch("[0-9a-f]{16}", span) else ""


def child_variables(operation_id: str, span_id: str, step_id: str) -> dict[str, str]:
    """The variables for one child process that is started under a span."""
    return {
        VARIABLE: f"00-{operation_id}-{span_id}-01",
        CHILD: f"{step_id} {os.urandom(8).hex()}",
    }
