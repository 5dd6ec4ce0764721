"""The reading side without pandas and pyarrow, which are extras of their own, and without NumPy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

RUN = """
import amllog
log = amllog.setup(step_name="train")
log.info("loaded", rows=7)
log.metric("loss", 0.5, step=1)
log.event("started")
with log.span("work"):
    pass
try:
    1 / 0
except ZeroDivisionError:
    log.exception("failed")
"""
BLOCKED = "import sys\nfor name in {!r}:\n    sys.modules[name] = None\n"
# Each line of stdin is a command. Its result is its exit code, or the exception that the user would see.
COMMANDS = """
from amllog.cli.main import main
for line in sys.argv[1:]:
    try:
        code = main(line.split(" ", 1) if line.startswith("query") else line.split())
    except SystemExit as stop:
        code = stop.code
    print(f"RESULT {line}: {code}", flush=True)
"""
QUESTIONS = """
import inspect
from amllog import insights
from amllog.errors import MissingExtraError
from amllog.insights.questions import Questions
opened = insights.connect()
names = [name for name, method in inspect.getmembers(Questions, inspect.isfunction) if name[0] != "_" and
         not [one for one in list(inspect.signature(method).parameters.values())[1:]
              if one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]]
for name in names:
    table = getattr(opened, name)()
    if hasattr(table, "to_dicts"):
        table.to_dicts(), table.to_json(), repr(table), table._repr_html_()
        print("ANSWERED", name)
opened.metrics().pivot("step", "name", "value")
for name in ("to_pandas", "to_arrow"):
    try:
        getattr(opened.logs(), name)()
    except MissingExtraError as error:
        print(error)
"""


@pytest.fixture
def journal(child: Any) -> None:
    """A run with records of every kind."""
    assert child(RUN).returncode == 0


@pytest.mark.usefixtures("journal")
def test_commands(child: Any) -> None:
    """Each command that reads has its usual exit code, also after compaction to Parquet."""
    commands = [
        "runs", "steps", "logs --json", "errors", "exceptions --csv", "metrics --values", "timeline", "story", "tail",
        "status", "compact --idle 0s", "logs", "metrics --csv", "query traces | summarize n = count() by message",
    ]  # fmt: skip
    ran = child(BLOCKED.format(["pandas", "pyarrow", "polars"]) + COMMANDS, *commands)
    results = dict(re.findall(r"^RESULT (.*): (\w+)$", ran.stdout, re.MULTILINE))
    assert {name: code for name, code in results.items() if code != "0"} == {"errors": "1"}, (
        ran.stdout + ran.stderr
    )
    assert len(results) == len(commands) and "Traceback" not in ran.stderr


@pytest.mark.usefixtures("journal")
def test_questions(child: Any) -> None:
    """Each question works in Python, and the two methods that need a package name their extra."""
    ran = child(BLOCKED.format(["pandas", "pyarrow", "polars"]) + QUESTIONS)
    assert ran.stderr == ""
    assert len(re.findall("^ANSWERED", ran.stdout, re.MULTILINE)) >= 6
    assert "pandas is not installed: pip install 'amllog[pandas]'" in ran.stdout
    assert "pyarrow is not installed: pip install 'amllog[arrow]'" in ran.stdout


@pytest.mark.usefixtures("journal")
def test_free_kql_without_numpy(child: Any) -> None:
    """Free KQL names the extra if NumPy is missing. Other commands do not need it."""
    ran = child(
        BLOCKED.format(["numpy", "pandas", "pyarrow"]) + COMMANDS, "logs", "query traces | take 1", "metrics"
    )
    assert re.findall(r"^RESULT .*: (\w+)$", ran.stdout, re.MULTILINE) == ["0", "2", "0"], ran.stderr
    assert "numpy is not installed: pip install 'amllog[insights]'" in ran.stderr
    assert Path(".amllog").is_dir()
