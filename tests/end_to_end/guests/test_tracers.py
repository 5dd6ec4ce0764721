"""OpenTelemetry's instrumentations of HTTP libraries beside amllog's delivery."""

from __future__ import annotations

from typing import Any

TRACED = """
import json, logging, sys
import requests
from opentelemetry import trace
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import amllog
spans = InMemorySpanExporter()
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(spans))
RequestsInstrumentor().instrument()
URLLib3Instrumentor().instrument()
amllog.setup(metrics="none")
logging.getLogger("lib").info("line")
amllog.flush(300)
before = len(spans.get_finished_spans())
try:
    requests.get("http://127.0.0.1:9/", timeout=5)
except requests.ConnectionError:
    pass
print(json.dumps([before, len(spans.get_finished_spans()) > before]))
"""


def test_no_span_of_amllog(child: Any, received: Any, connected: dict[str, str]) -> None:
    """The requests of amllog make no span in the tracing of the script, and those of the script do."""
    ran = child(TRACED, env=connected)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "[0, true]"
    assert received().messages == ["line"]
