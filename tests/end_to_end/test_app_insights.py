"""Records at Application Insights: their tables, dimensions and tree, and the handlers that a script adds itself."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from amllog.local import AzureOnThisMachine

FIVE = ("parent_run_id", "step_id", "step_name", "experiment_name", "run_url")
ALL_TYPES = """
import amllog
log = amllog.setup(run_type="training", dimensions={"team": "nlp"}, build_version="1.2.3")
log.info("message", rows=3)
try:
    1 / 0
except ZeroDivisionError:
    log.exception("failed")
log.metric("loss", 0.25, step=3, fold=1)
log.event("registered", version=3)
with log.span("outer"):
    log.info("in outer")
    with log.span("inner", rows=1):
        log.info("in inner")
    try:
        with log.span("bad"):
            raise KeyError("x")
    except KeyError:
        pass
log.info("outside")
"""


@pytest.fixture
def job(azure: AzureOnThisMachine) -> dict[str, str]:
    """Return the environment of a step's job in a pipeline."""
    return azure.job_environment(
        run_id="step-1", step_name="train", experiment_name="digits", parent_run_id="pipeline-1"
    )


def test_record_types(child: Any, received: Any, job: dict[str, str]) -> None:
    """Logs, exceptions, metrics, events, spans and the step are in their tables, with all dimensions."""
    ran = child(ALL_TYPES, env=job)
    records = received()
    assert ran.returncode == 0, ran.stderr
    assert records.messages == ["message", "in outer", "in inner", "outside"]
    expected = {
        "step_id": "step-1", "parent_run_id": "pipeline-1", "experiment_name": "digits", "step_name": "train",
        "run_type": "training", "team": "nlp", "process": "MainProcess",
    }  # fmt: skip
    for envelope in records.envelopes:
        properties = envelope["data"]["baseData"]["properties"]
        assert {key: properties.get(key) for key in expected} == expected
        assert "pipeline-1" in properties["run_url"] and properties["node"]
        assert envelope["tags"]["ai.cloud.role"] == "train"
        assert envelope["tags"]["ai.application.ver"] == properties["build_version"] == "1.2.3"
    assert records.properties("message")["rows"] == "3"
    (metric,) = records.of_type("Metric")
    assert [(point["name"], point["value"]) for point in metric["metrics"]] == [("loss", 0.25)]
    assert (metric["properties"]["step"], metric["properties"]["fold"]) == ("3", "1")
    assert [(event["name"], event["properties"]["version"]) for event in records.of_type("Event")] == [
        ("registered", "3")
    ]
    spans = records.of_type("RemoteDependency")
    assert [(span["name"], span["success"], span["resultCode"]) for span in spans] == [
        ("inner", True, "0"),
        ("bad", False, "KeyError"),
        ("outer", True, "0"),
    ]
    assert [(request["name"], request["success"]) for request in records.of_type("Request")] == [
        ("train", True)
    ]
    assert len(records.of_type("Exception")) == 1
    assert records.duplicates == []


def test_correlation(child: Any, received: Any, azure: AzureOnThisMachine) -> None:
    """Steps of a pipeline run share one operation and form a tree of run, steps, spans and records."""
    for number in (1, 2):
        job = azure.job_environment(
            run_id=f"step-{number}", step_name=f"step {number}", parent_run_id="pipeline-1"
        )
        child(ALL_TYPES, env=job)
    records = received()
    assert len({envelope["tags"]["ai.operation.id"] for envelope in records.envelopes}) == 1
    parents: dict[str, dict[str, str]] = {"step-1": {}, "step-2": {}}
    ids: dict[str, dict[str, str]] = {"step-1": {}, "step-2": {}}
    for envelope in records.envelopes:
        data = envelope["data"]["baseData"]
        step, name = data["properties"]["step_id"], data.get("name", data.get("message", ""))
        parents[step][name] = envelope["tags"]["ai.operation.parentId"]
        ids[step][name] = data.get("id", "")
    for number, step in enumerate(("step-1", "step-2"), start=1):
        above, step_ids = parents[step], ids[step]
        request = step_ids[f"step {number}"]
        assert above["in inner"] == step_ids["inner"]
        assert above["inner"] == above["in outer"] == above["bad"] == step_ids["outer"]
        assert above["outer"] == above["message"] == above["outside"] == above["registered"] == request
        assert above[f"step {number}"] != request
    assert parents["step-1"]["step 1"] == parents["step-2"]["step 2"]
    assert ids["step-1"]["step 1"] != ids["step-2"]["step 2"]


