"""The marks of OpenTelemetry and OpenCensus for requests that an exporter makes, which must not be traced again.

Their own exporters set these marks, and their instrumentations of HTTP libraries read them. Only modules that the
script has imported are used.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

OPENTELEMETRY, OPENCENSUS = "opentelemetry.context", "opencensus.trace.execution_context"
# Instrumentations read the first or the second one, depending on their version.
_KEYS = ("_SUPPRESS_INSTRUMENTATION_KEY", "_SUPPRESS_HTTP_INSTRUMENTATION_KEY")


@contextlib.contextmanager
def suppressed() -> Iterator[None]:
    """Mark the block as the work of an exporter."""
    context: Any = sys.modules.get(OPENTELEMETRY)
    keys = [getattr(context, name) for name in _KEYS if hasattr(context, name)]
    execution: Any = sys.modules.get(OPENCENSUS)
    was_exporter = getattr(execution, "is_exporter", bool)()
    if hasattr(execution, "set_is_exporter"):
        execution.set_is_exporter(True)
    token = None
    if keys:
        present = context.get_current()
        for key in keys:
            present = context.set_value(key, True, present)
        token = context.attach(present)
    try:
        yield
    finally:
        if token is not None:
            context.detach(token)
        if hasattr(execution, "set_is_exporter"):
            execution.set_is_exporter(was_exporter)


def is_exporting() -> bool:
    """Return whether an exporter of OpenTelemetry or OpenCensus works in this thread."""
    context: Any = sys.modules.get(OPENTELEMETRY)
    key = getattr(context, _KEYS[0], None)
    if key is not None and context.get_value(key):
        return True
    return bool(getattr(sys.modules.get(OPENCENSUS), "is_exporter", bool)())
