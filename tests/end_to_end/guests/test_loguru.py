"""loguru: its records are taken at their source, once, and its handlers see no difference."""

from __future__ import annotations

import copy
import json
import logging
import logging.handlers
import queue
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

import amllog

pytest.importorskip("loguru")

Records = Callable[[], "list[tuple[str, dict[str, str]]]"]


@pytest.fixture(autouse=True)
def root() -> Iterator[logging.Logger]:
    """The root logger of logging, with its handlers and level of before at the end."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield root
    amllog.shutdown(timeout=0)
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture
def logger() -> Iterator[Any]:
    """loguru's logger, without handlers. Afterwards, it is as before amllog."""
    from loguru import logger

    logger.remove()
    before = type(logger).remove
    yield logger
    amllog.shutdown(timeout=0)
    logger.remove()
    logger.configure(patcher=lambda record: None, extra={})
    assert type(logger).remove is before
    assert (logger._core.handlers, logger._core.min_level) == ({}, float("inf"))


def messages_of(directory: str) -> list[tuple[str, dict[str, str]]]:
    """Return the message and the dimensions of each log record in a directory of journals."""
    lines = [json.loads(line)["data"] for file in Path(directory).glob("*.jsonl") for line in file.open()]
    logs = [line["baseData"] for line in lines if line["baseType"] in ("MessageData", "ExceptionData")]
    return [
        (
            data.get("message") or data["properties"]["message"],
            {**data["properties"], "severity": data["severityLevel"]},
        )
        for data in logs
    ]


@pytest.fixture
def recorded(logger: Any) -> Records:
    """Set amllog up at INFO. Return a function that returns the message and the dimensions of each record."""
    amllog.setup(directory="j", driver_level="CRITICAL")
    return lambda: messages_of("j")


def texts(recorded: Records) -> list[str]:
    """Return the recorded messages."""
    return [message for message, _ in recorded()]


def test_a_script_with_only_loguru(logger: Any, recorded: Records) -> None:
    """Message, extra keys of any name, level, exception and call site are recorded, below the level nothing."""
    logger.info("loaded {}", 3)  # noqa: PLE1205  loguru formats with braces
    logger.bind(name="bob", msg="m", args=(1,)).success("ok")
    line = sys._getframe().f_lineno - 1
    try:
        raise ValueError("no")
    except ValueError:
        logger.exception("failed")
    logger.debug("below the level")
    logger.level("NOTICE", no=22)
    logger.log("NOTICE", "own level\n")
    logger.disable(__name__)
    logger.error("disabled")
    logger.enable(__name__)
    with amllog.bound(epoch=3), logger.contextualize(task=7):
        logger.opt(lazy=True).warning("lazy {}", lambda: 5)
    (_, first), (_, second), (message, failed), (_, own), (lazy, bound) = recorded()
    assert (first["module"], first["fileName"], first["logger"]) == ("test_loguru", __file__, __name__)
    expected = {"name": "bob", "msg": "m", "args": "[1]", "lineNumber": str(line), "severity": 1}
    assert {key: second[key] for key in expected} == expected
    assert (message, failed["severity"]) == ("failed", 3)
    assert (own["level"], own["severity"]) == ("NOTICE", 1)
    assert (lazy, bound["epoch"], bound["task"], bound["severity"]) == ("lazy 5", "3", "7", 2)


def test_handlers_of_the_script_are_as_without_amllog(logger: Any) -> None:
    """Ids, levels, formats, errors and `remove` are those of the script. Our handler stays."""
    first = logger.add(lambda message: None, level="WARNING")
    amllog.setup(directory="j", driver_level="CRITICAL")
    lines: list[str] = []
    second = logger.add(lines.append, format="{level} {message} {extra}", level="WARNING")
    assert second == first + 1
    logger.info("info")
    logger.warning("warning", a=1)
    assert lines == ["WARNING warning {'a': 1}\n"]
    logger.remove(first)
    with pytest.raises(ValueError, match="no existing handler"):
        logger.remove(first)
    with pytest.raises(TypeError):
        logger.remove("x")
    logger.remove()
    logger.info("without a handler of the script")
    assert logger.configure(handlers=[{"sink": lines.append, "format": "{message}"}]) == [second + 1]
    logger.info("configured")
    assert lines[1:] == ["configured\n"]
    expected = ["info", "warning", "without a handler of the script", "configured"]
    assert [message for message, _ in messages_of("j")] == expected


