"""What arrives at Application Insights: every kind in its table, with all dimensions, in one tree; and the handlers
that a script adds itself."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from amllog.local import AzureOnThisMachine

FIVE = ("parent_run_id", "step_id", "step_name", "experiment_name", "run_url")
ALL_KINDS = """
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
    """The environment of a step's job in a pipeline."""
    return azure.job_environment(
        run_id="step-1", step_name="train", experiment_name="digits", parent_run_id="pipeline-1"
    )


def test_kinds(child: Any, received: Any, job: dict[str, str]) -> None:
    """Logs, exceptions, metrics, events, spans and the step are in their tables, each with all dimensions."""
    ran = child(ALL_KINDS, env=job)
    found = received()
    assert ran.returncode == 0, ran.stderr
    assert found.messages == ["message", "in outer", "in inner", "outside"]
    expected = {
        "step_id": "step-1", "parent_run_id": "pipeline-1", "experiment_name": "digits", "step_name": "train",
        "run_type": "training", "team": "nlp", "process": "MainProcess",
    }  # fmt: skip
    for envelope in found.envelopes:
        properties = envelope["data"]["baseData"]["properties"]
        assert {key: properties.get(key) for key in expected} == expected
        assert "pipeline-1" in properties["run_url"] and properties["node"]
        assert envelope["tags"]["ai.cloud.role"] == "train"
        assert envelope["tags"]["ai.application.ver"] == properties["build_version"] == "1.2.3"
    assert found.properties("message")["rows"] == "3"
    (metric,) = found.of_type("Metric")
    assert [(one["name"], one["value"]) for one in metric["metrics"]] == [("loss", 0.25)]
    assert (metric["properties"]["step"], metric["properties"]["fold"]) == ("3", "1")
    assert [(one["name"], one["properties"]["version"]) for one in found.of_type("Event")] == [
        ("registered", "3")
    ]
    assert [(one["name"], one["success"], one["resultCode"]) for one in found.of_type("RemoteDependency")] == [
        ("inner", True, "0"), ("bad", False, "KeyError"), ("outer", True, "0"),
    ]  # fmt: skip
    assert [(one["name"], one["success"]) for one in found.of_type("Request")] == [("train", True)]
    assert len(found.of_type("Exception")) == 1
    assert found.duplicates == []


def test_correlation(child: Any, received: Any, azure: AzureOnThisMachine) -> None:
    """All steps of a pipeline run share one operation; records hang below spans, spans below steps, steps below
    the pipeline run."""
    for number in (1, 2):
        job = azure.job_environment(
            run_id=f"step-{number}", step_name=f"step {number}", parent_run_id="pipeline-1"
        )
        child(ALL_KINDS, env=job)
    found = received()
    assert len({one["tags"]["ai.operation.id"] for one in found.envelopes}) == 1
    parents: dict[str, dict[str, str]] = {"step-1": {}, "step-2": {}}
    ids: dict[str, dict[str, str]] = {"step-1": {}, "step-2": {}}
    for one in found.envelopes:
        data = one["data"]["baseData"]
        step, name = data["properties"]["step_id"], data.get("name", data.get("message", ""))
        parents[step][name] = one["tags"]["ai.operation.parentId"]
        ids[step][name] = data.get("id", "")
    for number, step in enumerate(("step-1", "step-2"), start=1):
        above, own = parents[step], ids[step]
        request = own[f"step {number}"]
        assert above["in inner"] == own["inner"]
        assert above["inner"] == above["in outer"] == above["bad"] == own["outer"]
        assert above["outer"] == above["message"] == above["outside"] == above["registered"] == request
        assert above[f"step {number}"] != request
    assert parents["step-1"]["step 1"] == parents["step-2"]["step 2"]
    assert ids["step-1"]["step 1"] != ids["step-2"]["step 2"]


def test_root_of_its_own(child: Any, received: Any, connected: Any) -> None:
    """A step without a pipeline run is the root of its tree: its request has no parent."""
    child("import amllog; amllog.setup().info('m')", env=connected)
    found = received()
    tags = {one["data"]["baseType"]: one["tags"] for one in found.envelopes}
    assert "ai.operation.parentId" not in tags["RequestData"]
    assert tags["MessageData"]["ai.operation.parentId"] == found.of_type("Request")[0]["id"]


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
    """A script that adds its own AzureLogHandler gets each record once, stamped, and is told so once."""
    code = OWN_HANDLER.format(arguments="")
    if place == "twice":
        code += "logger.addHandler(AzureLogHandler()); logger.info('five')\n"
    if place == "root before":
        first = "import logging\nfrom opencensus.ext.azure.log_exporter import AzureLogHandler\n"
        code = first + "logging.getLogger().addHandler(AzureLogHandler())\n" + code
    ran = child(code, env=connected)
    found = received()
    assert ran.returncode == 0, ran.stderr
    assert found.messages == ["one", "two", "three", "four"] + (["five"] if place == "twice" else [])
    assert found.properties("one")["key"] == "value"
    assert all(data["properties"].get(name) for data in found.of_type("Message") for name in FIVE)
    assert ran.stdout.count("this script adds an AzureLogHandler") == 1
    assert found.duplicates == []


