"""Each record is on the driver log once, with any configuration of logging and any stdout."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

SETUP = "import logging, logging.config, sys, io\nimport amllog\n"
LOG = """
import amllog
log = amllog.get_logger("mine")
log.info("ours"); log.error("our error", key="value")
logging.getLogger("library").info("theirs"); logging.getLogger("library").error("their error")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("library").exception("failed")
amllog.flush(200)
"""
MESSAGES = ["ours", "our error", "theirs", "their error", "failed"]
RECEIVED = ["ours", "our error", "theirs", "their error"]  # and the exception
DICT = "logging.config.dictConfig({'version': 1, 'disable_existing_loggers': %s, 'handlers': {'c': {'class': "
DICT += "'logging.StreamHandler', 'stream': 'ext://sys.stdout'}}, 'root': {'handlers': ['c'], 'level': 'INFO'}})\n"
FILE = """
open("logging.ini", "w").write('''[loggers]
keys=root
[handlers]
keys=c
[formatters]
keys=
[logger_root]
level=INFO
handlers=c
[handler_c]
class=StreamHandler
args=(sys.stdout,)
''')
logging.config.fileConfig("logging.ini", disable_existing_loggers=%s)
"""

CONSOLES = {
    "nothing": "",
    "basicConfig": "logging.basicConfig(level='INFO')\n",
    "basicConfig to stdout": "logging.basicConfig(level='INFO', stream=sys.stdout)\n",
    "basicConfig with force": "logging.basicConfig(level='INFO', force=True)\n",
    "root.addHandler": "logging.getLogger().addHandler(logging.StreamHandler())\n",
    "addHandler of the guide": "logging.getLogger('library').addHandler(logging.StreamHandler(sys.stdout))\n",
    "a handler at ERROR": "h = logging.StreamHandler(); h.setLevel('ERROR'); logging.getLogger().addHandler(h)\n",
    "a handler with a filter": "h = logging.StreamHandler(); h.addFilter(lambda r: 'their' in r.getMessage());"
    " logging.getLogger().addHandler(h)\n",
    "dictConfig": DICT % False,
    "dictConfig that disables": DICT % True,
    "fileConfig": FILE % False,
    "fileConfig that disables": FILE % True,
    "handlers.clear": "logging.getLogger().handlers.clear()\n",
    "shutdown": "logging.shutdown()\n",
}


def lines_with(message: str, output: str) -> int:
    """Count the lines that contain the message, in any format."""
    return len(re.findall(rf"(?m)(?:^|[ :]){message}(?:  \w+=.*)?$", output))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("console", CONSOLES)
def test_each_record_is_shown_once(
    child: Any, received: Any, connected: Any, console: str, when: str
) -> None:
    """With a console handler before or after setup(), each record is shown and received once."""
    before, after = (CONSOLES[console] if when == place else "" for place in ("before", "after"))
    ran = child(SETUP + before + "amllog.setup()\n" + after + LOG, env=connected)
    output = ran.stdout + ran.stderr
    expected = dict.fromkeys(MESSAGES, 1)
    assert {message: lines_with(message, output) for message in MESSAGES} == expected, output
    records = received()
    assert sorted(records.messages) == sorted(RECEIVED)
    assert len(records.of_type("Exception")) == 1
    assert records.duplicates == []


def test_disabled_logger(child: Any, received: Any, connected: Any) -> None:
    """A logger that the script's configuration disables is silent, as without amllog. Ours still work."""
    code = SETUP + "lib = logging.getLogger('old'); log = amllog.setup()\n" + DICT % True
    child(code + "lib.error('silent'); log.info('ours'); logging.getLogger('new').info('new')", env=connected)
    assert received().messages == ["ours", "new"]


def test_level_set_later(child: Any, received: Any, connected: Any) -> None:
    """A level that the script sets on the root logger later applies to stdlib loggers, not to ours."""
    code = SETUP + "log = amllog.setup()\nlogging.getLogger().setLevel('ERROR')\n"
    child(code + "logging.info('not'); logging.error('error'); log.info('ours')", env=connected)
    assert received().messages == ["error", "ours"]


@pytest.mark.parametrize(
    "stdout",
    [
        "sys.stdout.close()",
        "sys.stdout = None",
        "sys.stdout = object()",
        "sys.stdout = open('/dev/full', 'w')",
    ],
)
def test_broken_stdout(child: Any, received: Any, connected: Any, stdout: str) -> None:
    """A closed, missing, invalid or full stdout loses no record, raises nothing, and is counted."""
    code = (
        SETUP
        + "amllog.setup()\n"
        + stdout
        + LOG
        + "print(amllog.status(), file=sys.stderr)\nsys.stdout = None"
    )
    ran = child(code, env=connected)
    assert ran.returncode == 0, ran.stderr
    assert sorted(received().messages) == sorted(RECEIVED)
    assert "driver_log    0 delivered, 0 waiting, 5 refused" in ran.stderr


