"""Our logger in place of a `logging.Logger`: level, handlers, filters, adapters, call sites and added methods."""

from __future__ import annotations

import copy
import gc
import json
import logging
import pickle
import sys
import unittest
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

import amllog
from amllog.session import api


@pytest.fixture(autouse=True)
def recorded(tmp_path: Path) -> Any:
    """Set amllog up at INFO. Return a function that returns the message and the dimensions of each record."""
    amllog.setup(directory=tmp_path / "j", driver_level="CRITICAL")

    def read() -> list[tuple[str, dict[str, str]]]:
        lines = [line for file in (tmp_path / "j").glob("*.jsonl") for line in file.open()]
        data = [json.loads(line)["data"]["baseData"] for line in lines]
        return [(item.get("message", ""), item["properties"]) for item in data]

    return read


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name of loggers that only this test uses, because level and handlers belong to the name."""
    return request.node.name.replace(".", "_")


class Collected(logging.Handler):
    """A handler that keeps its records."""

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record."""
        self.records.append(record)

    @property
    def messages(self) -> list[str]:
        """The messages of the records."""
        return [record.getMessage() for record in self.records]


def messages(recorded: Any) -> list[str]:
    """Return the recorded messages."""
    return [message for message, _ in recorded()]


def test_it_is_a_logger_of_logging(name: str) -> None:
    """`isinstance` holds, every public attribute of `logging.Logger` exists, and nothing is in logging's tree."""
    log = amllog.get_logger(name)
    assert isinstance(log, logging.Logger)
    plain = logging.Logger(name)  # noqa: LOG001  only its attributes are read
    assert [
        attribute for attribute in dir(plain) if attribute[0] != "_" and not hasattr(log, attribute)
    ] == []
    assert (log.handlers, log.filters, log.level, log.propagate, log.disabled) == ([], [], 0, True, False)
    assert log.root is logging.getLogger() and log.hasHandlers()
    assert log.makeRecord("n", 20, "file", 1, "made", (), None).getMessage() == "made"
    assert name not in logging.root.manager.loggerDict


def test_names_above_and_below(name: str) -> None:
    """`getChild` and `parent` return loggers with the same bound dimensions."""
    log = amllog.get_logger(f"{name}.pkg", fold=3)
    assert log.getChild("a.b").name == f"{name}.pkg.a.b"
    assert amllog.get_logger(None).getChild("x").name == "x"
    assert [log.parent.name, log.parent.parent.name] == [name, "root"]
    assert log.parent.parent.parent is None
    assert log.getChild("x").parent == log


def test_levels(recorded: Any, name: str) -> None:
    """A level holds for its name and those below. It does not lower the level of setup()."""
    above, below = amllog.get_logger(name), amllog.get_logger(f"{name}.below")
    other = amllog.get_logger(f"{name}_other")
    above.setLevel("WARNING")
    late = amllog.get_logger(f"{name}.late")
    for log in (above, below, late, other):
        log.info("info of %s", log.name)
    above.warning("warning")
    assert messages(recorded) == [f"info of {other.name}", "warning"]
    assert [log.getEffectiveLevel() for log in (above, below, late, other)] == [30, 30, 30, 20]
    assert [log.isEnabledFor(20) for log in (above, below, other)] == [False, False, True]
    below.setLevel(logging.DEBUG)
    assert (below.getEffectiveLevel(), below.level, below.is_enabled_for(10)) == (20, 10, False)
    above.setLevel(logging.NOTSET)
    below.disabled = True
    below.error("disabled")
    late.info("enabled again")
    assert messages(recorded)[2:] == ["enabled again"]
    with pytest.raises(ValueError, match="Unknown level"):
        above.setLevel("LOUD")
    assert amllog.get_logger(name).level == 0


def test_a_state_stays_without_loggers(name: str) -> None:
    """A level stays when no logger of the name exists, and unused names take no memory."""
    amllog.get_logger(name).setLevel(logging.ERROR)
    states = api.session().recorder.states
    gc.collect()
    before = len(states._known)
    for number in range(100):
        amllog.get_logger(f"{name}.{number}").info("below the level")
    gc.collect()
    assert (amllog.get_logger(name).level, len(states._known)) == (logging.ERROR, before)


