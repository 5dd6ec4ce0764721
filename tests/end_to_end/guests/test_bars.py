"""Progress bars of rich, click and alive-progress: captured as prints, and beside log lines on a terminal."""

from __future__ import annotations

import re
from typing import Any

import pytest

SETUP = (
    "import sys, time\nimport amllog\namllog.setup(capture='logging,prints', exporter='none')\n"
    "log = amllog.get_logger('a')\n"
)
SCRIPTS = {
    "track": (
        (
            "from rich.progress import track\n"
            "for i in track(range(4), description='work', auto_refresh=False):\n"
            "    if i in (1, 2): log.info('line %d', i)\n"
        ),
        ["work"],
    ),
    "three tasks": (
        (
            "from rich.progress import Progress\n"
            "with Progress(refresh_per_second=100) as progress:\n"
            "    tasks = [progress.add_task(name, total=4) for name in ('work', 'load', 'save')]\n"
            "    for i in range(4):\n"
            "        for task in tasks: progress.advance(task)\n"
            "        progress.refresh()\n"
            "        if i in (1, 2): log.info('line %d', i)\n"
            "        if i == 2: print('printed')\n"
        ),
        ["printed", "work", "load", "save"],
    ),
    "status": (
        (
            "from rich.console import Console\n"
            "with Console().status('work'):\n"
            "    for i in (1, 2): log.info('line %d', i)\n"
            "print('work')\n"
        ),
        ["work"],
    ),
    "click": (
        (
            "import click\n"
            "with click.progressbar(range(4), label='work') as bar:\n"
            "    for i in bar:\n"
            "        if i in (1, 2): log.info('line %d', i)\n"
        ),
        ["work"],
    ),
    "alive-progress": (
        (
            "from alive_progress import alive_bar\n"
            "with alive_bar(4, title='work', enrich_print=False) as bar:\n"
            "    for i in range(4):\n"
            "        bar()\n"
            "        if i in (1, 2): log.info('line %d', i)\n"
        ),
        ["work"],
    ),
}


@pytest.mark.parametrize(("script", "expected"), SCRIPTS.values(), ids=SCRIPTS)
def test_bars(terminal: Any, journaled: Any, script: str, expected: list[str]) -> None:
    """Each bar is one record of its last state. Each log line is alone on its row, and the bars stay below it."""
    screen = terminal(f"{SETUP}{script}print('after')\n")
    messages = journaled().messages
    assert [message.split(" ")[0] for message in messages if not message.startswith("line")] == [
        *expected,
        "after",
    ]
    assert not re.search(r"[\x00-\x1f]", "".join(messages))
    for number in (1, 2):
        (line,) = [line for line in screen if f"a: line {number}" in line]
        assert re.fullmatch(rf"\d\d:\d\d:\d\d\.\d{{3}} INFO     a: line {number}", line)
    assert screen[-1] == "after"
    assert [line.split(" ")[0] for line in screen][-len(expected) - 1 :] == [*expected, "after"]
