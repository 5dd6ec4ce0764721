"""A script that only knows `logging` gets everything: once, stamped, as it was when the call was made."""

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


def test_what_guides_write(child: Any, received: Any, connected: Any) -> None:
    """extra, custom_dimensions, adapters, and the dict as only argument: all are dimensions of the one record."""
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
    found = received()
    assert found.messages == [
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
        properties = found.properties(message)
        assert {key: properties.get(key) for key in dimensions} == dimensions, message
    for data in found.of_type("Message"):
        assert all(data["properties"].get(name) for name in IDENTITY), data
        assert data["properties"]["logger"] == "__main__"
    for message in found.messages:
        assert ran.stdout.count(f"__main__: {message}") == 1
    assert found.duplicates == []


def test_as_it_was_at_the_call(child: Any, received: Any, connected: Any) -> None:
    """What is changed after the call is not changed in the record."""
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
    """Arguments that do not fit the message cost nothing of either, and raise nothing."""
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
    said = received().messages
    assert ran.returncode == 0
    assert said[0].startswith("%d rows") and "three" in said[0]
    assert said[1].startswith("%s %s") and "1" in said[1]
    assert said[2].startswith("none") and "1" in said[2]
    assert said[3].startswith("bad %s") and "Bad" in said[3]
    assert "Bad" in said[4]
    assert said[5:] == ['{"a": 1}', "ValueError: v", "None"]
    assert ran.stdout.count("Z INFO") == 8


def test_exceptions(child: Any, received: Any, connected: Any) -> None:
    """An exception keeps its message, its chain, its stack and its dimensions; stack_info is kept as well."""
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
    found = received()
    failed, by_hand = found.of_type("Exception")
    assert [one["typeName"] for one in failed["exceptions"]] == ["ValueError", "OSError"]
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
    assert "line 17, in <module>" in found.properties("with stack")["stack_info"]
    assert found.messages == ["with stack", "none"]
    assert ran.stdout.count("ValueError: bad batch") == 1
    assert found.properties("with stack")["step_name"] == "-c"


RESERVED = ["name", "msg", "args", "level", "module", "process", "thread", "exc_info", "message", "asctime",
            "levelname", "lineno", "created", "record_id", "logger", "time", "step_id"]  # fmt: skip


def test_reserved_names(child: Any, received: Any, connected: Any) -> None:
    """Names that logging reserves are dimensions like any other."""
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
    found = received()
    assert (ran.returncode, ran.stderr) == (0, "")
    ways = [f"{way} {name}" for name in RESERVED for way in ("custom", "args", "ours")]
    ways.remove("ours exc_info")
    got = {way: found.properties(way)[way.split()[1]] for way in ways if not way.endswith("record_id")}
    assert got == dict.fromkeys(got, "mine")
    assert found.duplicates == []  # the id of a record is not anybody else's to give
    assert {found.properties("ours event")[key] for key in ("event", "self")} == {"mine"}
    assert found.of_type("Event")[0]["properties"]["name"] == "mine"
    assert found.of_type("RemoteDependency")[0]["properties"]["name"] == "mine"


def test_levels(child: Any, received: Any, journaled: Any, connected: Any) -> None:
    """Each sink has its level; custom levels are kept by name; severities stay within 0 to 4."""
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
    found = received()
    expected = {15: 1, 20: 1, 25: 2, 30: 2, 40: 3, 50: 4, 60: 4, 1000: 4}
    got = {data["message"]: data["severityLevel"] for data in found.of_type("Message")}
    assert got == {
        f"{who} {level}": severity for level, severity in expected.items() for who in ("level", "ours")
    }
    assert found.properties("level 25")["level"] == found.properties("ours 25")["level"] == "NOTICE"
    assert [ran.stdout.count(f"level {level}\n") for level in (30, 40, 50, 60, 1000)] == [0, 1, 1, 1, 1]


def test_threads(child: Any, received: Any, connected: Any) -> None:
    """Many threads: each record once, in each thread's own order."""
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
    found = received()
    pairs = [tuple(map(int, message.split())) for message in found.messages]
    for name in range(8):
        assert [number for who, number in pairs if who == name] == list(range(200))
    assert found.duplicates == [] and len(pairs) == 1600
    assert len([line for line in ran.stdout.splitlines() if " __main__: " in line]) == 1600


def test_warnings(child: Any, received: Any, connected: Any) -> None:
    """A warning is a record, once, whether or not the script captures warnings into logging itself."""
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
    said = [message for message in received().messages if "old thing" in message]
    assert len(said) == 3
    assert all("DeprecationWarning" in message for message in said)


def test_root_level(child: Any, received: Any, connected: Any) -> None:
    """What the root logger's level was before setup() does not matter."""
    for before in ("", "logging.getLogger().setLevel('CRITICAL')", "logging.getLogger().setLevel(1)"):
        child(
            "import logging\n" + before + GUIDE + "logger.info('info'); logger.debug('debug')", env=connected
        )
    assert received().messages == ["info"] * 3


def test_second_setup(child: Any, received: Any, connected: Any) -> None:
    """Calling setup() again reconfigures, and doubles nothing: a notebook's cell may run twice."""
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
    found = received()
    assert found.messages == ["first", "second", "third", "still", "new life", "of both"]
    assert found.properties("second")["again"] == "yes"
    assert found.duplicates == []
    assert [ran.stdout.count(f": {message}") for message in found.messages] == [1] * 6
    assert "again" not in found.properties("new life")


@pytest.mark.parametrize("capture", ["none", "warnings"])
def test_capture_off(child: Any, received: Any, connected: Any, capture: str) -> None:
    """Without capture of logging, only amllog's own calls make records, and the root logger is left alone."""
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
    """At DEBUG, what the libraries that carry our records say of it makes no record of its own."""
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