def test_a_step_without_a_pipeline_run_is_a_root(child: Any, received: Any, connected: Any) -> None:
    """The request of a step without a pipeline run has no parent."""
    child("import amllog; amllog.setup().info('m')", env=connected)
    records = received()
    tags = {envelope["data"]["baseType"]: envelope["tags"] for envelope in records.envelopes}
    assert "ai.operation.parentId" not in tags["RequestData"]
    assert tags["MessageData"]["ai.operation.parentId"] == records.of_type("Request")[0]["id"]


STOCK_WORKS = pytest.mark.skipif(
    sys.version_info >= (3, 13),
    reason="the stock AzureLogHandler has no lock, and raises at every record from 3.13 on",
)
OWN_HANDLER = """
import logging, os
import amllog
log = amllog.setup()
from opencensus.ext.azure.log_exporter import AzureLogHandler
handler = AzureLogHandler({arguments})
logger = logging.getLogger("script")
logger.setLevel("INFO")
logger.addHandler(handler)
logger.info("one", extra={{"custom_dimensions": {{"key": "value"}}}})
logger.warning("two"); log.info("three"); logging.getLogger("other").info("four")
"""


@pytest.mark.parametrize("place", ["", "root before", "twice"])
def test_own_handler(child: Any, received: Any, connected: Any, place: str) -> None:
    """A script that adds its own AzureLogHandler gets each record once, with the identity and one notice."""
    code = OWN_HANDLER.format(arguments="")
    if place == "twice":
        code += "logger.addHandler(AzureLogHandler()); logger.info('five')\n"
    if place == "root before":
        first = "import logging\nfrom opencensus.ext.azure.log_exporter import AzureLogHandler\n"
        code = first + "logging.getLogger().addHandler(AzureLogHandler())\n" + code
    ran = child(code, env=connected)
    records = received()
    assert ran.returncode == 0, ran.stderr
    assert records.messages == ["one", "two", "three", "four"] + (["five"] if place == "twice" else [])
    assert records.properties("one")["key"] == "value"
    assert all(data["properties"].get(name) for data in records.of_type("Message") for name in FIVE)
    assert ran.stdout.count("this script adds an AzureLogHandler") == 1
    assert records.duplicates == []


def test_connection_string_of_the_scripts_handler(
    child: Any, received: Any, azure: AzureOnThisMachine
) -> None:
    """Without a connection string, that of the script's handler is used, also for earlier records."""
    code = OWN_HANDLER.format(arguments=f"connection_string={azure.connection_string.rstrip(';/')!r}")
    ran = child(code.replace("from open", "log.info('zero')\nfrom open"))
    records = received()
    assert ran.returncode == 0, ran.stderr
    assert records.messages == ["zero", "one", "two", "three", "four"]
    assert records.duplicates == [] and len(records.of_type("Request")) == 1


def test_a_second_setup_after_a_takeover(child: Any, received: Any, azure: AzureOnThisMachine) -> None:
    """The connection string of a handler that was taken over is also used after another setup()."""
    code = OWN_HANDLER.format(arguments=f"connection_string={azure.connection_string.rstrip(';/')!r}")
    ran = child(code + "amllog.setup().info('five')\n")
    found = received()
    assert ran.returncode == 0, ran.stderr
    assert found.messages == ["one", "two", "three", "four", "five"]
    assert found.duplicates == []


