"""Problems that users of related projects report, as experiments with amllog's result.

Each docstring describes what the stock AzureLogHandler (opencensus-ext-azure 1.1.15) or azureml did in the same
situation. Some tests also run it. Other files test many of these cases in more detail.
"""

from __future__ import annotations

import importlib.util
import json
import signal
import sys
from typing import Any

import pytest

from amllog.local import AzureOnThisMachine
from amllog.local.faults import Fault

SETUP = """
import logging, logging.config, os, signal, sys, time
import amllog
log = amllog.setup()
logger = logging.getLogger("script")
"""
STOCK = """
import logging, os, sys
from opencensus.ext.azure.log_exporter import AzureLogHandler
logger = logging.getLogger("script")
logger.setLevel("INFO")
"""
STOCK_WORKS = pytest.mark.skipif(
    sys.version_info >= (3, 13),
    reason="the stock AzureLogHandler has no lock, and raises at every record from 3.13",
)


@pytest.mark.skipif(not importlib.util.find_spec("mlflow"), reason="mlflow-skinny is not installed")
def test_v01_mlflow_is_imported_later(child: Any, received: Any, connected: Any) -> None:
    """Stock: every record after `import mlflow` is lost. Here: all arrive. The next test has the cause in 2.22."""
    child(SETUP + "logger.info('before')\nimport mlflow\nlogger.info('after')", env=connected)
    assert received().messages == ["before", "after"]


def test_v02_dict_config(child: Any, received: Any, connected: Any) -> None:
    """Stock: any dictConfig closes the handler and loses later records. Here: only disabled loggers are silent."""
    code = SETUP + "logging.config.dictConfig({'version': 1%s})\nlogger.info('%s'); log.info('ours')\n"
    child(code % (", 'disable_existing_loggers': False", "kept"), env=connected)
    child(code % ("", "disabled, as the script asks"), env=connected)
    assert received().messages == ["kept", "ours", "ours"]


def test_v03_refused_without_statsbeat(child: Any, journaled: Any) -> None:
    """Stock: a refused connection with statsbeat off loses the batch. Here: it waits on disk, and is counted."""
    string = "InstrumentationKey=00000000-0000-0000-0000-0000000010ca;IngestionEndpoint=http://127.0.0.1:9"
    ran = child(SETUP + "logger.info('logged')\nprint(amllog.flush(2).waiting)",
                env={"APPLICATIONINSIGHTS_CONNECTION_STRING": string})  # fmt: skip
    assert (ran.returncode, journaled().messages) == (0, ["logged"])
    assert ran.stdout.endswith("\n1\n") and "Traceback" not in ran.stderr


def test_v04_fork(child: Any, received: Any, connected: Any) -> None:
    """Stock: records of a forked child are lost. Here: they arrive once, and the parent's are not repeated."""
    code = "logger.info('parent')\nif os.fork() == 0:\n    logger.info('child'); os._exit(0)\nos.wait()\n"
    child(SETUP + code, env={**connected, "PYTHONWARNINGS": "ignore::DeprecationWarning"})
    assert sorted(received().messages) == ["child", "parent"]


def test_v05_one_line_and_the_end(child: Any, received: Any, connected: Any) -> None:
    """Stock: delivered. Here: delivered too, at a normal end and after an exception, which also arrives."""
    child(SETUP + "logger.info('normal')", env=connected)
    ran = child(SETUP + "logger.info('uncaught')\n1 / 0", env=connected)
    records = received()
    assert (ran.returncode, records.messages, len(records.of_type("Exception"))) == (
        1,
        ["normal", "uncaught"],
        1,
    )


def test_v06_os_exit_and_sigterm(child: Any, received: Any, journaled: Any, connected: Any) -> None:
    """Stock: both lose the line. Here: it arrives after SIGTERM. After os._exit the next process delivers it."""
    ran = child(
        SETUP + "logger.info('terminated')\nos.kill(os.getpid(), signal.SIGTERM); time.sleep(600)",
        env=connected,
    )
    assert (ran.returncode, received().messages) == (-signal.SIGTERM, ["terminated"])
    child(SETUP + "logger.info('gone')\nos._exit(0)", env=connected)
    assert journaled().messages == ["terminated", "gone"]
    child("import amllog; amllog.setup()", env=connected)
    assert set(received().messages) == {"terminated", "gone"}


