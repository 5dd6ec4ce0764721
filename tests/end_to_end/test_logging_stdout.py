"""A stdout that logs: lines of the driver log that it returns are not recorded, and no loop occurs."""

from __future__ import annotations

from typing import Any

import pytest

LOGGING_STDOUT = """
import logging, sys
import amllog
{configured}
class Stream:
    def write(self, text):
        for line in text.rstrip().splitlines():
            logging.getLogger("STDOUT").info({logged})
        return len(text)
    def flush(self):
        pass
{order}
print("printed")
logging.getLogger("lib").info("of a library")
log.info("of the script")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("failed")
amllog.shutdown()
"""
FILE = 'logging.basicConfig(filename="out.log", level=logging.INFO)'
BEFORE = "sys.stdout = Stream(); log = amllog.setup(driver_format={form!r})"
AFTER = "log = amllog.setup(driver_format={form!r}); sys.stdout = Stream()"


@pytest.mark.parametrize("form", ["plain", "json", "console"])
@pytest.mark.parametrize("order", [BEFORE, AFTER], ids=["before setup", "after setup"])
@pytest.mark.parametrize("configured", [FILE, ""], ids=["a file", "no handler"])
def test_a_stdout_that_logs(child: Any, journaled: Any, form: str, order: str, configured: str) -> None:
    """If each line of stdout becomes a log record, each record is recorded and written once."""
    ran = child(LOGGING_STDOUT.format(configured=configured, logged="line", order=order.format(form=form)))
    assert ran.returncode == 0, ran.stderr
    assert sorted(journaled().messages) == ["of a library", "of the script", "printed"]
    assert len(journaled().of_type("Exception")) == 1


@pytest.mark.parametrize("logged", ["line[::-1]", "f'{len(line)}'"])
def test_a_stdout_that_logs_something_else(child: Any, journaled: Any, logged: str) -> None:
    """A stdout that changes its lines adds a bounded number of records."""
    ran = child(LOGGING_STDOUT.format(configured=FILE, logged=logged, order=AFTER.format(form="plain")))
    assert ran.returncode == 0, ran.stderr
    messages = journaled().messages
    assert {"of a library", "of the script"} <= set(messages)
    assert len(messages) < 60
