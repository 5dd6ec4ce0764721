"""Log lines on a terminal: progress bars and unfinished text stay intact. `pyte` shows the screen."""

from __future__ import annotations

import re
from typing import Any

import pytest

SETUP = "import sys\nimport amllog\nlog = amllog.setup(capture={capture!r}, exporter='none')\n"
CAPTURES = ["logging", "logging,prints"]
BARS = {  # a script, and the last lines of the screen
    "tqdm on stderr": (
        (
            "from tqdm import tqdm\n"
            "for i in tqdm(range(10), mininterval=0, bar_format='bar {n_fmt}'):\n"
            "    if i in (3, 6): log.info('line %d', i)\n"
            "print('after')"
        ),
        ["a: line 3", "a: line 6", "bar 10", "after"],
    ),
    "tqdm on stdout": (
        (
            "from tqdm import tqdm\n"
            "for i in tqdm(range(10), mininterval=0, bar_format='bar {n_fmt}', file=sys.stdout):\n"
            "    if i in (3, 6): log.info('line %d', i)\n"
        ),
        ["a: line 3", "a: line 6", "bar 10"],
    ),
    "nested tqdm": (
        (
            "from tqdm import tqdm\n"
            "for i in tqdm(range(2), mininterval=0, bar_format='outer {n_fmt}'):\n"
            "    for j in tqdm(range(4), mininterval=0, bar_format='inner {n_fmt}'):\n"
            "        if j == 2: log.info('line %d', i)\n"
        ),
        ["a: line 0", "inner 4", "a: line 1", "inner 4", "outer 2"],
    ),
    "our bar": (
        "for i in log.progress(range(10), 'scoring'):\n    if i in (3, 6): log.info('line %d', i)\nprint('after')",
        ["a: line 3", "a: line 6", "after"],
    ),
    "a bar of print() with its return at the end": (
        (
            "for i in range(10):\n"
            "    print(f'{i} ' + '=' * 60, end='\\r', flush=True)\n"
            "    if i in (3, 6): log.info('line %d', i)\n"
            "print()"
        ),
        ["a: line 3", "a: line 6", "9 " + "=" * 60],
    ),
    "a bar of print() with its return first": (
        (
            "for i in range(10):\n"
            "    print(f'\\r{i} ' + '=' * 60, end='', flush=True)\n"
            "    if i in (3, 6): log.info('line %d', i)\n"
            "print()"
        ),
        ["3 " + "=" * 60, "a: line 3", "6 " + "=" * 60, "a: line 6", "9 " + "=" * 60],
    ),
    "unfinished text": (
        "print('Loading ... ', end='', flush=True); log.info('in between'); print('done')",
        ["Loading ...", "a: in between", "done"],
    ),
    "a question": (
        "sys.stdout.write('Continue? '); sys.stdout.flush(); log.warning('x'); print('yes')",
        ["Continue?", "a: x", "yes"],
    ),
    "several lines": ("log.info('one'); print('two'); log.info('three')", ["a: one", "two", "a: three"]),
}


def lines(screen: list[str]) -> list[str]:
    """Return the lines of a screen, those of records without time and level."""
    return [re.sub(r"^\S+ (INFO |WARNING ) +", "", line) for line in screen]


@pytest.mark.parametrize("capture", CAPTURES)
@pytest.mark.parametrize(("script", "expected"), BARS.values(), ids=BARS)
def test_log_lines_beside_bars(terminal: Any, capture: str, script: str, expected: list[str]) -> None:
    """Each log line is alone on its row, and the bar is drawn below it."""
    screen = lines(terminal(SETUP.format(capture=capture) + f"log = amllog.get_logger('a')\n{script}\n"))
    shown = [line for line in screen if not line.startswith("scoring")]
    assert shown[-len(expected) :] == expected
    assert sum("bar" in line for line in screen) <= 1


@pytest.mark.parametrize("columns", [0, 20, 300])
def test_terminals_of_any_width(terminal: Any, columns: int) -> None:
    """The text before a line stays, whatever the width is, and also where the terminal reports none."""
    screen = terminal(
        SETUP.format(capture="logging")
        + "print('text', end='', flush=True); amllog.get_logger('a').info('b')\n",
        columns=columns,
    )
    assert [line for line in screen if line.startswith("text")] == ["text"]


@pytest.mark.parametrize("env", [{"AMLLOG_DRIVER_FORMAT": "json"}, {"TERM": "dumb"}])
def test_terminals_without_sequences(terminal: Any, env: dict[str, str]) -> None:
    """JSON lines, and lines on a terminal that understands no sequences, have no characters for it."""
    terminal("import amllog\namllog.setup()\n", env=env)
    assert b"\x1b[K" not in terminal.output


def test_a_lock_that_nobody_releases(terminal: Any) -> None:
    """A forked child without the thread that holds tqdm's lock writes its lines."""
    screen = terminal(
        SETUP.format(capture="logging") + "import os, threading\n"
        "from tqdm import tqdm\n"
        "bar = tqdm(total=3, bar_format='bar {n_fmt}')\n"
        "held, end = threading.Event(), threading.Event()\n"
        "def hold():\n"
        "    with tqdm.get_lock():\n"
        "        held.set(); end.wait()\n"
        "threading.Thread(target=hold).start()\n"
        "held.wait()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    log.info('of the child'); os._exit(0)\n"
        "os.waitpid(pid, 0); end.set()\n"
    )
    assert sum("of the child" in line for line in screen) == 1
