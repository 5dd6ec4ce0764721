"""The marks that other tracers read, so that requests of amllog are not traced."""

from __future__ import annotations

import pytest

from amllog.process.other_tracers import is_exporting, suppressed


def test_opencensus() -> None:
    """OpenCensus sees an exporter inside the block only."""
    execution = pytest.importorskip("opencensus.trace.execution_context")
    assert not is_exporting()
    with suppressed():
        assert execution.is_exporter()
        assert is_exporting()
    assert not execution.is_exporter()
    execution.set_is_exporter(True)
    try:
        with suppressed():
            pass
        assert execution.is_exporter()
    finally:
        execution.set_is_exporter(False)


def test_opentelemetry() -> None:
    """OpenTelemetry's instrumentations see their own mark inside the block only, also after an exception."""
    context = pytest.importorskip("opentelemetry.context")
    before = context.get_current()

    def fail() -> None:
        with suppressed():
            assert context.get_value(context._SUPPRESS_INSTRUMENTATION_KEY)
            assert context.get_value(context._SUPPRESS_HTTP_INSTRUMENTATION_KEY)
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail()
    assert context.get_current() == before
    assert not is_exporting()