def test_replaced_stdout(child: Any, connected: Any) -> None:
    """Lines go to the current sys.stdout, such as that of a notebook cell or a test's capture."""
    code = (
        SETUP
        + "log = amllog.setup()\nimport contextlib\nwith contextlib.redirect_stdout(io.StringIO()) as inside:"
    )
    code += "\n    log.info('inside')\nlog.info('outside')\nsys.stderr.write(inside.getvalue())"
    ran = child(code, env=connected)
    assert ("inside" in ran.stderr, "outside" in ran.stderr) == (True, False)
    assert ("inside" in ran.stdout, "outside" in ran.stdout) == (False, True)


@pytest.mark.parametrize("form", ["plain", "console", "json"])
def test_hostile_strings(child: Any, connected: Any, form: str) -> None:
    """No string can imitate a record or move the cursor, in any format, and an ASCII locale loses no line."""
    code = (
        SETUP
        + r"""
log = amllog.setup(capture="logging")
evil = "x\r\n2026-01-01T00:00:00.000Z ERROR    fake: é \x1b[2J \x9b1m \udc80"
logging.addLevelName(35, evil)
logger = logging.getLogger(evil)
logger.log(35, evil, extra={evil: evil, "other": evil + " "})
try:
    raise ValueError(evil)
except ValueError as error:
    log.exception(evil)
"""
    )
    env = {**connected, "AMLLOG_DRIVER_FORMAT": form, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    ran = child(code, env=env)
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert "\x9b" not in ran.stdout and ran.stdout.isascii()
    if form == "json":
        assert [json.loads(line)["message"].split("\r")[0] for line in lines] == ["x", "x"]
        return
    first_lines = [line for line in lines if not line.startswith("    ")]
    assert len(first_lines) == 2, lines
    assert "\x1b[2J" not in ran.stdout
    assert ("\x1b" in ran.stdout) == (form == "console")


def test_json_line(child: Any, connected: Any) -> None:
    """The JSON format contains the whole record, and a dimension with one of our names gets a suffix."""
    code = SETUP + "log = amllog.setup(driver_format='json', run_type='training')\n"
    code += "log.warning('text', rows=3, message='other', level='high')"
    (line,) = map(json.loads, child(code, env=connected).stdout.splitlines())
    expected = {"level": "WARNING", "message": "text", "message_": "other", "level_": "high", "rows": "3",
                "run_type": "training", "step_name": "-c", "logger": "__main__"}  # fmt: skip
    assert {key: line.get(key) for key in expected} == expected


def test_prints(child: Any, received: Any, connected: Any) -> None:
    """Captured prints are recorded once, without an echo on stdout, and log lines are not prints."""
    code = (
        SETUP
        + """
logging.getLogger("before").addHandler(logging.StreamHandler(sys.stdout))
log = amllog.setup(capture="logging,prints")
logging.getLogger("after").addHandler(logging.StreamHandler(sys.stdout))
print("one", 2, end=" "); print("three")
print("two\\nlines\\n")
log.info("ours"); logging.getLogger("before").info("before"); logging.getLogger("after").info("after")
logging.getLogger("plain").info("plain")
sys.stdout.write("written\\n"); sys.stdout.flush()
assert sys.stdout.encoding and sys.stdout.fileno() == 1
"""
    )
    ran = child(code, env=connected)
    assert ran.stderr == ""
    messages = ["one 2 three", "two", "lines", "ours", "before", "after", "plain", "written"]
    assert received().messages == messages
    assert [sum(line.endswith(message) for line in ran.stdout.splitlines()) for message in messages] == [
        1
    ] * 8
    assert received().properties("one 2 three")["logger"] == "print"


def test_notices(child: Any, tmp_path: Path) -> None:
    """Without a connection string, one notice is on the driver log, and all records are kept."""
    ran = child(SETUP + "amllog.setup(); amllog.setup(); log = amllog.setup(); log.info('kept')")
    assert ran.stdout.count("no connection string") == 1
    assert ran.stdout.count("kept") == 1
    assert len([line for file in (tmp_path / ".amllog").glob("*.jsonl") for line in file.open()]) == 2