def test_handlers(recorded: Any, name: str) -> None:
    """Handlers get the records of their name and those below, with values, exception and call site."""
    above, own, errors = Collected(), Collected(), Collected(logging.ERROR)
    amllog.get_logger(name).addHandler(above)
    log = amllog.get_logger(f"{name}.below", fold=3)
    log.addHandler(own)
    log.handlers.append(errors)
    log.info("rows %d", 7, rows=7, extra={"user": "me"}, msg="not the message")
    try:
        raise ValueError("no")
    except ValueError as error:
        log.exception("failed")
        raised = error
    assert own.records[1].exc_info[1] is raised
    assert above.messages == own.messages == ["rows 7", "failed"]
    assert errors.messages == ["failed"]
    record = own.records[0]
    assert (record.rows, record.fold, record.user, record.msg, record.funcName) == (
        7, 3, "me", "rows %d", "test_handlers",
    )  # fmt: skip
    (message, dimensions), _ = recorded()
    assert (message, dimensions["rows"], dimensions["user"], dimensions["msg"]) == (
        "rows 7",
        "7",
        "me",
        "not the message",
    )
    assert record.lineno == int(dimensions["lineNumber"])
    log.propagate = False
    log.removeHandler(own)
    log.error("only to errors")
    assert (above.messages[2:], own.messages[2:], errors.messages[1:]) == ([], [], ["only to errors"])
    log.handlers = []
    log.info("to none")
    assert messages(recorded)[2:] == ["only to errors", "to none"]


class Marks(logging.Filter):
    """A filter that adds a value, changes the message and rejects some records."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record, or reject it."""
        record.marked = "yes"
        record.msg = record.msg.replace("secret", "***")
        if record.args and "%" not in record.msg:
            record.args = ()
        return "rejected" not in record.msg


def test_filters(recorded: Any, name: str) -> None:
    """A filter rejects records, and its changes are recorded. It holds for its name only."""
    log, below = amllog.get_logger(name), amllog.get_logger(f"{name}.below")
    marks = Marks()
    log.addFilter(marks)
    log.info("a secret %s", "b", rows=1)
    log.info("rejected")
    below.info("rejected only above")
    assert log.filter(logging.makeLogRecord({"msg": "x"})) and log.filters == [marks]
    log.removeFilter(marks)
    log.info("rejected no longer")
    found = recorded()
    assert [message for message, _ in found] == ["a *** b", "rejected only above", "rejected no longer"]
    assert (found[0][1]["marked"], found[0][1]["rows"]) == ("yes", "1")


def test_stacklevel(recorded: Any, name: str) -> None:
    """`stacklevel` selects the caller, and is a dimension if it is not a number."""
    log = amllog.get_logger(name)

    def helper(**options: Any) -> None:
        log.info("helped", **options)
        log.log(20, "helped", **options)

    def outer() -> None:
        helper(stacklevel=3)

    first = sys._getframe().f_lineno
    helper(stacklevel=2)
    outer()
    log.info("text", stacklevel="x")
    lines = [int(dimensions["lineNumber"]) for _, dimensions in recorded()]
    assert lines[:4] == [first + 1, first + 1, first + 2, first + 2]
    assert recorded()[4][1]["stacklevel"] == "x"
    log.info("far", stacklevel=10_000)


def test_adapters(recorded: Any, name: str) -> None:
    """Adapters pass on their values, and the record has the line of the script."""
    log = amllog.get_logger(name)
    logging.LoggerAdapter(log, {"user": "me"}).info("adapted %d", 1)
    logging.LoggerAdapter(logging.LoggerAdapter(log, {"a": 1}), {"b": 2}).warning("twice")
    found = dict(recorded())
    assert list(found) == ["adapted 1", "twice"]
    assert found["adapted 1"]["user"] == "me"
    assert {dimensions["fileName"] for dimensions in found.values()} == {__file__}
    log.info(msg="by keyword", rows=1)
    assert (recorded()[-1][0], "msg" in recorded()[-1][1]) == ("by keyword", False)


def test_added_methods(child: Any) -> None:
    """Methods that libraries add to `logging.Logger`, as transformers and verboselogs do, work on our logger."""
    code = """
import functools, logging, amllog
logging.Logger.warning_once = functools.lru_cache(None)(lambda self, *args, **options: self.warning(*args, **options))
logging.Logger.notice = lambda self, message, *args, **options: self._log(25, message, args, **options)
log = amllog.setup()
for _ in range(2):
    log.warning_once("once")
log.notice("added %s", "level", extra={"key": "value"}, exc_info=ValueError("no"))
logging.root.manager.loggerDict["ours"] = log  # as a script that replaces a library's logger
logging.root.setLevel(logging.WARNING)
logging.getLogger("ours").warning("in place of another")
"""
    ran = child(code)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("WARNING  __main__: once\n") == 1
    assert "WARNING  __main__: in place of another\n" in ran.stdout
    assert "Level 25 __main__: added level  key=value\n    ValueError: no\n" in ran.stdout