def test_our_record_comes_first(logger: Any, recorded: Records) -> None:
    """A handler that raises, ends the process or changes `extra` does not change what is recorded."""

    def change(record: Any) -> str:
        record["extra"]["added"] = record["message"] = "changed"
        return "{message}"

    def stop(message: str) -> None:
        raise SystemExit(3)

    logger.add(lambda message: None, format=change)
    logger.info("unchanged", rows=1)
    logger.add(stop, catch=False)
    with pytest.raises(SystemExit):
        logger.error("the last one")
    (message, dimensions), (last, _) = recorded()
    assert (message, dimensions.get("rows"), dimensions.get("added"), last) == (
        "unchanged",
        "1",
        None,
        "the last one",
    )


class InterceptHandler(logging.Handler):
    """The handler of loguru's documentation, which passes records of logging on to loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record with the call site of the caller."""
        from loguru import logger

        frame, depth = sys._getframe(), 0
        while frame and (depth == 0 or frame.f_code.co_filename == logging.__file__):
            frame, depth = frame.f_back, depth + 1
        logger.opt(depth=depth, exception=record.exc_info).log(record.levelname, record.getMessage())


class PropagateHandler(logging.Handler):
    """The handler of loguru's documentation, which passes records of loguru on to logging."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass the record to the logger of its name."""
        logging.getLogger(record.name).handle(record)


def test_from_logging_to_loguru(logger: Any, recorded: Records, root: logging.Logger) -> None:
    """A record that an InterceptHandler passes to loguru is recorded once, and loguru has its call site."""
    lines: list[str] = []
    logger.add(lines.append, format="{file.path} {line} {message}")
    logging.basicConfig(handlers=[InterceptHandler()], level=0, force=True)
    library = logging.getLogger("library of a test")
    library.info("from logging %d", 1, extra={"rows": 3})
    line = sys._getframe().f_lineno - 1
    logging.getLogger("urllib3.connectionpool").debug("transport")
    logger.info("from loguru")
    try:
        raise ValueError("no")
    except ValueError:
        library.exception("failed")
    assert texts(recorded) == ["from logging 1", "from loguru", "failed"]
    assert (recorded()[0][1]["rows"], recorded()[0][1]["logger"]) == ("3", library.name)
    assert lines[0] == f"{__file__} {line} from logging 1\n"
    assert "transport" in lines[1]


@pytest.mark.parametrize("options", [{}, {"enqueue": True}, {"format": "{time} | {name} | {message}"}])
def test_from_loguru_to_logging(
    logger: Any, recorded: Records, root: logging.Logger, options: dict[str, Any]
) -> None:
    """A record that loguru passes to logging is recorded once, with loguru's dimensions, also in another thread."""
    logger.add(PropagateHandler(), **{"format": "{message}", **options})
    recipe = lambda message: logging.getLogger("recipe").info(message.record["message"])  # noqa: E731
    logger.add(recipe)
    logger.info("once", user="me")
    logger.complete()
    logging.getLogger("library of a test").warning("of logging")
    assert texts(recorded) == ["once", "of logging"]
    assert recorded()[0][1]["user"] == "me"


def test_through_a_queue(logger: Any, recorded: Records, root: logging.Logger) -> None:
    """Records that a QueueListener passes to an InterceptHandler in its thread are recorded once."""
    records: queue.Queue[Any] = queue.Queue()
    logger.add(lambda message: None)
    library = logging.getLogger("queued library of a test")
    library.addHandler(logging.handlers.QueueHandler(records))
    listener = logging.handlers.QueueListener(records, InterceptHandler())
    listener.start()
    for number in range(3):
        library.warning("queued %d", number)
    listener.stop()
    library.handlers.clear()
    assert texts(recorded) == [f"queued {number}" for number in range(3)]


