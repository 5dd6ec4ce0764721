"""Handlers of real libraries: each record is on the driver log once, recorded first, and no level changes for them."""

from __future__ import annotations

import io
import json
import logging
import logging.handlers
import queue
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import amllog

FILE = "own.log"


def rich_handler(**options: Any) -> logging.Handler:
    """Return a handler of rich."""
    from rich.console import Console
    from rich.logging import RichHandler

    return RichHandler(console=Console(width=100, **options) if options else None, rich_tracebacks=True)


def rich_to_file() -> logging.Handler:
    """Return a handler of rich that writes to a file."""
    return rich_handler(file=Path(FILE).open("w"))


def rich_on_terminal() -> logging.Handler:
    """Return a handler of rich that colours parts of words."""
    return rich_handler(force_terminal=True, color_system="truecolor")


def rich_of_listener() -> logging.Handler:
    """Return a queue whose listener has a handler of rich."""
    waiting: Any = queue.Queue()
    listener = logging.handlers.QueueListener(waiting, rich_handler())
    listener.start()
    LISTENERS.append(listener)
    return logging.handlers.QueueHandler(waiting)


def of_click() -> logging.Handler:
    """Return the handler of click-log, which calls `click.echo`."""
    import click_log

    handler = click_log.ClickHandler()
    handler.formatter = click_log.ColorFormatter()
    return handler


def of_coloredlogs() -> logging.Handler:
    """Return a handler whose formatter is that of coloredlogs."""
    import coloredlogs

    handler = logging.StreamHandler()
    handler.setFormatter(coloredlogs.ColoredFormatter("%(levelname)s %(message)s"))
    return handler


def of_colorlog() -> logging.Handler:
    """Return a handler of colorlog, whose formatter adds codes to the record."""
    import colorlog

    handler = colorlog.StreamHandler()
    handler.setFormatter(
        colorlog.ColoredFormatter("%(log_color)s%(levelname)s %(message)s", force_color=True)
    )
    return handler


def of_daiquiri() -> logging.Handler:
    """Return the handler of an output of daiquiri."""
    import daiquiri.output

    handler: logging.Handler = daiquiri.output.Stream(sys.stdout).handler
    return handler


def of_absl() -> logging.Handler:
    """Return the handler of absl, which writes to stderr before its flags are parsed."""
    from absl import logging as absl_logging

    handler: logging.Handler = absl_logging.get_absl_handler()
    return handler


def of_json() -> logging.Handler:
    """Return a handler whose formatter writes JSON."""
    from pythonjsonlogger.json import JsonFormatter

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    return handler


def of_concurrent_files() -> logging.Handler:
    """Return a handler that writes to a file, and has a stderr for its own errors."""
    from concurrent_log_handler import ConcurrentRotatingFileHandler

    handler: logging.Handler = ConcurrentRotatingFileHandler(FILE, maxBytes=10_000)
    return handler


def of_tqdm() -> logging.Handler:
    """Return the usual recipe for log lines beside a progress bar."""
    from tqdm import tqdm

    class TqdmHandler(logging.StreamHandler):  # type: ignore[type-arg]
        def emit(self, record: logging.LogRecord) -> None:
            tqdm.write(self.format(record))

    return TqdmHandler()


def of_tqdm_contrib() -> logging.Handler:
    """Return the handler of tqdm itself."""
    from tqdm.contrib.logging import _TqdmLoggingHandler

    handler: logging.Handler = _TqdmLoggingHandler()
    return handler


def of_opentelemetry() -> logging.Handler:
    """Return the handler of OpenTelemetry, which exports records."""
    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler

    handler: logging.Handler = LoggingHandler(logger_provider=LoggerProvider())
    return handler


def of_sentry() -> logging.Handler:
    """Return a handler of sentry, which sends records."""
    from sentry_sdk.integrations.logging import EventHandler

    return EventHandler()


