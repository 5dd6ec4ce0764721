"""Changes of logging's configuration after setup(): each record still arrives once on every outlet."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

SETUP = """
import logging, logging.config, sys, threading
from importlib import reload
import amllog
"""
MLFLOW = """
class MlflowLoggingStream:
    def write(self, text): sys.stderr.write(text)
    def flush(self): sys.stderr.flush()
logging.config.dictConfig({
    "version": 1, "disable_existing_loggers": False,
    "formatters": {"f": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"h": {"formatter": "f", "class": "logging.StreamHandler", "stream": MlflowLoggingStream()}},
    "loggers": {"mlflow": {"handlers": ["h"], "level": "INFO", "propagate": False}},
})
"""  # as mlflow 2.22 does at import


def shown(message: str, ran: Any) -> int:
    """Count the lines of the driver log that contain `message`."""
    return sum(line.endswith(message) for line in (ran.stdout + ran.stderr).splitlines())


@pytest.mark.parametrize("console", ["", "format=FORM, level=20", "format=FORM, force=True"])
@pytest.mark.parametrize("when", ["before", "after", "around", "again"])
def test_reload(child: Any, received: Any, connected: Any, when: str, console: str) -> None:
    """After importlib.reload(logging) and basicConfig, loggers of before and after the reload still work."""
    setup = {
        "before": "reload(logging)\n{}\nlog = amllog.setup()\n",
        "after": "log = amllog.setup()\nreload(logging)\n{}\n",
        "around": "reload(logging)\nlog = amllog.setup()\nreload(logging)\n{}\n",
        "again": "amllog.setup()\nreload(logging)\n{}\nlog = amllog.setup()\n",
    }[when]
    code = (
        SETUP
        + "old = logging.getLogger('old'); FORM = 'MINE %(message)s'\n"
        + setup.format(f"logging.basicConfig({console})" if console else "")
        + "new = logging.getLogger('new')\n"
        "old.info('of before'); new.info('of after'); log.info('ours'); logging.warning('of the root')\n"
        "try: 1 / 0\nexcept ZeroDivisionError: old.exception('failed')\n"
        "assert old.root is not logging.getLogger()\n"
    )
    ran = child(code, env=connected)
    assert ran.returncode == 0, ran.stderr
    records = received()
    messages = ["of before", "of after", "ours", "of the root"]
    assert records.messages == messages
    assert len(records.of_type("Exception")) == 1
    assert {message: shown(message, ran) for message in messages} == dict.fromkeys(messages, 1)
    # The console of the script shows INFO only if the script sets that level.
    assert ran.stderr.count("MINE of after") == ("level" in console)
    assert ran.stderr.count("MINE of the root") == bool(console)
    assert records.duplicates == []


def test_shutdown_restores_reloaded_modules(child: Any) -> None:
    """After shutdown(), every generation of logging is restored, and a reload has no effect on amllog."""
    code = (
        SETUP
        + """
first = logging.Logger, logging.Logger.callHandlers
finders = sys.meta_path[:]
amllog.setup(); amllog.setup()
reload(logging)
assert "amllog" not in type(logging.__loader__).__module__ + type(logging.__spec__.loader).__module__
second = logging.Logger
amllog.setup()
amllog.shutdown(0)
assert sys.meta_path == finders
assert logging.Logger.callHandlers.__module__ == logging.basicConfig.__module__ == "logging"
assert first[0].callHandlers is first[1] and second is logging.Logger is not first[0]
for kind in (first[0], second):
    assert (kind.root.handlers, kind.root.level) == ([], logging.WARNING), kind