def test_adopted_connection_string(child: Any, received: Any, azure: AzureOnThisMachine) -> None:
    """Where the environment has no connection string, the one of the script's own handler is used: also for what
    was said before, and each record once."""
    code = OWN_HANDLER.format(arguments=f"connection_string={azure.connection_string.rstrip(';/')!r}")
    ran = child(code.replace("from open", "log.info('zero')\nfrom open"))
    found = received()
    assert ran.returncode == 0, ran.stderr
    assert found.messages == ["zero", "one", "two", "three", "four"]
    assert found.duplicates == [] and len(found.of_type("Request")) == 1


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
    """A handler that sends to another resource is left alone: both get the record, ours with the dimensions."""
    other = azure.connection_string.replace("0010ca", "00beef").rstrip(";/")
    ran = child(OWN_HANDLER.format(arguments=f"connection_string={other!r}"), env=connected)
    found = received()
    ours = [one for one in found.envelopes if one["iKey"].endswith("10ca")]
    theirs = [one for one in found.envelopes if one["iKey"].endswith("beef")]
    said = [one["data"]["baseData"]["message"] for one in ours if one["data"]["baseType"] == "MessageData"]
    assert said == ["one", "two", "three", "four"], ran.stderr
    assert [one["data"]["baseData"]["message"] for one in theirs] == ["one", "two"]
    assert ran.stdout.count("another resource") == 1


@STOCK_WORKS
def test_exporter_none(child: Any, received: Any, connected: Any) -> None:
    """With exporter none, the script's own handler is all that sends."""
    child(OWN_HANDLER.format(arguments=""), env={**connected, "AMLLOG_EXPORTER": "none"})
    sent = [one["data"]["baseData"]["message"] for one in received().envelopes]
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
    """Telemetry processors, on our handler or on the script's own, change what is sent, and may filter it out; one
    that fails is passed over."""
    code = OWN_HANDLER.format(arguments="") + PROCESSORS.format(handler=whose)
    ran = child(code, env=connected)
    found = received()
    assert ran.returncode == 0, ran.stderr
    said = [one for one in found.messages if one.endswith("!")]
    told = [one for one in said if one.startswith("Telemetry processor failed")]
    assert len(told) == 2  # each of them once, and not for each record
    assert [one for one in said if one not in told] == ["five!", "seven!", "message of a kind!"]
    assert "secret six" not in "".join(found.messages)
    assert found.properties("five!")["added"] == "7"
    roles = {one["data"]["baseData"].get("message"): one["tags"]["ai.cloud.role"] for one in found.envelopes}
    assert roles["five!"] == "my role"
    assert "secret six" in journaled().messages  # accepted, and not for Application Insights
    assert len(found.of_type("Event")) == 1
    assert found.duplicates == []


def test_a_processor_that_logs(child: Any, received: Any, connected: Any) -> None:
    """What a telemetry processor logs is not passed to it again, nor sent: with the stock handler, it is not either."""
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


def test_a_second_setup_keeps_what_the_script_gave_the_handler(
    child: Any, received: Any, connected: Any
) -> None:
    """Processors, filters and the level that a script sets on our handler hold after a second setup()."""
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
    """A filter or a level on our handler holds back stdlib records, as on any handler."""
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
    """Connection strings as the portal gives them work: a trailing `;`, other case, spaces, an upper-case key."""
    key = "00000000-0000-0000-0000-0000000010CA"
    for number, string in enumerate((
        f"InstrumentationKey={key};IngestionEndpoint={azure.ingestion_endpoint}/;",
        f"instrumentationkey = {key} ; ingestionendpoint = {azure.ingestion_endpoint} ; ApplicationId=a=b=c ;",
        f"INSTRUMENTATIONKEY={key.lower()};INGESTIONENDPOINT={azure.ingestion_endpoint};LiveEndpoint=https://x.invalid/",
    )):  # fmt: skip
        code = f"import amllog; amllog.setup(connection_string={string!r}).info('{number}')"
        assert child(code).returncode == 0
    assert received().messages == ["0", "1", "2"]


def test_opencensus_span_wins(child: Any, received: Any, connected: Any) -> None:
    """Inside a span of OpenCensus, records belong to its operation; its logging integration without one changes
    nothing."""
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
    tags = {one["data"]["baseData"].get("message"): one["tags"] for one in received().envelopes}
    assert (tags["inside"]["ai.operation.id"], tags["inside"]["ai.operation.parentId"]) == (trace, span)
    assert tags["zeros"]["ai.operation.id"] == tags["outside"]["ai.operation.id"] != trace


def test_a_credential_is_taken_over(child: Any, connected: Any) -> None:
    """The token credential of a script's own handler authorizes what amllog sends in its stead."""
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
