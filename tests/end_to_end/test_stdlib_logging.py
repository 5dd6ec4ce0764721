"""A script that uses only `logging`: each record once, with the identity and the values of the call."""

from __future__ import annotations

from typing import Any

import pytest

GUIDE = """
import logging
import amllog
amllog.setup()
logger = logging.getLogger(__name__)
"""
IDENTITY = ("parent_run_id", "step_id", "step_name", "experiment_name", "run_url")


def test_dimensions_as_in_guides(child: Any, received: Any, connected: Any) -> None:
    """extra, custom_dimensions, adapters, and a dict as the only argument are dimensions of the record."""
    code = (
        GUIDE
        + """
logger.info("plain")
logger.info("extra", extra={"rows": 3})
logger.warning("custom", extra={"custom_dimensions": {"key": "value", "n": 1}})
logger.error("positional", {"step_id": "another"})
logger.info("%(rows)d rows", {"rows": 3})
logger.info("percent %s", {"a": 1})
adapter = logging.LoggerAdapter(logger, {"custom_dimensions": {"adapted": "yes"}})
adapter.info("adapter")
logger.info("both", extra={"custom_dimensions": {"key": "custom"}, "key": "flat", "other": 1})
logger.debug("below the level")
print("END")
"""
    )
    ran = child(code, env=connected)
    records = received()
    assert records.messages == [
        "plain",
        "extra",
        "custom",
        "positional",
        "3 rows",
        "percent {'a': 1}",
        "adapter",
        "both",
    ]
    expected = {
        "extra": {"rows": "3"},
        "custom": {"key": "value", "n": "1"},
        "positional": {"step_id": "another"},
        "adapter": {"adapted": "yes"},
        "both": {"key": "custom", "other": "1"},
    }
    for message, dimensions in expected.items():
        properties = records.properties(message)
        assert {key: properties.get(key) for key in dimensions} == dimensions, message
    for data in records.of_type("Message"):
        assert all(data["properties"].get(name) for name in IDENTITY), data
        assert data["properties"]["logger"] == "__main__"
    for message in records.messages:
        assert ran.stdout.count(f"__main__: {message}") == 1
    assert records.duplicates == []


def test_as_it_was_at_the_call(child: Any, received: Any, connected: Any) -> None:
    """Changes after the call do not change the record."""
    code = (
        GUIDE
        + """
values, dimensions = [1, 2], {"stage": "before"}
logger.info("values %s", values, extra={"custom_dimensions": dimensions, "list": values})
values.append(3); dimensions["stage"] = "after"
"""
    )
    child(code, env=connected)
    properties = received().properties("values [1, 2]")
    assert (properties["stage"], properties["list"]) == ("before", "[1, 2]")


def test_wrong_arguments(child: Any, received: Any, connected: Any) -> None:
    """Arguments that do not fit the message are recorded with it, and raise nothing."""
    code = (
        GUIDE
        + """
class Bad:
    def __str__(self): raise RuntimeError("no")
    __repr__ = __str__
logger.info("%d rows", "three")
logger.info("%s %s", 1)
logger.info("none", 1, 2)
logger.info("bad %s", Bad())
logger.info(Bad())
logger.info({"a": 1})
logger.info(ValueError("v"))
logger.info(None)
"""
    )
    ran = child(code, env={**connected, "PYTHONWARNINGS": "error"})
    messages = received().messages
    assert ran.returncode == 0
    assert messages[0].startswith("%d rows") and "three" in messages[0]
    assert messages[1].startswith("%s %s") and "1" in messages[1]
    assert messages[2].startswith("none") and "1" in messages[2]
    assert messages[3].startswith("bad %s") and "Bad" in messages[3]
    assert "Bad" in messages[4]
    assert messages[5:] == ['{"a": 1}', "ValueError: v", "None"]
    assert ran.stdout.count("Z INFO") == 8


