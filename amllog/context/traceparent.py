"""Read and write W3C `TRACEPARENT` in the environment: the operation and the span that started a process.

Sources: W3C Trace Context, level 1, and OpenTelemetry's "Environment Variables as Context Propagation Carriers".
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from amllog.config.variables import CHILD

VARIABLE = "TRACEPARENT"

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?", re.ASCII)


def read_parent(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return (operation id, span id) of TRACEPARENT. None without it, or if it is invalid by the W3C rules."""
    match = _FORM.fullmatch((environ.get(VARIABLE) or environ.get("traceparent") or "").strip().lower())
    if match is None:
        return None
    version, operation, span, rest = match.groups()
    if version == "ff" or (version == "00" and rest) or not operation.strip("0") or not span.strip("0"):
        return None
    return operation, span


def child_variables(operation_id: str, span_id: str, step_id: str) -> dict[str, str]:
    """Return the environment variables for one child process below a span."""
    return {
        VARIABLE: f"00-{operation_id}-{span_id}-01",
        CHILD: f"{step_id} {os.urandom(8).hex()}",
    }