@STOCK_WORKS
def test_another_resource(child: Any, received: Any, connected: Any, azure: AzureOnThisMachine) -> None:
    """A handler for another resource still sends, and amllog sends the record with the dimensions too."""
    other = azure.connection_string.replace("0010ca", "00beef").rstrip(";/")
    ran = child(OWN_HANDLER.format(arguments=f"connection_string={other!r}"), env=connected)
    records = received()
    ours = [envelope for envelope in records.envelopes if envelope["iKey"].endswith("10ca")]
    theirs = [envelope for envelope in records.envelopes if envelope["iKey"].endswith("beef")]
    messages = [
        envelope["data"]["baseData"]["message"]
        for envelope in ours
        if envelope["data"]["baseType"] == "MessageData"
    ]
    assert messages == ["one", "two", "three", "four"], ran.stderr
    assert [envelope["data"]["baseData"]["message"] for envelope in theirs] == ["one", "two"]
    assert ran.stdout.count("another resource") == 1


@STOCK_WORKS
def test_exporter_none(child: Any, received: Any, connected: Any) -> None:
    """With exporter `none`, only the script's own handler sends."""
    child(OWN_HANDLER.format(arguments=""), env={**connected, "AMLLOG_EXPORTER": "none"})
    sent = [envelope["data"]["baseData"]["message"] for envelope in received().envelopes]
    assert sent == ["one", "two"]


PROCESSORS = """
def processor(envelope):
    if "secret" in envelope.data.baseData.message:
        return False
    envelope.data.baseData.properties["added"] = 7
    envelope.data.baseData.message += "!"
    envelope.tags["ai.cloud.role"] = "my role"
def broken(envelope):
    raise RuntimeError("no")
{handler}.add_telemetry_processor(processor)
{handler}.add_telemetry_processor(broken)
logger.info("five"); logger.info("secret six"); log.info("seven")
amllog.flush(200); log.info("message of a kind"); log.event("event without a message")
"""


@pytest.mark.parametrize("whose", ["handler", "logging.getLogger().handlers[0]"])
def test_telemetry_processors(child: Any, received: Any, connected: Any, journaled: Any, whose: str) -> None:
    """Telemetry processors on our handler or the script's change and filter records, and may fail."""
    code = OWN_HANDLER.format(arguments="") + PROCESSORS.format(handler=whose)
    ran = child(code, env=connected)
    records = received()
    assert ran.returncode == 0, ran.stderr
    changed = [message for message in records.messages if message.endswith("!")]
    reports = [message for message in changed if message.startswith("Telemetry processor failed")]
    assert len(reports) == 2  # one for each processor, not for each record
    assert [envelope for envelope in changed if envelope not in reports] == [
        "five!",
        "seven!",
        "message of a kind!",
    ]
    assert "secret six" not in "".join(records.messages)
    assert records.properties("five!")["added"] == "7"
    roles = {
        envelope["data"]["baseData"].get("message"): envelope["tags"]["ai.cloud.role"]
        for envelope in records.envelopes
    }
    assert roles["five!"] == "my role"
    assert "secret six" in journaled().messages  # accepted, but not for Application Insights
    assert len(records.of_type("Event")) == 1
    assert records.duplicates == []


def test_a_processor_that_logs(child: Any, received: Any, connected: Any) -> None:
    """Records that a telemetry processor logs are not passed to it again or sent, as with the stock handler."""
    code = """
import logging, amllog
log = amllog.setup()
def processor(envelope):
    logging.getLogger("processor").info("processing")
    envelope.data.baseData.properties["seen"] = "yes"
logging.getLogger().handlers[0].add_telemetry_processor(processor)
log.info("one"); logging.info("two")
found = amllog.flush(200).outlets["app_insights"]
assert not found.refused, found
"""
    ran = child(code, env=connected)
    assert (ran.returncode, received().messages) == (0, ["one", "two"]), ran.stderr
    assert received().properties("one")["seen"] == "yes"


def test_a_second_setup_keeps_processors_and_filters(child: Any, received: Any, connected: Any) -> None:
    """Processors, filters and the level that a script sets on our handler stay active after a second setup()."""
    code = """
import logging, amllog
amllog.setup()
(handler,) = logging.getLogger().handlers
handler.add_telemetry_processor(lambda envelope: "private" not in getattr(envelope.data.baseData, "message", ""))
handler.addFilter(lambda entry: "filtered" not in entry.msg)
log = amllog.setup(run_type="again")
log.info("private"); logging.info("private"); logging.info("filtered"); log.info("open")
assert logging.getLogger().handlers == [handler]
"""
    ran = child(code, env=connected)
    assert (ran.returncode, received().messages) == (0, ["open"]), ran.stderr