def test_exceptions(child: Any, received: Any, connected: Any) -> None:
    """An exception keeps its message, its chain, its stack, its dimensions and stack_info."""
    code = (
        GUIDE
        + """
def load():
    raise OSError("no such file")
try:
    try:
        load()
    except OSError as error:
        raise ValueError("bad batch") from error
except ValueError:
    logger.exception("training failed in epoch %d", 3, extra={"epoch": 3})
logger.error("by hand", exc_info=ValueError("given"))
logger.info("with stack", stack_info=True)
logger.error("none", exc_info=True)
"""
    )
    ran = child(code, env=connected)
    records = received()
    failed, by_hand = records.of_type("Exception")
    assert [details["typeName"] for details in failed["exceptions"]] == ["ValueError", "OSError"]
    assert failed["exceptions"][1]["outerId"] == failed["exceptions"][0]["id"]
    assert failed["exceptions"][0]["message"] == "training failed in epoch 3: bad batch"
    assert failed["exceptions"][1]["parsedStack"][0]["method"] == "load"
    assert (
        "Traceback" in failed["exceptions"][0]["stack"] and "no such file" in failed["exceptions"][0]["stack"]
    )
    assert (failed["properties"]["epoch"], failed["properties"]["message"]) == (
        "3",
        "training failed in epoch 3",
    )
    assert failed["severityLevel"] == 3
    assert by_hand["exceptions"][0]["message"] == "by hand: given"
    assert "line 17, in <module>" in records.properties("with stack")["stack_info"]
    assert records.messages == ["with stack", "none"]
    assert ran.stdout.count("ValueError: bad batch") == 1
    assert records.properties("with stack")["step_name"] == "-c"


RESERVED = ["name", "msg", "args", "level", "module", "process", "thread", "exc_info", "message", "asctime",
            "levelname", "lineno", "created", "record_id", "logger", "time", "step_id"]  # fmt: skip


def test_reserved_names(child: Any, received: Any, connected: Any) -> None:
    """Names that logging reserves are valid dimensions."""
    code = (
        GUIDE
        + f"""
log = amllog.get_logger("mine")
for name in {RESERVED!r}:
    logger.info("custom " + name, extra={{"custom_dimensions": {{name: "mine"}}}})
    logger.info("args " + name, {{name: "mine"}})
    if name != "exc_info":
        log.info("ours " + name, **{{name: "mine"}})
log.info("ours event", event="mine", self="mine")
log.event("happened", name="mine", self="mine")
with log.span("work", name="mine"): pass
"""
    )
    ran = child(code, env=connected)
    records = received()
    assert (ran.returncode, ran.stderr) == (0, "")
    ways = [f"{way} {name}" for name in RESERVED for way in ("custom", "args", "ours")]
    ways.remove("ours exc_info")
    got = {way: records.properties(way)[way.split()[1]] for way in ways if not way.endswith("record_id")}
    assert got == dict.fromkeys(got, "mine")
    assert records.duplicates == []  # the script cannot set the id of a record
    assert {records.properties("ours event")[key] for key in ("event", "self")} == {"mine"}
    assert records.of_type("Event")[0]["properties"]["name"] == "mine"
    assert records.of_type("RemoteDependency")[0]["properties"]["name"] == "mine"


def test_levels(child: Any, received: Any, journaled: Any, connected: Any) -> None:
    """Each outlet has a level, custom levels keep their name, and severities are 0 to 4."""
    code = (
        GUIDE.replace("setup()", "setup(level='DEBUG', driver_level='ERROR', insights_level=15)")
        + """
logging.addLevelName(25, "NOTICE")
for level in (5, 10, 15, 20, 25, 30, 40, 50, 60, 1000):
    logger.log(level, "level %d", level)
    amllog.get_logger().log(level, "ours %d", level)
"""
    )
    ran = child(code, env=connected)
    records = received()
    expected = {15: 1, 20: 1, 25: 2, 30: 2, 40: 3, 50: 4, 60: 4, 1000: 4}
    got = {data["message"]: data["severityLevel"] for data in records.of_type("Message")}
    assert got == {
        f"{who} {level}": severity for level, severity in expected.items() for who in ("level", "ours")
    }
    assert records.properties("level 25")["level"] == records.properties("ours 25")["level"] == "NOTICE"
    assert [ran.stdout.count(f"level {level}\n") for level in (30, 40, 50, 60, 1000)] == [0, 1, 1, 1, 1]


