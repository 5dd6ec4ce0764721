"""The pager, the progress of queries and Ctrl-C, on a terminal."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from .conftest import run_on_terminal  # isort: skip

# A child process runs a query that takes minutes, because Ctrl-C is for the main thread of a process.
SLOW_QUERY = """
import contextlib, sys
from amllog.cli import main, pager, query_commands
from amllog.insights.stores.local.duckdb_engine import Engine
with contextlib.suppress(ImportError):
    import duckdb  # the query is to be interrupted, and not this import
engine = Engine()
class SlowStore:
    def query(self, kql):
        return engine.CALL
query_commands.run = lambda options, environ: pager.ProgressStore(SlowStore()).query("")
sys.exit(main.main(["query", "x"]))
"""
SLOW_SQL = "run('SELECT sum(a.range + b.range) FROM range(10000000) a, range(10000000) b')"
SLOW_KQL = (
    "run_kql('range a from 1 to 5000000 step 1 | extend k = 1 | join kind=inner "
    "(range b from 1 to 5000000 step 1 | extend k = 1) on k | summarize sum(a + b)', '', dialects=())"
)
needs_kql = pytest.mark.skipif(not importlib.util.find_spec("duckdb"), reason="needs DuckDB")
CLEAR_LINE = "\r\x1b[K"


# Queries of a store that answers after its progress is shown. The terminal gets stdout and stderr.
LONG_QUERY = """
import contextlib, io, threading
from amllog.cli import pager
from amllog.errors import UsageError
from amllog.insights.questions import Questions
from amllog.insights.stores import Unasked

shown = threading.Event()

class Terminal(io.StringIO):
    def isatty(self):
        return True

    def write(self, text):
        if "reading" in text:
            shown.set()
        return super().write(text)

class SlowStore(Unasked):
    def answer(self, query):
        wait_for_progress()
        return super().answer(query)

    def query(self, kql):
        wait_for_progress()
        return super().query(kql)

def wait_for_progress():
    shown.clear()
    shown.wait(600)
    pager.PROGRESS_SECONDS = 600  # a busy machine may take long to remove the progress

pager.PROGRESS_SECONDS = 0.05
terminal, questions = Terminal(), Questions(pager.ProgressStore(SlowStore()))
with contextlib.redirect_stderr(terminal):
    print(len(questions.logs()), file=terminal)
    pager.PROGRESS_SECONDS = 0.05
    try:
        questions.store.query("x")
    except UsageError as error:
        print(error, file=terminal)
print(repr(terminal.getvalue()))
"""


@pytest.mark.usefixtures("failed_run")
def test_a_terminal_gets_colour_and_a_pager(tmp_path: Path) -> None:
    """On a terminal, output is coloured and goes through $PAGER, unless NO_COLOR is set."""
    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\necho through the pager\nexec cat\n")
    pager.chmod(0o755)
    output, _ = run_on_terminal("logs", env={"PAGER": str(pager), "TERM": "xterm"})
    assert "through the pager" in output and "\x1b[1;31mCRITICAL\x1b[0m" in output
    output, _ = run_on_terminal("logs", env={"PAGER": "cat", "NO_COLOR": "1", "TERM": "xterm"})
    assert "through the pager" not in output and "\x1b[" not in output and "slow fold" in output
    output, code = run_on_terminal("logs", env={"PAGER": '"'})
    assert "PAGER='\"': a command such as less" in output and code == 2


@pytest.mark.usefixtures("failed_run")
def test_notices_are_printed_after_the_pager(tmp_path: Path, journal: Path) -> None:
    """Notices are printed after the pager has ended, and the exit code is kept if the user leaves the pager early."""
    torn = next(journal.glob("*.jsonl"))
    torn.write_bytes(torn.read_bytes() + b'{"time":')
    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\nhead -n 1\nsleep 0.2\necho the pager ends\n")
    pager.chmod(0o755)
    output, code = run_on_terminal("errors", env={"PAGER": str(pager), "TERM": "xterm"})
    end = output.index("the pager ends")
    assert output.index("amllog: run ") < end < output.index("1 line could not be read")
    assert code == 1


@pytest.mark.parametrize("call", [SLOW_SQL, pytest.param(SLOW_KQL, marks=needs_kql)], ids=["sql", "kql"])
def test_ctrl_c_ends_a_query(call: str) -> None:
    """Ctrl-C ends a join of DuckDB with exit code 130, also on a terminal."""
    master, slave = pty.openpty()
    command = [sys.executable, "-c", SLOW_QUERY.replace("CALL", call)]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    limit = threading.Timer(600, process.kill)
    limit.start()
    output = b""
    with contextlib.suppress(OSError):  # on Linux, the end of the output is an error
        while piece := os.read(master, 65536):
            if b"reading" in piece and b"reading" not in output:
                process.send_signal(signal.SIGINT)
                process.send_signal(signal.SIGINT)  # a user who presses Ctrl-C twice
            output += piece
    os.close(master)
    code = process.wait(600)
    limit.cancel()
    assert code == 130, output


# The interrupt of a statement has no time here, so the statement ends while Python ends.
ENDS_LATE = """
import os, signal, sys, threading, time
import duckdb  # the query is to be interrupted, and not this import
from amllog.cli import main, query_commands
from amllog.insights.stores.local import duckdb_connection, temporary_directory
from amllog.insights.stores.local.duckdb_engine import Engine

duckdb_connection.INTERRUPT_SECONDS = 0
engine = Engine()
class LastObject:
    def __del__(self, engine=engine, sleep=time.sleep):
        engine._sandbox._database.connection.interrupt()
        sleep(3)
def interrupt():
    while not duckdb_connection.is_statement_running():
        time.sleep(0.01)
    time.sleep(1)  # a short statement may run before the long one
    os.kill(os.getpid(), signal.SIGINT)
def run(options, environ):
    threading.Thread(target=interrupt).start()
    return engine.CALL
query_commands.run, last = run, LastObject()
print(temporary_directory.process_directory())
sys.exit(main.main(["query", "x"]))
"""


@needs_kql
def test_a_statement_that_ends_after_python(child: Any) -> None:
    """A command whose statement cannot be interrupted ends with its exit code and deletes its directory."""
    ran = child(ENDS_LATE.replace("CALL", SLOW_KQL))
    assert ran.returncode == 130 and ran.stderr == "", ran
    assert not Path(ran.stdout.strip()).exists()


def test_long_queries_show_progress(child: Any) -> None:
    """Progress is shown on a terminal during a long query, and removed before the answer or the error is printed."""
    ran = child(LONG_QUERY)
    answer, error, _ = ast.literal_eval(ran.stdout).split("\n")
    assert all(line.startswith(f"{CLEAR_LINE}amllog: reading, ") for line in (answer, error)), ran.stderr
    assert answer.endswith(f"{CLEAR_LINE}0")
    assert f"{CLEAR_LINE}free KQL needs a store" in error