def test_v07_slow_ingestion(child: Any, azure: AzureOnThisMachine, journaled: Any, connected: Any) -> None:
    """Stock: the exit waits without a bound. Here: it waits at most the grace, and the record is kept."""
    azure.faults.put(Fault(seconds=50))
    ran = child(SETUP + "logger.info('logged')", env={**connected, "AMLLOG_GRACE_SECONDS": "1"}, timeout=900)
    assert (ran.returncode, journaled().messages) == (0, ["logged"])


def test_v08_burst_on_the_root_logger(child: Any, received: Any, connected: Any) -> None:
    """Stock: a full queue raises RecursionError into the application. Here: there is no queue."""
    code = "for number in range(2000): logging.info('%d', number)"
    ran = child(SETUP + code, env={**connected, "AMLLOG_DRIVER_LEVEL": "ERROR"})
    assert (ran.returncode, ran.stderr) == (0, "")
    assert received().messages == [str(number) for number in range(2000)]


@STOCK_WORKS
def test_v08_stock(child: Any, connected: Any) -> None:
    """The stock handler raises RecursionError, as the docstring above states."""
    code = STOCK + "logging.getLogger().addHandler(AzureLogHandler(queue_capacity=10, export_interval=60))\n"
    code += "try:\n    for number in range(200): logging.warning('%d', number)\n"
    ran = child(code + "except RecursionError: print('raised', flush=True)\nos._exit(0)", env=connected)
    assert ran.stdout.strip().endswith("raised")


UNUSUAL = (
    "{'loss': float('nan'), 'none': None, 'nested': {'a': 1}, 'n': 3, "
    "'on': datetime.date(2026, 1, 2), (1, 2): 'x'}"
)


def test_v09_v10_values_that_json_does_not_have(child: Any, received: Any, connected: Any) -> None:
    """Stock: bare NaN is sent, and a tuple key loses its whole batch. Here: all are strings."""
    code = (
        "import datetime\nlogger.info('good')\nlogger.info('odd', extra={'custom_dimensions': "
        + UNUSUAL
        + "})"
    )
    child(SETUP + code, env=connected)
    records = received()
    assert records.messages == ["good", "odd"]
    properties = records.properties("odd")
    expected = {
        "loss": "NaN",
        "none": "None",
        "nested": '{"a": 1}',
        "n": "3",
        "on": "2026-01-02",
        "[1, 2]": "x",
    }
    assert {key: properties.get(key) for key in expected} == expected
    json.dumps(records.envelopes, allow_nan=False)


def test_v11_a_dict_as_argument(child: Any, received: Any, connected: Any) -> None:
    """Stock: `logger.info("action", {...})` and dimensions other than a dict are dropped. Here: kept."""
    code = "logger.info('action', {'key': 'value'}); logger.info('text', extra={'custom_dimensions': 'odd'})"
    child(SETUP + code, env=connected)
    assert received().properties("action")["key"] == "value"
    assert received().messages == ["action", "text"]


def test_v12_logger_adapter(child: Any, received: Any, connected: Any) -> None:
    """Stock: an adapter drops the call's dimensions (Python up to 3.12). Here: a bound logger merges both."""
    code = "logging.LoggerAdapter(logger, {'custom_dimensions': {'a': '1'}}).info('adapter')\n"
    code += "log.bind(a='1', b='1').info('bound', b='2')"
    child(SETUP + code, env=connected)
    assert received().properties("adapter")["a"] == "1"
    properties = received().properties("bound")
    assert (properties["a"], properties["b"]) == ("1", "2")


def test_v13_changed_after_the_call(child: Any, received: Any, connected: Any) -> None:
    """Stock: values are exported as they are later. Here: as they were at the call."""
    code = "rows, custom = [1], {'stage': 'then'}\nlogger.info('%s', rows, extra={'custom_dimensions': custom})\n"
    child(SETUP + code + "rows.append(2); custom['stage'] = 'later'", env=connected)
    assert received().properties("[1]")["stage"] == "then"


