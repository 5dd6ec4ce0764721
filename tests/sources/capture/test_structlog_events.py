"""structlog: an event is recorded once, with its message, keys and exception, in every configuration."""

from __future__ import annotations

import asyncio
import copy
import io
import json
import logging
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given, strategies as st
from structlog import processors as steps

import amllog

STDLIB = {"logger_factory": structlog.stdlib.LoggerFactory(), "wrapper_class": structlog.stdlib.BoundLogger}
SHARED = [
    structlog.contextvars.merge_contextvars, structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name,
    steps.TimeStamper(fmt="iso"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def recorded() -> Iterator[Callable[[], list[Any]]]:
    """Set amllog up. Return a function that returns the message and the dimensions of each record."""
    root = logging.getLogger()
    before = list(root.handlers)
    structlog.reset_defaults()
    amllog.setup(directory="j", driver_level="CRITICAL")
    yield records
    amllog.shutdown(timeout=0)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:] = before
    assert "_processors" not in vars(structlog.BoundLoggerBase)


def records() -> list[tuple[str, dict[str, Any]]]:
    """Return the message and the dimensions of each log record, with the type of its exception."""
    lines = [json.loads(line)["data"] for file in Path("j").glob("*.jsonl") for line in file.open()]
    logs = [line["baseData"] for line in lines if line["baseType"] in ("MessageData", "ExceptionData")]
    return [
        (
            data.get("message") or data["properties"]["message"],
            {**data["properties"], "exception type": data.get("exceptions", [{}])[0].get("typeName")},
        )
        for data in logs
    ]


def renamed(renderer: Any) -> list[Any]:
    """Return processors that rename the event."""
    return [*SHARED[1:2], steps.format_exc_info, steps.EventRenamer("msg"), renderer]


CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "json": {"processors": [*SHARED, steps.format_exc_info, steps.JSONRenderer()], **STDLIB},
    "dict tracebacks": {"processors": [*SHARED, steps.dict_tracebacks, steps.JSONRenderer()], **STDLIB},
    "console": {"processors": [*SHARED, structlog.dev.ConsoleRenderer()], **STDLIB},
    "log kwargs": {"processors": [*SHARED, structlog.stdlib.render_to_log_kwargs], **STDLIB},
    "formatter": {"processors": [*SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter], **STDLIB},
    "filtered": {
        "wrapper_class": structlog.make_filtering_bound_logger(20),
        "processors": [steps.JSONRenderer()],
    },
    "file": {
        "processors": [steps.LogfmtRenderer()],
        "logger_factory": structlog.WriteLoggerFactory(io.StringIO()),
    },
    "bytes": {
        "processors": renamed(steps.JSONRenderer(serializer=lambda event, **_: repr(event).encode())),
        "logger_factory": structlog.BytesLoggerFactory(io.BytesIO()),
    },
    "stdlib logger": {
        "processors": renamed(steps.JSONRenderer()),
        "logger_factory": lambda *_: logging.getLogger("x"),
    },
}


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_configurations(recorded: Any, configuration: str, capfd: Any) -> None:
    """Message, keys, exception and call site are those of the call, and renderings add nothing."""
    if configuration == "default":
        structlog.configure(logger_factory=structlog.PrintLoggerFactory())
    structlog.configure(**CONFIGURATIONS[configuration])
    log = structlog.get_logger()
    log.info("loaded", user="me", rows=3)
    line = sys._getframe().f_lineno - 1
    try:
        raise ValueError("no")
    except ValueError:
        log.exception("failed", fold=2)
    (message, values), (failed, error) = recorded()
    known = {
        "module",
        "fileName",
        "lineNumber",
        "logger",
        "level",
        "exception type",
        "parent_run_id",
        "step_id",
    }
    known |= {"step_name", "experiment_name", "run_url", "node", "process", "record_id", "build_version"}
    assert (message, {key: value for key, value in values.items() if key not in known}) == (
        "loaded",
        {"user": "me", "rows": "3"},
    )
    assert (failed, error["exception type"], error["fold"]) == ("failed", "ValueError", "2")
    assert (values["level"], error["level"]) == ("INFO", "ERROR")
    assert (values["fileName"], values["lineNumber"]) == (__file__, str(line))


