"""The real command line in a process of its own, and a run to ask it about."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RUN = """
import logging
import amllog

log = amllog.setup(step_name="train", experiment_name="digits")
log.info("loaded", rows=1000)
with log.span("fit", fold=3):
    logging.getLogger("library").warning("slow %s", "fold")
for epoch, loss in enumerate([0.5, 0.25]):
    log.metric("loss", loss, step=epoch)
log.metric("odd", float("nan"))
log.event("model registered", version=3)
"""
FAILED = RUN + "raise ValueError('really bad batch')\n"


@pytest.fixture
def cli(child: Any) -> Callable[..., Any]:
    """Runs `amllog …` to its end."""

    def run(*arguments: object, **options: Any) -> Any:
        return child([sys.executable, "-m", "amllog", *map(str, arguments)], **options)

    return run


@pytest.fixture
def asked(cli: Callable[..., Any]) -> Callable[..., Any]:
    """Runs `amllog … --json` and reads its answer."""
    return lambda *arguments, **options: json.loads(cli(*arguments, "--json", **options).stdout)


@pytest.fixture
def good_run(child: Any) -> None:
    """A run that went well, in the journal of the test's folder."""
    assert child(RUN).returncode == 0


@pytest.fixture
def failed_run(child: Any) -> None:
    """A run that ended with an exception."""
    assert child(FAILED).returncode == 1


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """The journal of the test's folder."""
    return tmp_path / ".amllog"