def test_below_structlog(logger: Any, recorded: Records) -> None:
    """An event of structlog that goes to loguru is recorded with its message, keys and line, not its text."""
    import structlog

    processors = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    log = structlog.wrap_logger(logger.bind(bound=1), processors=processors)
    log.info("started", rows=3)
    try:
        raise ValueError("cause")
    except ValueError:
        log.exception("failed", part=2)
    (first, values), (second, others) = recorded()
    assert (first, values["rows"], values["bound"], values["fileName"]) == ("started", "3", "1", __file__)
    assert (second, others["part"], values["logger"]) == ("failed", "2", __name__)


def test_a_sink_that_logs_about_itself(logger: Any, recorded: Records) -> None:
    """A record that a sink makes about its own work is recorded, because its content is another one."""
    logger.add(lambda message: logging.getLogger("sink").warning("the disk is slow"))
    logger.info("a line")
    assert texts(recorded) == ["a line", "the disk is slow"]


def test_the_stack_of_handlers(logger: Any, root: logging.Logger) -> None:
    """A handler of logging finds the same functions of the same files on the stack as without amllog."""
    stacks: list[list[tuple[str, str]]] = []

    class Collecting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            frame, stack = sys._getframe(), []
            while frame is not None:
                stack.append((frame.f_code.co_filename, frame.f_code.co_name, frame.f_globals["__name__"]))
                frame = frame.f_back
            stacks.append(stack)

    library = logging.getLogger("stack of a test")
    library.addHandler(Collecting())
    for _ in range(2):
        library.warning("x")
        amllog.setup(directory="j", driver_level="CRITICAL")
    library.handlers.clear()
    assert stacks[0] == stacks[1]


def test_a_second_setup_and_the_end(logger: Any) -> None:
    """The level follows setup(), and without `loguru` in `capture` or after shutdown() nothing is recorded."""
    for number, options in enumerate([{}, {"level": "DEBUG"}, {"capture": "logging"}, {"level": "TRACE"}]):
        level = {"level": "DEBUG"} if options == {"level": "TRACE"} else options
        amllog.setup(directory="j", driver_level="CRITICAL", **level)
        logger.debug(f"debug {number}")
        logger.info(f"info {number}")
    amllog.shutdown(timeout=0)
    logger.info("after shutdown")
    found = [message for message, _ in messages_of("j") if "done" not in message]
    assert found == ["info 0", "debug 1", "info 1", "debug 3", "info 3"]


def test_lines_on_the_driver_log(logger: Any, capfd: Any) -> None:
    """Each line is on the driver log once, whichever sink shows it. A filter of the script is called once."""
    amllog.setup(directory="j")
    calls: list[str] = []
    from rich.logging import RichHandler

    sinks: dict[str, Callable[[], object]] = {
        "stdout": lambda: logger.add(sys.stdout),
        "print": lambda: logger.add(lambda message: print(message, end="")),
        "handler": lambda: logger.add(logging.StreamHandler(sys.stderr)),
        "rich": lambda: logger.add(RichHandler(), format="{message}"),
        "file": lambda: logger.add("file.log"),
        "of another name": lambda: logger.add(sys.stderr, filter="another"),
        "above": lambda: logger.add(sys.stderr, level="ERROR"),
    }
    capfd.readouterr()
    for name, add in sinks.items():
        add()
        logger.info(f"to <{name}>")
        logger.remove()
        shown = "".join(capfd.readouterr())
        assert shown.count(f"to <{name}>") == 1, shown
    logger.add(sys.stderr, filter=lambda record: not calls.append(record["message"]))
    logger.info("counted")
    assert calls == ["counted"]


def test_a_console_behind_logging(logger: Any, root: logging.Logger, capfd: Any) -> None:
    """A line of logging that loguru shows is not repeated."""
    amllog.setup(directory="j")
    logger.add(sys.stdout, format="shown {message}")
    logging.basicConfig(handlers=[InterceptHandler()], level=0, force=True)
    capfd.readouterr()
    logging.getLogger("library of a test").info("once")
    assert "".join(capfd.readouterr()) == "shown once\n"