LISTENERS: list[Any] = []
HANDLERS: dict[str, Callable[[], logging.Handler]] = {
    "rich": rich_handler,
    "rich on stderr": lambda: rich_handler(stderr=True),
    "rich with a held stream": lambda: rich_handler(file=sys.stderr),
    "rich to a file": rich_to_file,
    "rich to a string": lambda: rich_handler(file=io.StringIO()),
    "rich that is quiet": lambda: rich_handler(quiet=True),
    "rich on a terminal": rich_on_terminal,
    "rich of a listener": rich_of_listener,
    "click": of_click,
    "coloredlogs": of_coloredlogs,
    "colorlog": of_colorlog,
    "daiquiri": of_daiquiri,
    "absl": of_absl,
    "JSON": of_json,
    "concurrent files": of_concurrent_files,
    "tqdm": of_tqdm,
    "tqdm's own": of_tqdm_contrib,
    "OpenTelemetry": of_opentelemetry,
    "sentry": of_sentry,
}
MESSAGES = ("begin one end", "begin two end", "begin three end", "begin four end")


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[logging.Logger]:
    """Return a logger of a script after setup(), without the handlers of pytest."""
    root, guest = logging.getLogger(), logging.getLogger("guest")
    before, root.handlers[:] = root.handlers[:], []
    amllog.setup(directory=tmp_path / "j", capture="logging", driver_format="plain")
    yield guest
    for listener in LISTENERS:
        listener.stop()
    LISTENERS.clear()
    guest.handlers.clear()
    amllog.shutdown(0)
    root.handlers[:] = before


def recorded(folder: Path) -> list[tuple[str, str]]:
    """Return the level and the message of each record in the journal."""
    lines = [json.loads(line)["data"] for file in (folder / "j").glob("*.jsonl") for line in file.open()]
    bases = [data["baseData"] for data in lines if data["baseType"] == "MessageData"]
    return [(base["properties"]["level"], base["message"]) for base in bases]


@pytest.mark.parametrize("kind", HANDLERS)
def test_each_line_is_shown_once(guest: logging.Logger, capfd: Any, tmp_path: Path, kind: str) -> None:
    """With the handlers of libraries, each record is on stdout or stderr once, and the journal has the original."""
    guest.addHandler(HANDLERS[kind]())
    capfd.readouterr()
    guest.warning("begin %s end", "one")
    guest.error("begin two end")
    logging.getLogger("guest.other").warning("begin three end")
    guest.warning("begin four end")
    for listener in LISTENERS:
        listener.stop()
    LISTENERS.clear()
    captured = capfd.readouterr()
    output = re.sub(r"\x1b\[[\d;]*m", "", captured.out + captured.err)
    assert {message: output.count(message) for message in MESSAGES} == dict.fromkeys(MESSAGES, 1), output
    assert recorded(tmp_path) == list(zip(["WARNING", "ERROR", "WARNING", "WARNING"], MESSAGES))


def test_markup_that_rich_rejects(guest: logging.Logger, capfd: Any, tmp_path: Path) -> None:
    """The error of rich about invalid markup reaches the script as without amllog. Record and line exist."""
    from rich.errors import MarkupError
    from rich.logging import RichHandler

    guest.addHandler(RichHandler(markup=True))
    with pytest.raises(MarkupError):
        guest.warning("broken [/markup] here")
    guest.warning("fine")
    assert recorded(tmp_path) == [("WARNING", "broken [/markup] here"), ("WARNING", "fine")]
    captured = capfd.readouterr()
    assert [captured.out.count(message) for message in ("broken [/markup] here", "fine")] == [1, 1]


RECORDED = """
import json, pathlib
def recorded():
    lines = [json.loads(line)["data"] for file in pathlib.Path(".amllog").glob("*.jsonl") for line in file.open()]
    return [data["baseData"]["message"] for data in lines if data["baseType"] == "MessageData"]
"""
LEVELS = """
import logging, sys
import amllog
import sqlalchemy
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
import structlog
ran, exporter = [], InMemoryLogRecordExporter()
def talk(method, self):
    def export(batch):
        logging.getLogger("azure.monitor.opentelemetry.exporter.export").info("Transmission succeeded")
        return method(batch)
    return export
exporter.export = talk(exporter.export, exporter)
provider = LoggerProvider()
provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
processors = [structlog.stdlib.filter_by_level, lambda logger, name, event: (ran.append(event["event"]), event)[1],
              structlog.stdlib.render_to_log_kwargs]
structlog.configure(processors=processors, logger_factory=structlog.stdlib.LoggerFactory(),
                    wrapper_class=structlog.stdlib.BoundLogger)
def handlers():
    logging.getLogger().addHandler(logging.FileHandler("own.log"))
    logging.getLogger().addHandler(LoggingHandler(logger_provider=provider))
"""
AFTER = """
engine = sqlalchemy.create_engine("sqlite://")
with engine.connect() as connection:
    connection.execute(sqlalchemy.text("select 1"))
echo = sqlalchemy.create_engine("sqlite://", echo=True)
with echo.connect() as connection:
    connection.execute(sqlalchemy.text("select 42"))
logging.getLogger("lib").info("informed")
logging.getLogger("lib").warning("warned")
structlog.get_logger("s").info("structured")
structlog.get_logger("s").warning("structured warning")
root = logging.getLogger()
print(json.dumps({
    "levels": [root.level, type(root.level).__name__, logging.getLogger("lib").isEnabledFor(20)],
    "statements": engine._should_log_info(),
    "processors": ran,
    "file": [line for line in open("own.log").read().splitlines() if "sqlalchemy" not in line and "select" not in line],
    "exported": [str(log.log_record.body) for log in exporter.get_finished_logs()],
    "recorded": recorded(),
}), file=sys.__stderr__)
"""