reload(logging)
assert logging.getLogger().handlers == [] and not logging.Logger.callHandlers.__module__.startswith("amllog")
"""
    )
    ran = child(code)
    assert ran.returncode == 0, ran.stderr


def test_reload_and_warnings(child: Any, received: Any, connected: Any) -> None:
    """Warnings that were captured into logging before a reload are recorded once after it."""
    code = "import logging, warnings\nlogging.captureWarnings(True)\n" + SETUP
    code += "amllog.setup()\nreload(logging)\nwarnings.warn('old thing', DeprecationWarning)\n"
    child(code, env={**connected, "PYTHONWARNINGS": "always"})
    (message,) = received().messages
    assert "DeprecationWarning: old thing" in message


FILTER = "logging.getLogger().handlers[0].addFilter(lambda entry: not entry.name.startswith('library'))"
# A logger that does not propagate: its setup, the captured records of info and error, and the lines on the driver log.
ENDS = {
    "a console": ("library.addHandler(logging.StreamHandler())", ["info", "error"], 2),
    "a console at ERROR": (
        "library.addHandler(logging.StreamHandler()); library.handlers[0].setLevel('ERROR')",
        ["error"],
        1,
    ),
    "a file": ("library.addHandler(logging.FileHandler('file.log'))", ["info", "error"], 2),
    "nothing: Python shows warnings": ("", ["error"], 1),
    "a NullHandler: silenced": ("library.addHandler(logging.NullHandler())", [], 0),
    "ours": ("library.handlers = logging.getLogger().handlers", ["info", "error"], 2),
    "ours twice": (
        "library.handlers = logging.getLogger().handlers; library.propagate = True",
        ["info", "error"],
        2,
    ),
    "an AzureLogHandler of its own": (
        "from opencensus.ext.azure.log_exporter import AzureLogHandler; library.addHandler(AzureLogHandler())",
        ["info", "error"],
        2,
    ),
    "MLflow's console": (MLFLOW + "library = logging.getLogger('mlflow')", ["info", "error"], 2),
    "a console, and ours has a filter": (
        f"library.addHandler(logging.StreamHandler()); {FILTER}",
        [],
        2,
    ),
    "a console, and ours has a level": (
        "library.addHandler(logging.StreamHandler()); logging.getLogger().handlers[0].setLevel('ERROR')",
        ["error"],
        2,
    ),
    "a console, and one logger is disabled": (
        "library.addHandler(logging.StreamHandler()); library.disabled = True",
        ["info"],
        1,
    ),
}


@pytest.mark.parametrize("where", ENDS)
def test_propagation_ends(child: Any, received: Any, connected: Any, where: str) -> None:
    """Records of a logger with propagate=False are captured once if its handlers accept them."""
    change, captured, lines = ENDS[where]
    code = (
        SETUP
        + "library = logging.getLogger('library'); library.propagate = False; library.setLevel('INFO')\n"
        + "log = amllog.setup()\n"
        + change
        + "\nlogging.getLogger(library.name + '.child').info('info'); library.error('error'); log.info('ours')\n"
    )
    ran = child(code, env=connected)
    assert ran.returncode == 0, ran.stderr
    records = received()
    assert [message for message in records.messages if message != "ours"] == captured
    assert shown("info", ran) + shown("error", ran) == lines, ran.stdout + ran.stderr
    assert shown("ours", ran) == 1
    assert records.duplicates == []


def test_handler_that_logs(child: Any, received: Any, connected: Any) -> None:
    """If a handler logs while it handles a record, both are recorded and shown once."""
    code = (
        SETUP
        + """
class Chatty(logging.Handler):
    def emit(self, entry):
        inner.info("inner")
inner = logging.getLogger("inner"); inner.propagate = False
inner.addHandler(logging.FileHandler("inner.log"))
logging.getLogger("outer").addHandler(Chatty())
amllog.setup()
logging.basicConfig(level="INFO", format="%(message)s")
logging.getLogger("outer").info("outer")
"""
    )
    ran = child(code, env=connected)
    assert sorted(received().messages) == ["inner", "outer"]
    assert [shown(message, ran) for message in ("inner", "outer")] == [1, 1]


def test_own_handler_beside_a_console(child: Any, received: Any, connected: Any) -> None:
    """The record at which a script's AzureLogHandler is detected, which changes the session, is shown once."""
    code = (
        SETUP
        + """
from opencensus.ext.azure.log_exporter import AzureLogHandler
amllog.setup()
logging.basicConfig(level="INFO", format="%(message)s")
logging.getLogger("script").addHandler(AzureLogHandler())
logging.getLogger("script").info("first"); logging.getLogger("script").info("second")
"""
    )
    ran = child(code, env=connected)
    assert received().messages == ["first", "second"]
    assert [shown(message, ran) for message in ("first", "second")] == [1, 1]