def test_v14_setup_twice(child: Any, received: Any, connected: Any) -> None:
    """Stock: two handlers send every record twice. Here: once, also beside a stock handler."""
    code = "amllog.setup()\nfrom opencensus.ext.azure.log_exporter import AzureLogHandler\n"
    code += "logger.addHandler(AzureLogHandler())\nlogger.info('once')"
    child(SETUP + code, env=connected)
    assert received().messages == ["once"]


@STOCK_WORKS
def test_v14_stock(child: Any, received: Any, connected: Any) -> None:
    """Two stock handlers send every record twice, as the docstring above states."""
    code = "for _ in range(2): logger.addHandler(AzureLogHandler())\nlogger.info('twice')"
    child(STOCK + code, env=connected)
    messages = [envelope["data"]["baseData"]["message"] for envelope in received().envelopes]
    assert messages == ["twice", "twice"]


def test_v15_v16_limits_of_the_service(child: Any, received: Any, connected: Any) -> None:
    """Stock: level 60 becomes the invalid severity 5, and long strings are sent. Here: 4, and cut with a mark."""
    code = "logger.log(60, 'level')\nlogger.info('m' * 40_000, extra={'long': 'd' * 20_000})"
    child(SETUP + code, env={**connected, "AMLLOG_DRIVER_LEVEL": "CRITICAL"})
    first, second = received().of_type("Message")
    assert first["severityLevel"] == 4
    for value, whole, limit in (
        (second["message"], 40_000, 32_768),
        (second["properties"]["long"], 20_000, 8_192),
    ):
        assert len(value) <= limit < whole and value[:100] in ("m" * 100, "d" * 100) and value[-1] not in "md"


def test_v17_structlog(child: Any, received: Any, connected: Any) -> None:
    """Stock: values bound by structlog are not dimensions, and `name=` raises KeyError. Here: both are dimensions."""
    code = """
import structlog
structlog.configure(processors=[structlog.stdlib.render_to_log_kwargs], logger_factory=structlog.stdlib.LoggerFactory(),
                    wrapper_class=structlog.stdlib.BoundLogger)
structlog.get_logger("theirs").bind(rows=3).info("through structlog")
log.bind(rows=3).info("ours", name="bob")
"""
    ran = child(SETUP + code, env=connected)
    assert ran.returncode == 0, ran.stderr
    assert received().properties("through structlog")["rows"] == "3"
    properties = received().properties("ours")
    assert (properties["rows"], properties["name"]) == ("3", "bob")


def test_v18_connection_string(child: Any) -> None:
    """Stock: a missing or invalid string raises in three ways. Here: one notice, or one ConfigError."""
    for absent in (None, ""):
        ran = child(SETUP + "logger.info('logged')", env={"APPLICATIONINSIGHTS_CONNECTION_STRING": absent})
        assert (ran.returncode, ran.stdout.count("no connection string")) == (0, 1)
    ran = child("import amllog\ntry: amllog.setup()\nexcept amllog.ConfigError as error: print(error)",
                env={"APPLICATIONINSIGHTS_CONNECTION_STRING": "nonsense"})  # fmt: skip
    assert "APPLICATIONINSIGHTS_CONNECTION_STRING" in ran.stdout and "InstrumentationKey=" in ran.stdout


def test_v19_run_off_azure(child: Any) -> None:
    """azureml: the offline run lacks half of Run's names. Here: they work."""
    code = "run = log.run\nrun.log('loss', 0.5)\nprint(run.id, run.number, run.tags, run.properties, run.display_name,"
    code += " run.experiment.name, run.name, run.get_portal_url(), run.get_metrics())\nrun.parent"
    ran = child(SETUP + code)
    assert ran.returncode == 0, ran.stderr
    assert "{'loss': 0.5}" in ran.stdout


def test_v20_azureml_is_imported_later(child: Any, received: Any, connected: Any) -> None:
    """azureml-core does not change the root logger, and its own log lines are not recorded."""
    code = "import azureml.core\nlogger.info('logged'); print(len(logging.getLogger().handlers))"
    ran = child(SETUP + code, env=connected)
    assert ran.stdout.endswith("\n1\n"), ran.stderr
    assert received().messages == ["logged"]