def test_the_output_of_the_script_is_as_without_amllog(recorded: Any) -> None:
    """ProcessorFormatter, `get_config`, `capture_logs`, copies and the repr are the script's."""
    processors = [*SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter]
    structlog.configure(processors=processors, cache_logger_on_first_use=True, **STDLIB)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[meta, steps.KeyValueRenderer()]))
    logging.getLogger().handlers = [handler]
    logging.getLogger("train").setLevel(logging.INFO)
    log = structlog.get_logger("train").bind(a=1)
    log.info("loaded")
    assert stream.getvalue().startswith("a=1 event='loaded' level='info' logger='train'")
    assert structlog.get_config()["processors"] is processors
    assert log._processors == processors and list(log._processors)[1:-3] == processors[:-1]
    assert repr(log) == f"<BoundLogger(context={{'a': 1}}, processors={processors!r})>"
    assert (len(log._processors), log._processors[0]) == (len(processors), processors[0])
    assert copy.copy(log)._context == log._context
    with structlog.testing.capture_logs() as captured:
        log.info("captured")
    assert captured == [{"a": 1, "event": "captured", "log_level": "info"}]
    assert [message for message, _ in recorded()] == ["loaded"]


def test_what_processors_change_is_recorded(recorded: Any) -> None:
    """Removed keys stay out, added keys are recorded, a dropped event is not, and the script's own keys stay."""

    def censor(logger: Any, method: str, event: Any) -> Any:
        event.pop("email", None)
        if event["event"] == "dropped":
            raise structlog.DropEvent
        return {**event, "added": 1}

    structlog.configure(processors=[structlog.contextvars.merge_contextvars, censor, steps.JSONRenderer()])
    structlog.contextvars.bind_contextvars(request="r1")
    log = structlog.get_logger()
    log.info("censored", email="me@example.org", timestamp="mine", logger="named", level="high")
    log.info("dropped")
    ((message, values),) = recorded()
    assert (message, values["request"], values["added"], values["timestamp"]) == (
        "censored",
        "r1",
        "1",
        "mine",
    )
    assert (values["logger"], "email" in values) == ("named", False)


def test_loggers_from_before_setup_and_levels(recorded: Any) -> None:
    """A cached logger from before setup() is captured. Below the level of setup() nothing is recorded."""
    amllog.shutdown(timeout=0)
    structlog.configure(processors=[steps.JSONRenderer()], cache_logger_on_first_use=True)
    log = structlog.get_logger()
    log.info("before setup")
    bound = log.bind(a=1)
    amllog.setup(directory="j", driver_level="CRITICAL")
    log.debug("below the level")
    log.info("after setup")
    bound.warning("bound before")
    amllog.setup(directory="j", driver_level="CRITICAL", capture="warnings")
    log.info("not captured")
    amllog.setup(directory="j", driver_level="CRITICAL", capture="logging")
    log.warning("captured again")
    assert [message for message, _ in recorded()] == ["after setup", "bound before", "captured again"]
    assert pickle.loads(pickle.dumps(bound.bind(b=1)._context)) == {"a": 1, "b": 1}


class Passing:
    """A logger of a script that passes its lines on to logging."""

    def info(self, message: str) -> None:
        """Log the line."""
        logging.getLogger("passed on").info("line: %s", message)


def test_a_logger_that_passes_lines_on(recorded: Any) -> None:
    """An event that a logger of the script passes on to logging is recorded once. Other records stay."""
    structlog.configure(processors=[steps.JSONRenderer()], logger_factory=lambda *_: Passing())
    structlog.get_logger().info("passed", rows=3)
    logging.getLogger("plain").info("passed")
    assert [(message, values.get("rows")) for message, values in recorded()] == [
        ("passed", "3"),
        ("passed", None),
    ]