def test_filters_of_the_handler(child: Any, received: Any, connected: Any) -> None:
    """A filter or a level on our handler excludes stdlib records, as on any handler."""
    code = """
import logging, amllog
amllog.setup()
(handler,) = logging.getLogger().handlers
from opencensus.ext.azure.log_exporter import AzureLogHandler
assert isinstance(handler, AzureLogHandler)
handler.addFilter(lambda record: "half" not in record.getMessage())
logging.info("half"); logging.info("whole")
handler.setLevel("ERROR"); logging.info("low"); logging.error("high")
handler.flush(); handler.close(); logging.error("after close")
"""
    ran = child(code, env=connected)
    assert (ran.returncode, received().messages) == (0, ["whole", "high", "after close"]), ran.stderr


def test_portal_strings(child: Any, received: Any, azure: AzureOnThisMachine) -> None:
    """Connection strings of the portal work: with a trailing `;`, other case, spaces or an upper-case key."""
    key = "00000000-0000-0000-0000-0000000010CA"
    for number, string in enumerate((
        f"InstrumentationKey={key};IngestionEndpoint={azure.ingestion_endpoint}/;",
        f"instrumentationkey = {key} ; ingestionendpoint = {azure.ingestion_endpoint} ; ApplicationId=a=b=c ;",
        f"INSTRUMENTATIONKEY={key.lower()};INGESTIONENDPOINT={azure.ingestion_endpoint};LiveEndpoint=https://x.invalid/",
    )):  # fmt: skip
        code = f"import amllog; amllog.setup(connection_string={string!r}).info('{number}')"
        assert child(code).returncode == 0
    assert received().messages == ["0", "1", "2"]


def test_opencensus_span_takes_precedence(child: Any, received: Any, connected: Any) -> None:
    """Inside a span of OpenCensus, records belong to its operation. Without a span, nothing changes."""
    code = """
import logging, sys, amllog
from opencensus.trace import tracer, samplers, execution_context
log = amllog.setup()
log.info("outside")
one = tracer.Tracer(sampler=samplers.AlwaysOnSampler())
with one.span("theirs"):
    log.info("inside")
    print(one.span_context.trace_id, one.current_span().span_id, file=sys.stderr)
entry = logging.makeLogRecord({"msg": "zeros", "levelno": 20, "levelname": "INFO", "name": "x",
                               "traceId": "0" * 32, "spanId": "0" * 16, "traceSampled": False})
logging.getLogger().handle(entry)
"""
    ran = child(code, env={**connected, "AMLLOG_DRIVER_LEVEL": "ERROR"})
    trace, span = ran.stderr.split()
    tags = {
        envelope["data"]["baseData"].get("message"): envelope["tags"] for envelope in received().envelopes
    }
    assert (tags["inside"]["ai.operation.id"], tags["inside"]["ai.operation.parentId"]) == (trace, span)
    assert tags["zeros"]["ai.operation.id"] == tags["outside"]["ai.operation.id"] != trace


def test_a_credential_is_taken_over(child: Any, connected: Any) -> None:
    """The token credential of a script's own handler authorizes amllog's requests."""
    code = """
import logging, amllog
amllog.setup(grace_seconds=5)
from opencensus.ext.azure.log_exporter import AzureLogHandler
class Credential:
    asked = []
    def get_token(self, *scopes, **_):
        self.asked.append(scopes)
        raise SystemError("no token here")
logging.getLogger().addHandler(AzureLogHandler(credential=Credential()))
logging.getLogger("train").info("one")
account = amllog.flush(2)
print(Credential.asked[0], account.outlets["app_insights"].delivered, account.outlets["app_insights"].trouble)
"""
    ran = child(code, env={**connected, "AMLLOG_DRIVER_LEVEL": "ERROR"})
    scope = "('https://monitor.azure.com//.default',)"
    assert ran.stdout == f"{scope} 0 app_insights: SystemError: no token here\n"