def test_transport_that_does_not_propagate(child: Any, received: Any, connected: Any) -> None:
    """Records of the transport libraries are not captured, and those about requests of amllog reach no handler."""
    code = (
        SETUP
        + """
for name in ("urllib3", "azure.core", "opencensus", "azureml"):
    logging.getLogger(name).propagate = False
    logging.getLogger(name).addHandler(logging.StreamHandler())
    logging.getLogger(name).setLevel("DEBUG")
log = amllog.setup(level="DEBUG")
log.info("mine")
for _ in range(3): amllog.flush(5)
thread = threading.Thread(target=logging.getLogger("urllib3").error, args=("of ours",), name="amllog delivery")
thread.start(); thread.join()
logging.getLogger("urllib3").info("chatter"); logging.getLogger("urllib3").error("pool is full")
"""
    )
    ran = child(code, env=connected)
    assert "Starting new HTTP connection" not in ran.stderr
    assert {"chatter", "pool is full"} <= set(ran.stderr.splitlines())
    assert received().messages == ["mine", "pool is full"]


def test_a_name_that_begins_like_a_library(child: Any, received: Any, connected: Any) -> None:
    """Loggers of the script are recorded at each level, also with names that begin like a transport library."""
    names = (
        "azureml_steps",
        "requests_client",
        "msal2.x",
        "azureml-train",
        "azureml",
        "azureml.core",
        "msrestazure",
    )
    code = SETUP + "log = amllog.setup()\n"
    code += "".join(f"logging.getLogger({name!r}).info({name!r})\n" for name in names)
    child(code, env=connected)
    assert received().messages == list(names[:4])


def test_a_record_without_a_name(child: Any, received: Any, connected: Any) -> None:
    """A record without a logger's name is recorded without an exception."""
    code = (
        SETUP
        + "amllog.setup()\nlogging.getLogger().handle(logging.makeLogRecord({'msg': 'm', 'levelno': 20}))"
    )
    ran = child(code, env=connected)
    assert received().messages == ["m"], ran.stderr


def test_basic_config_beside_a_thread_that_logs(child: Any, connected: Any) -> None:
    """basicConfig has its usual effect while another thread logs."""
    code = (
        SETUP
        + """
amllog.setup()
thread = threading.Thread(target=logging.getLogger("x").info, args=("beside",))
def trace(frame, event, argument):
    if frame.f_code.co_name == "basicConfig":
        sys.settrace(None)
        thread.start(); thread.join(1)
sys.settrace(trace)
logging.basicConfig(filename="own.log", format="%(message)s")
thread.join()
logging.error("own")
print(open("own.log").read())
"""
    )
    ran = child(code, env=connected)
    assert ran.stdout.splitlines().count("own") == 1, ran.stderr


def test_configuration_of_mlflow(child: Any, received: Any, connected: Any) -> None:
    """With the dictConfig of mlflow 2.22, records before and after it arrive once, also those of mlflow."""
    code = (
        SETUP + "log = amllog.setup()\nlogger = logging.getLogger('mine')\nlogger.info('before')\n" + MLFLOW
    )
    code += "logger.info('after'); log.info('ours'); logging.getLogger('mlflow.tracking').error('theirs')\n"
    ran = child(code, env=connected)
    messages = ["before", "after", "ours", "theirs"]
    assert received().messages == messages
    assert {message: shown(message, ran) for message in messages} == dict.fromkeys(messages, 1)