@pytest.mark.parametrize("renderer", [steps.JSONRenderer(), structlog.stdlib.render_to_log_kwargs])
def test_over_our_logger(recorded: Any, renderer: Any) -> None:
    """Our logger records the message, the keys, the exception and the line of an event, and not its text."""
    processors = [*SHARED[1:2], steps.format_exc_info, renderer]
    log = structlog.wrap_logger(amllog.get_logger("ours"), processors=processors)
    log.info("started", msg="a key", rows=3)
    try:
        raise ValueError("cause")
    except ValueError:
        log.exception("failed", part=2)
    (first, values), (second, others) = recorded()
    assert (first, values["msg"], values["rows"], values["fileName"]) == ("started", "a key", "3", __file__)
    assert (second, others["part"], others["exception type"]) == ("failed", "2", "ValueError")
    assert values["logger"] == "ours"


def test_a_key_named_msg(recorded: Any) -> None:
    """A key `msg` is a key also where structlog passes a dict of keys on to logging."""
    structlog.configure(**CONFIGURATIONS["formatter"])
    structlog.get_logger("keys").info("started", msg="a key", message="another key")
    ((message, values),) = recorded()
    assert (message, values["msg"], values["message"]) == ("started", "a key", "another key")


def test_an_event_without_a_record(recorded: Any) -> None:
    """An event below the level of its logger leaves nothing for a later record with the same text."""
    structlog.configure(processors=[structlog.stdlib.render_to_log_kwargs], **STDLIB)
    quiet = logging.getLogger("quiet library of a test")
    quiet.setLevel(logging.ERROR)
    text = "the same text"
    structlog.get_logger(quiet.name).info(text, key="value")
    logging.getLogger("another library of a test").info(text)
    ((message, values),) = recorded()
    assert (message, "key" in values) == (text, False)


@pytest.mark.skipif(
    not hasattr(structlog.make_filtering_bound_logger(20), "ainfo"), reason="structlog 22.2 has added them"
)
def test_asynchronous_methods(recorded: Any) -> None:
    """`ainfo` records the line of the script, with context variables."""

    async def work() -> None:
        structlog.contextvars.bind_contextvars(task=7)
        await structlog.get_logger().ainfo("later", a=1)

    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, steps.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(20),
    )
    asyncio.run(work())
    ((message, values),) = recorded()
    assert (message, values["a"], values["task"], values["fileName"]) == ("later", "1", "7", __file__)


def test_lines_on_the_driver_log(recorded: Any, capfd: Any) -> None:
    """A line that structlog prints is not repeated, also not as a print. Another file gets our line beside it."""
    amllog.setup(directory="j", capture="logging,prints")
    capfd.readouterr()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(), processors=[steps.KeyValueRenderer()])
    structlog.get_logger().info("printed")
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(io.StringIO()))
    structlog.get_logger().info("in a file")
    print("a print")
    output = capfd.readouterr().out
    assert [output.count(text) for text in ("printed", "in a file", "a print")] == [1, 1, 1]
    assert [message for message, _ in recorded()] == ["printed", "in a file", "a print"]


VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)

# structlog and logging themselves raise for the other keys, and for an event that is None.
NOT_KEYS = {"event", "self", "exc_info", "message", "asctime", *vars(logging.makeLogRecord({}))}
KEYS = st.text(max_size=8).filter(lambda key: key not in NOT_KEYS)


@given(
    event=VALUES.filter(lambda event: event is not None),
    values=st.dictionaries(KEYS, VALUES, max_size=3),
    configuration=st.sampled_from(["console", "log kwargs", "formatter"]),
)
def test_any_event(event: Any, values: dict[str, Any], configuration: str) -> None:
    """Any event with any values is recorded once, whatever it is rendered to."""
    structlog.configure(**CONFIGURATIONS[configuration])
    before = amllog.status().accepted
    log = structlog.get_logger("any event")
    log.bind(**{key: value for key, value in values.items() if key not in ("stack_info", "extra")}).info(
        event
    )
    assert amllog.status().accepted == before + 1