def test_records_made_elsewhere(recorded: Any, name: str) -> None:
    """`handle` and `callHandlers` record a record and pass it on, unless a filter or a level rejects it."""
    log, handler = amllog.get_logger(name), Collected()
    log.addHandler(handler)
    log.addFilter(lambda record: record.getMessage() != "rejected")
    for message, level in (("made", 20), ("rejected", 20), ("low", 10)):
        record = logging.makeLogRecord({"msg": message, "levelno": level, "levelname": "X", "name": "other"})
        log.handle(record)
        log.callHandlers(record)
    assert messages(recorded) == handler.messages == ["made"] * 2


def test_keywords_of_logging_with_their_defaults(recorded: Any, name: str) -> None:
    """Keywords that a library passes on with their default values are no dimensions."""
    log = amllog.get_logger(name)
    log.info("passed on", exc_info=None, stack_info=False, stacklevel=1, extra=None)
    log.bind(stack_info="of the script").info("a word")
    logging.getLogger(name).warning("of daiquiri", extra={"_daiquiri_extra_keys": {"key"}, "key": 1})
    rows = [row for _, row in recorded()]
    keys = ("stack_info", "exc_info", "stacklevel", "extra", "_daiquiri_extra_keys", "key")
    assert [{key: row[key] for key in keys if key in row} for row in rows] == [
        {},
        {"stack_info": "of the script"},
        {"key": "1"},
    ]


def test_equality_and_copies(name: str) -> None:
    """Equal names and dimensions are equal loggers, with one hash. Copies and pickles are equal."""
    log = amllog.get_logger(name).bind(a=1)
    same, other = amllog.get_logger(name, a=1), amllog.get_logger(name)
    assert (log == same, hash(log) == hash(same), log == other, log == 3) == (True, True, False, False)
    assert {log, same, other} == {log, other}
    assert copy.deepcopy(log) == copy.copy(log) == pickle.loads(pickle.dumps(log)) == log


def test_assert_logs(recorded: Any, name: str) -> None:
    """`assertLogs` of unittest takes our logger, and leaves it as before."""
    log = amllog.get_logger(name)
    case = unittest.TestCase()
    with case.assertLogs(log, "INFO") as caught:
        log.info("asserted")
    assert caught.output == [f"INFO:{name}:asserted"]
    assert (log.handlers, log.level, log.propagate) == ([], 0, True)


def test_handlers_of_tqdm(recorded: Any, name: str, capsys: Any) -> None:
    """`logging_redirect_tqdm` takes our logger, and its lines are not repeated."""
    from tqdm.contrib.logging import logging_redirect_tqdm

    amllog.setup(directory=Path("j"), driver_level="INFO")
    log = amllog.get_logger(name)
    capsys.readouterr()
    with logging_redirect_tqdm(loggers=[log]):
        log.info("beside a bar")
    log.info("afterwards")
    output = "".join(capsys.readouterr())
    assert (output.count("beside a bar"), output.count("afterwards")) == (1, 1)
    assert log.handlers == []


def test_an_azure_log_handler(child: Any, azure: Any) -> None:
    """An AzureLogHandler of the script on our logger is taken over, so that its records arrive once."""
    code = """
import amllog, logging
from opencensus.ext.azure.log_exporter import AzureLogHandler
log = amllog.setup()
log.addHandler(AzureLogHandler())
log.info("once")
amllog.shutdown()
"""
    ran = child(code, env={"APPLICATIONINSIGHTS_CONNECTION_STRING": azure.connection_string})
    assert ran.returncode == 0, ran.stderr
    sent = [envelope["data"]["baseData"].get("message") for envelope in azure.envelopes]
    assert sent.count("once") == 1
    assert "this script adds an AzureLogHandler" in ran.stdout


VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=2)
)


@given(
    event=VALUES,
    args=st.lists(VALUES, max_size=2),
    values=st.dictionaries(st.text(max_size=8), VALUES, max_size=3),
)
def test_any_call(event: Any, args: list[Any], values: dict[str, Any]) -> None:
    """A call with any values raises nothing beside a filter and a handler, and the handler gets the values."""
    log = amllog.get_logger("any call")
    handler = Collected()
    log.handlers, log.filters = [handler], [lambda record: True]
    values = {key: value for key, value in values.items() if key not in ("exc_info", "extra")}
    log.info(event, *args, **values)
    (record,) = handler.records
    assert record.msg is event
    assert all(
        record.__dict__[key] == value or hasattr(logging.makeLogRecord({}), key) or key in NOT_VALUES
        for key, value in values.items()
    )


NOT_VALUES = ("stack_info", "stacklevel", "message", "asctime")