def test_beside_captured_prints(logger: Any, recorded: Records) -> None:
    """With `prints`, a line that a sink prints is recorded once. Without `loguru`, it is recorded as a print."""
    for capture in ("loguru,prints", "prints"):
        amllog.setup(directory="j", driver_level="CRITICAL", capture=capture)
        for sink in (sys.stdout, lambda message: print(message, end="")):
            logger.add(sink, format="shown {message}")
            logger.info(capture)
            logger.remove()
        print("printed")
    expected = ["loguru,prints", "loguru,prints", "printed", "shown prints", "shown prints", "printed"]
    assert texts(recorded) == expected


def test_a_stdout_that_logs(logger: Any, recorded: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    """With loguru's stream as stdout, each line is recorded once, and nothing loops."""

    class StreamToLogger:
        def write(self, text: str) -> None:
            for line in text.rstrip().splitlines():
                logger.opt(depth=1).info(line)

        def flush(self) -> None:
            pass

    log = amllog.setup(directory="j", driver_level="INFO")
    monkeypatch.setattr(sys, "stdout", StreamToLogger())
    logger.add(sys.__stderr__)
    print("printed")
    log.info("ours")
    logger.info("of loguru")
    assert texts(recorded) == ["printed", "ours", "of loguru"]


def test_copies_of_a_logger(logger: Any, recorded: Records) -> None:
    """A deep copy of the logger, with sinks of its own, records as well."""
    lines: list[str] = []
    other = copy.deepcopy(logger)
    other.add(lines.append, format="{message}")
    other.info("of the copy")
    assert (lines, texts(recorded)) == (["of the copy\n"], ["of the copy"])


WORKERS = """
import multiprocessing, sys
def work(logger): logger.info("in the worker")
if __name__ == "__main__":
    import amllog
    assert "loguru" not in sys.modules
    amllog.setup()
    assert "loguru" not in sys.modules
    from loguru import logger
    logger.remove()
    context = multiprocessing.get_context(sys.argv[1])
    logger.add(sys.stderr, format="SINK {message}", enqueue=True, context=context)
    process = context.Process(target=work, args=(logger,))
    process.start(); process.join()
    logger.info("in the parent")
    logger.complete()
    sys.exit(process.exitcode)
"""


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_workers(child: Any, method: str) -> None:
    """A logger that a worker gets as an argument records there, with the run of its parent."""
    Path("work.py").write_text(WORKERS)
    ran = child(Path("work.py"), method)
    assert (ran.returncode, ran.stderr.count("SINK")) == (0, 2), ran.stderr
    found = messages_of(".amllog")
    assert sorted(message for message, _ in found) == ["in the parent", "in the worker"]
    assert len({dimensions["parent_run_id"] for _, dimensions in found}) == 1


def test_nothing_about_our_own_sending(child: Any, azure: Any) -> None:
    """Records of the libraries that deliver do not come back through an InterceptHandler at DEBUG."""
    code = """
import logging, sys, amllog
from loguru import logger
class Intercept(logging.Handler):
    def emit(self, record): logger.opt(depth=6).log(record.levelname, record.getMessage())
amllog.setup(level="DEBUG", capture="logging,loguru")
logging.basicConfig(handlers=[Intercept()], level=0, force=True)
for number in range(3):
    logging.getLogger("lib").info("line %d", number)
    print(amllog.flush(100).waiting)
amllog.shutdown()
"""
    ran = child(
        code, env={"APPLICATIONINSIGHTS_CONNECTION_STRING": azure.connection_string, "AMLLOG_METRICS": "none"}
    )
    assert ran.returncode == 0, ran.stderr
    sent = [envelope["data"]["baseData"].get("message") for envelope in azure.envelopes]
    assert [message for message in sent if message] == ["line 0", "line 1", "line 2"]


VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(message=st.text(max_size=20), extra=st.dictionaries(st.text(max_size=8), VALUES, max_size=3))
def test_any_record(message: str, extra: dict[str, Any]) -> None:
    """Any message with any extra values is recorded, and raises nothing."""
    from loguru import logger

    amllog.setup(directory="j", driver_level="CRITICAL")
    before = amllog.status().accepted
    logger.bind(**extra).info(message.replace("{", "{{").replace("}", "}}"))
    assert amllog.status().accepted == before + 1