def test_threads(child: Any, received: Any, connected: Any) -> None:
    """Records of many threads arrive once, in the order of each thread."""
    code = (
        GUIDE
        + """
import threading
def work(name):
    for number in range(200):
        logger.info("%d %d", name, number)
threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    )
    ran = child(code, env=connected)
    records = received()
    pairs = [tuple(map(int, message.split())) for message in records.messages]
    for name in range(8):
        assert [number for who, number in pairs if who == name] == list(range(200))
    assert records.duplicates == [] and len(pairs) == 1600
    assert len([line for line in ran.stdout.splitlines() if " __main__: " in line]) == 1600


def test_warnings(child: Any, received: Any, connected: Any) -> None:
    """A warning is recorded once, whether or not the script captures warnings into logging itself."""
    for before, after in (
        ("", ""),
        ("logging.captureWarnings(True)\n", ""),
        ("", "logging.captureWarnings(True)\n"),
    ):
        code = (
            "import logging, warnings\n"
            + before
            + GUIDE
            + after
            + "warnings.warn('old thing', DeprecationWarning)"
        )
        child(code, env={**connected, "PYTHONWARNINGS": "always"})
    messages = [message for message in received().messages if "old thing" in message]
    assert len(messages) == 3
    assert all("DeprecationWarning" in message for message in messages)


def test_root_level(child: Any, received: Any, connected: Any) -> None:
    """The level of the root logger before setup() has no effect."""
    for before in ("", "logging.getLogger().setLevel('CRITICAL')", "logging.getLogger().setLevel(1)"):
        child(
            "import logging\n" + before + GUIDE + "logger.info('info'); logger.debug('debug')", env=connected
        )
    assert received().messages == ["info"] * 3


def test_second_setup(child: Any, received: Any, connected: Any) -> None:
    """A second setup() changes the configuration and doubles nothing, as in a notebook cell that runs twice."""
    code = (
        GUIDE
        + """
logger.info("first")
log = amllog.setup(level="WARNING", dimensions={"again": "yes"})
logger.info("not any more")
logger.warning("second"); log.warning("third")
try:
    amllog.setup(level="nonsense")
except amllog.ConfigError as error:
    logger.warning("still")
amllog.shutdown(); amllog.shutdown()
logger.warning("after the end")
log = amllog.setup()
logger.info("new life"); log.info("of both")
"""
    )
    ran = child(code, env=connected)
    records = received()
    assert records.messages == ["first", "second", "third", "still", "new life", "of both"]
    assert records.properties("second")["again"] == "yes"
    assert records.duplicates == []
    assert [ran.stdout.count(f": {message}") for message in records.messages] == [1] * 6
    assert "again" not in records.properties("new life")


@pytest.mark.parametrize("capture", ["none", "warnings"])
def test_capture_off(child: Any, received: Any, connected: Any, capture: str) -> None:
    """Without capture of logging, only amllog's own calls are recorded, and the root logger is not changed."""
    code = f"""
import logging, amllog
log = amllog.setup(capture={capture!r})
logging.getLogger("x").warning("not taken")
log.info("taken")
print(logging.getLogger().handlers, logging.getLogger().level)
"""
    ran = child(code, env=connected)
    assert received().messages == ["taken"]
    assert "[] 30\n" in ran.stdout


def test_transport_chatter(child: Any, received: Any, connected: Any) -> None:
    """At DEBUG, records of the transport libraries about our requests are not recorded."""
    code = (
        GUIDE.replace("setup()", "setup(level='DEBUG')")
        + """
logger.debug("mine")
for _ in range(5): amllog.flush(5)
logging.getLogger("urllib3").debug("chatter"); logging.getLogger("urllib3").warning("pool is full")
"""
    )
    child(code, env=connected)
    assert received().messages == ["mine", "pool is full"]