@pytest.mark.skipif(not importlib.util.find_spec("mlflow"), reason="mlflow-skinny is not installed")
def test_import_of_mlflow(child: Any, received: Any, connected: Any) -> None:
    """With the installed mlflow imported after setup(), records before and after it arrive once."""
    code = (
        SETUP
        + "log = amllog.setup()\nlogger = logging.getLogger('mine')\nlogger.info('before')\nimport mlflow\n"
    )
    code += "logger.info('after'); log.info('ours'); logging.getLogger('mlflow.tracking').error('theirs')\n"
    ran = child(code, env=connected)
    messages = ["before", "after", "ours", "theirs"]
    assert received().messages == messages
    assert {message: shown(message, ran) for message in messages} == dict.fromkeys(messages, 1)


OWN_HANDLER = """
import os
log = amllog.setup()
root = logging.getLogger()
root.addHandler(logging.FileHandler("own.log"))
root.setLevel("DEBUG")
"""

STOCK_HANDLER = """
from opencensus.ext.azure.log_exporter import AzureLogHandler
root.addHandler(AzureLogHandler(connection_string=os.environ["APPLICATIONINSIGHTS_CONNECTION_STRING"]))
logging.debug("meet")
"""


@pytest.mark.parametrize(
    "then",
    [
        "amllog.setup()",
        "amllog.shutdown()",
        "amllog.setup(); amllog.shutdown()",
        STOCK_HANDLER,
    ],
)
def test_the_level_of_the_script_stays(child: Any, connected: Any, tmp_path: Path, then: str) -> None:
    """A level that the script sets on the root logger stays, so its own handlers get the same records."""
    code = SETUP + OWN_HANDLER + then + "\nlogging.debug('first'); logging.debug('second'); print(root.level)"
    ran = child(code, env=connected)
    assert ran.stdout.splitlines()[-1] == "10", ran.stderr
    lines = (tmp_path / "own.log").read_text().splitlines()
    assert [line for line in lines if line in ("first", "second")] == ["first", "second"]


@pytest.mark.parametrize("level", ["INFO", "ERROR"])
def test_shutdown_restores_the_last_level_of_the_script(child: Any, connected: Any, level: str) -> None:
    """After shutdown() the root logger has the last level that the script set, also by basicConfig."""
    for set_level in (f"logging.basicConfig(level='{level}')", f"logging.getLogger().setLevel('{level}')"):
        code = SETUP + f"amllog.setup()\n{set_level}\namllog.shutdown()\nprint(logging.getLogger().level)"
        ran = child(code, env=connected)
        assert ran.stdout.splitlines()[-1] == {"INFO": "20", "ERROR": "40"}[level], ran.stderr


REMOVED = {
    "removeHandler": "for one in logging.root.handlers[:]: logging.root.removeHandler(one)",
    "a new list": "logging.root.handlers = []",
    "closed": "for one in logging.root.handlers: one.close()",
    "shutdown": "logging.shutdown()",
    "fileConfig of nothing": "open('e.ini', 'w').write('[loggers]\\nkeys=root\\n[handlers]\\nkeys=\\n[formatters]\\n"
    "keys=\\n[logger_root]\\nhandlers=\\n'); logging.config.fileConfig('e.ini', disable_existing_loggers=False)",
    "dictConfig of nothing": "logging.config.dictConfig({'version': 1, 'disable_existing_loggers': False})",
    "basicConfig with force": "logging.basicConfig(force=True, handlers=[logging.NullHandler()])",
}


@pytest.mark.parametrize("how", REMOVED)
def test_handler_removed(child: Any, received: Any, connected: Any, how: str) -> None:
    """Records arrive although a library removes our handler again and again."""
    code = SETUP + "log = amllog.setup()\nlogger = logging.getLogger('mine')\nfor number in range(3):\n"
    code += f"    logger.warning('theirs %d', number); log.info('ours %d', number)\n    {REMOVED[how]}\n"
    ran = child(code + "logger.warning('last')", env=connected)
    assert ran.returncode == 0, ran.stderr
    records = received()
    assert records.messages == [*(f"{who} {n}" for n in range(3) for who in ("theirs", "ours")), "last"]
    assert records.duplicates == []