@pytest.mark.parametrize("order", ["handlers()\namllog.setup()\n", "amllog.setup()\nhandlers()\n"])
def test_others_see_the_levels_of_the_script(child: Any, order: str) -> None:
    """A file, OpenTelemetry, sqlalchemy and structlog get what they get without amllog at WARNING."""
    ran = child(RECORDED + LEVELS + order + AFTER)
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stderr.splitlines()[-1])
    assert seen["levels"] == [30, "int", False]
    assert (seen["statements"], seen["processors"]) == (False, ["structured warning"])
    exported = [text for text in seen["exported"] if "sqlalchemy" not in text]
    assert [text for text in exported if "warn" in text] == ["warned", "structured warning"]
    assert not {"informed", "Transmission succeeded", "structured"} & {*exported, *seen["file"]}
    assert {"informed", "warned", "structured warning", "select 42"} <= {*seen["recorded"]}
    assert "structured" not in seen["recorded"]
    assert ran.stdout.count("select 42") == 1


SENTRY = """
import sentry_sdk
from sentry_sdk.integrations.logging import LoggingIntegration
sent = []
sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", transport=lambda event: None, default_integrations=False,
                integrations=[LoggingIntegration()])
"""


@pytest.mark.parametrize("order", [SENTRY + "amllog.setup()\n", "amllog.setup()\n" + SENTRY])
def test_sentry(child: Any, order: str) -> None:
    """Sentry's hook of `callHandlers`, over or under ours, has no INFO breadcrumb, and each record is recorded once."""
    code = (
        "import logging, sys, amllog\n"
        + RECORDED
        + order
        + """
logging.getLogger().addHandler(logging.StreamHandler())
for number in range(2):
    logging.getLogger("lib").info("informed")
    logging.getLogger("lib").warning("warned")
crumbs = [crumb["message"] for crumb in sentry_sdk.get_isolation_scope()._breadcrumbs]
print(json.dumps([crumbs, recorded()]), file=sys.__stderr__)
"""
    )
    ran = child(code)
    assert ran.returncode == 0, ran.stderr
    crumbs, messages = json.loads(ran.stderr.splitlines()[-1])
    assert (crumbs, messages) == (["warned"] * 2, ["informed", "warned"] * 2)
    assert (ran.stdout + ran.stderr).count("warned\n") == 2


def test_absl_ends_the_process(child: Any) -> None:
    """`absl.logging.fatal` ends the process. Its record is in the journal, and each line is shown once."""
    code = """
import amllog
from absl import app, logging
def main(arguments):
    amllog.setup()
    logging.info("begin one end"); logging.error("begin two end"); logging.fatal("begin three end")
app.run(main)
"""
    ran = child(code)
    assert ran.returncode == -6
    output = ran.stdout + ran.stderr
    assert [output.count(message) for message in MESSAGES[:3]] == [1, 1, 1]
    reader = child(RECORDED + "print(json.dumps(recorded()))")
    assert json.loads(reader.stdout) == list(MESSAGES[:3])


def test_records_of_other_processes(child: Any, tmp_path: Path) -> None:
    """Records that multiprocessing-logging brings back from forked workers are recorded once."""
    (tmp_path / "script.py").write_text(
        "import logging, multiprocessing, sys\n"
        "import amllog, multiprocessing_logging\n"
        "def work(number):\n"
        "    logging.getLogger('worker').warning('of worker %d', number)\n"
        "if __name__ == '__main__':\n"
        "    logging.getLogger().addHandler(logging.FileHandler('own.log'))\n"
        "    amllog.setup()\n"
        "    multiprocessing_logging.install_mp_handler()\n"
        "    with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "        pool.map(work, range(4))\n"
        "        pool.close(); pool.join()\n"
        "    multiprocessing_logging.uninstall_mp_handler()\n"
    )
    ran = child(tmp_path / "script.py")
    assert ran.returncode == 0, ran.stderr
    reader = child(RECORDED + "print(json.dumps(sorted(recorded())))")
    messages = [message for message in json.loads(reader.stdout) if message.startswith("of worker")]
    assert messages == [f"of worker {number}" for number in range(4)]
