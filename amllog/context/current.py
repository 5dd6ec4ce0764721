"""The bound dimensions and the innermost span of the current context, in `contextvars`.

`with bound(...)` and `with log.span(...)` set them. Every record made inside the block carries them, in asyncio tasks
and in threads that run in a copy of the context too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import partial
from types import MappingProxyType

from amllog.context.blocks import Block, Change
from amllog.process.interrupts import suppress

# The modules of other tracers. A foreign span exists only if one of them is imported.
OPENTELEMETRY, OPENCENSUS = "opentelemetry.trace", "opencensus.trace.tracer"
_ERROR_ATTRIBUTE = "__amllog_context__"
_EMPTY: Mapping[str, object] = MappingProxyType({})
_bound: ContextVar[Mapping[str, object]] = ContextVar("amllog.bound", default=_EMPTY)
_span: ContextVar[str] = ContextVar("amllog.span", default="")
_operation: ContextVar[str] = ContextVar("amllog.operation", default="")

# Each record reads these three. As methods of the variables they take half the time of functions around them.
# The dimensions that are bound in this context.
dimensions: Callable[[], Mapping[str, object]] = _bound.get
# The id of the innermost span of amllog, or "".
span_id: Callable[[], str] = _span.get
# The operation that this context was carried over from, or "" for the operation of the run.
operation_id: Callable[[], str] = _operation.get


def bound(**dimensions: object) -> Block:
    """Add dimensions to every record made inside the `with` block, in this context."""
    return Block(partial(_dimensions_change, dimensions))


def _dimensions_change(dimensions: Mapping[str, object]) -> Change:
    merged = {**_bound.get(), **dimensions}
    return (_bound,), (merged,), partial(_annotate, merged, None)


def in_span(span_id: str) -> Block:
    """Make `span_id` the innermost span of this context."""
    return Block(partial(span_change, span_id))


def span_change(span_id: str) -> Change:
    """Return the change of `in_span`, for blocks that do more."""
    return (_span,), (span_id,), partial(_annotate, None, span_id)


def remote_parent(operation_id: str, span_id: str) -> Block:
    """Continue below a span of another thread or process, which may belong to another operation than the run's."""
    on_exit = partial(_annotate, None, span_id)
    return Block(lambda: ((_span, _operation), (span_id, operation_id), on_exit))


def context_of_error(error: BaseException) -> tuple[Mapping[str, object], str]:
    """Return (dimensions, span id) of the innermost block that `error` has left, or else of the current context."""
    context: tuple[Mapping[str, object], str] = getattr(error, _ERROR_ATTRIBUTE, (_bound.get(), _span.get()))
    return context


def _annotate(
    dimensions: Mapping[str, object] | None,
    span_id: str | None,
    _: object,
    error: BaseException | None,
    *__: object,
) -> None:
    """Store the dimensions and the span in an exception, because it is reported as uncaught only after the block."""
    if error is not None and not hasattr(error, _ERROR_ATTRIBUTE):
        context = (
            _bound.get() if dimensions is None else dimensions,
            _span.get() if span_id is None else span_id,
        )
        # Some exceptions have no dictionary.
        with suppress(AttributeError, TypeError):
            setattr(error, _ERROR_ATTRIBUTE, context)


def foreign_span() -> tuple[str, str] | None:
    """Return (operation id, span id) of the current OpenTelemetry or OpenCensus span, or None."""
    trace = sys.modules.get(OPENTELEMETRY)
    if trace is not None:
        current = trace.get_current_span().get_span_context()
        if current.is_valid:
            return f"{current.trace_id:032x}", f"{current.span_id:016x}"
    if OPENCENSUS in sys.modules:
        execution = sys.modules["opencensus.trace.execution_context"]
        span = execution.get_current_span()
        if span is not None:
            return span.context_tracer.trace_id, span.span_id
    return None


def logged_span(extra: Mapping[str, object]) -> tuple[str, str] | None:
    """Return the trace and span that OpenCensus' logging integration put on a record, or None."""
    trace, span = str(extra["traceId"])[:128], str(extra.get("spanId", ""))[:128]
    return (trace, span) if trace.strip("0") and span.strip("0") else None
