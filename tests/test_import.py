"""Tests of `import amllog`: its public names, its cost and its effects."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import amllog

NOT_MEASURED = {"COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": "", "PYTHONDONTWRITEBYTECODE": "1"}


def test_import_is_light_and_does_nothing(child) -> None:
    """`import amllog` loads only structlog and itself, and starts no thread, socket or exit handler."""
    code = Path(__file__).with_name("import_weight.py").read_text(encoding="utf-8")
    answer = child(code, env=NOT_MEASURED)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout) == {}


def test_all_lists_the_public_names() -> None:
    """`amllog.__all__` is sorted and lists all public names."""
    visible = {
        name for name, value in vars(amllog).items() if name[0] != "_" and not isinstance(value, ModuleType)
    }
    assert amllog.__all__ == sorted(visible | {"__version__"} | ({"insights"} & {*amllog.__all__}))


EXPRESSIONS = """
import structlog, sys
count = 0
def watch(frame, event, argument):
    global count
    code = frame.f_code
    if event == "call" and code.co_name == "parse" and frame.f_globals["__name__"] in ("re._parser", "sre_parse"):
        count += 1
sys.setprofile(watch)
import amllog
sys.setprofile(None)
print(count)
"""


def test_import_compiles_few_expressions(child) -> None:
    """`import amllog` compiles none of the expressions that find secrets, which would take a third of its time."""
    answer = child(EXPRESSIONS, env=NOT_MEASURED)
    assert 0 < int(answer.stdout) < 10, answer


FIRST_TEXTS = """
import amllog
from amllog.record.secrets import provider_secrets
log = amllog.setup(capture=())
print("search" in vars(provider_secrets._SIGN))
for number in range(provider_secrets.FIRST_STRINGS + 1):
    log.info(f"read azureml_datastore_{number}")
print("search" in vars(provider_secrets._SIGN))
"""


def test_setup_does_not_compile_the_largest_expression(child) -> None:
    """The expression for all formats of credentials, which takes milliseconds, is compiled after the first messages."""
    answer = child(FIRST_TEXTS, env={**NOT_MEASURED, "AMLLOG_DRIVER_LOG": "none"})
    answers = [line for line in answer.stdout.splitlines() if line in ("True", "False")]
    assert answers == ["False", "True"], answer


READING_SIDE = """
import sys
from amllog import insights
print("connect" in dir(insights), "amllog.insights.connection" in sys.modules)
from amllog.insights import *
print(connect is insights.connect, Insights.__module__, Questions.__module__, Table.__module__)
insights.connected
"""


def test_the_reading_side_is_imported_on_first_use(child) -> None:
    """`import amllog.insights` loads none of its modules. Its public names do, and a wrong name is reported."""
    answer = child(READING_SIDE, env=NOT_MEASURED)
    first, second = answer.stdout.splitlines()
    modules = ("amllog.insights.insights", "amllog.insights.questions", "amllog.insights.query.result")
    assert (first, second) == ("True False", f"True {' '.join(modules)}")
    assert "has no attribute 'connected'" in answer.stderr
