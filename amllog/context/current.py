"""Keeps the bound dimensions and the innermost span of the present context, in context variables.

In: `with bound(...)`, `with log.span(...)`. Out: what stands on records made inside, also in asyncio tasks and in
threads that were started with a copy of the context.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import partial
from types import MappingProxyType

from amllog.context.blocks import Block, Change
from amllog.process.interrupts import suppress

# The modules of other tracers: without them there is no foreign span.
OPENTELEMETRY, OPENCENSUS = "opentelemetry.trace", "opencensus.trace.tracer"
_LEFT = "__amllog_context__"
_NOTHING: Mapping[str, object] = MappingProxyType({})
_bound: ContextVar[Mapping[str, object]] = ContextVar("amllog.bound", default=_NOTHING)
_span: ContextVar[str] = ContextVar("amllog.span", default="")
_operation: ContextVar[str] = ContextVar("amllog.operation", default="")

# Each record asks for these three. As methods of the variables they take half the time of functions around them.
# The dimensions that are bound in this context.
dimensions: Callable[[], Mapping[str, object]] = _bound.get
# The innermost span of ours; "" if there is none.
span_id: Callable[[], str] = _span.get
# The operation that this context was carried over from; "" for the run's.
operation_id: Callable[[], str] = _operation.get


def bound(**dimensions: object) -> Block:
    """Dimensions for every record made inside the `with` block, in this context."""
    return Block(partial(_binding, dimensions))


def _binding(dimensions: Mapping[str, object]) -> Change:
    ours = {**_bound.get(), **dimensions}
    return (_bound,), (ours,), partial(_left, ours, None)


def in_span(span_id: str) -> Block:
    """Make `span_id` the innermost span of this context."""
    return Block(partial(span_change, span_id))


def span_change(span_id: str) -> Change:
    """The change of `in_span`, for blocks that do more."""
    return (_span,), (span_id,), partial(_left, None, span_id)


def remote_parent(operation_id: str, span_id: str) -> Block:
    """Go on under a span of another thread or process, which may be of another operation than the run's."""
    left = partial(_left, None, span_id)
    return Block(lambda: ((_span, _operation), (span_id, operation_id), left))


def context_of_error(error: BaseException) -> tuple[Mapping[str, object], str]:
    """(dimensions, span id) of the innermost block of ours that `error` has left; else of the present place."""
    found: tuple[Mapping[str, object], str] = getattr(error, _LEFT, (_bound.get(), _span.get()))
    return found


def _left(
    dimensions: Mapping[str, object] | None,
    span_id: str | None,
    _: object,
    error: BaseException | None,
    *__: object,
) -> None:
    """Keep the dimensions and the span in an exception. The report of an uncaught exception comes after the block."""
    if error is not None and not hasattr(error, _LEFT):
        found = (
            _bound.get() if dimensions is None else dimensions,
            _span.get() if span_id is None else span_id,
        )
        with suppress(AttributeError, TypeError):  # an exception without a dictionary of its own
            setattr(error, _LEFT, found)


def foreign_span() -> tuple[str, str] | None:
    """(operation id, span id) of a current OpenTelemetry or OpenCensus span; None if neither has one here."""
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
