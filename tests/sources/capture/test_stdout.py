"""Captured prints: a bar is one record, and a line without an end is recorded at the end of the process."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tqdm import tqdm

import amllog

KEY = "-----BEGIN PRIVATE KEY-----\nMIIsecret\n-----END PRIVATE KEY-----\n"
SETUP = "import os, signal, sys, threading, time, amllog\namllog.setup(capture='exceptions,prints', grace_seconds=0)\n"


def prints(folder: Path) -> list[str]:
    """Return the messages of the recorded prints of all journals in a folder."""
    data = [json.loads(line)["data"]["baseData"] for file in folder.glob("*.jsonl") for line in file.open()]
    return [entry["message"] for entry in data if entry.get("properties", {}).get("logger") == "print"]


def draw_tqdm() -> None:
    """Draw a bar on stdout, and lines between its states."""
    for number in tqdm(range(200), file=sys.stdout, mininterval=0, bar_format="{n_fmt}/{total_fmt}"):
        if number == 100:
            tqdm.write("half", file=sys.stdout)


def draw_nested() -> None:
    """Draw two bars. The inner one is deleted at its end."""
    for _ in tqdm(range(3), file=sys.stdout, mininterval=0, bar_format="outer {n_fmt}"):
        for _ in tqdm(range(5), file=sys.stdout, mininterval=0, bar_format="inner {n_fmt}", leave=False):
            pass


def draw_backspaces() -> None:
    """Draw a bar as keras does."""
    for number in range(50):
        state = f"{number + 1}/50 [{'=' * (number // 5)}{'.' * (10 - number // 5)}]"
        sys.stdout.write("\b" * len(state) + "\r" + state)
        sys.stdout.flush()
    print()


def draw_returns() -> None:
    """Draw a bar with print()."""
    for number in range(100):
        print(f"epoch {number} loss {1 / (number + 1):.2f}", end="\r")
    print()


def draw_spinner() -> None:
    """Draw a spinner behind a text."""
    print("loading  ", end="")
    for state in "|/-\\" * 5:
        print(f"\b{state}", end="", flush=True)
    print("\bok")


BARS = {
    "tqdm": (draw_tqdm, ["half", "200/200"]),
    "nested": (draw_nested, ["outer 3"]),
    "backspaces": (draw_backspaces, ["50/50 [=========.]"]),
    "returns": (draw_returns, ["epoch 99 loss 0.01"]),
    "spinner": (draw_spinner, ["loading ok"]),
    "line ends of Windows": (lambda: sys.stdout.write("one\r\ntwo\r\n"), ["one", "two"]),
    "colours": (lambda: print("\x1b[31mred\x1b[0m text"), ["red text"]),
    "dots": (lambda: [print(".", end="") for _ in range(300)] and print(" done"), ["." * 300 + " done"]),
    "several strings": (lambda: sys.stdout.writelines(["a\n", "b", "c\n"]), ["a", "bc"]),
    "a private key": (lambda: print(KEY, end=""), ["***"]),
}


@pytest.mark.parametrize(("draw", "expected"), BARS.values(), ids=BARS)
def test_bars(tmp_path: Path, capsys: Any, draw: Callable[[], object], expected: list[str]) -> None:
    """The record of a bar is its last state, without control characters, and stdout gets each state."""
    amllog.setup(directory=tmp_path / "j", capture="prints")
    draw()
    print("after")
    amllog.flush(0)
    assert prints(tmp_path / "j") == [*expected, "after"]
    assert capsys.readouterr().out.endswith("after\n")


def test_lines_of_handlers_do_not_mix_with_prints(tmp_path: Path, capsys: Any) -> None:
    """A line that a handler of the script writes to stdout is no part of an unfinished print."""
    amllog.setup(directory=tmp_path / "j", capture="logging,prints")
    handler = logging.StreamHandler(sys.stdout)
    logging.getLogger("lib").addHandler(handler)
    try:
        print("Loading ... ", end="")
        logging.getLogger("lib").warning("in between")
        print("done")
    finally:
        logging.getLogger("lib").removeHandler(handler)
    assert prints(tmp_path / "j") == ["Loading ... done"]


ENDS = {
    "the end": "pass",
    "an exception": "1 / 0",
    "sys.exit": "sys.exit(3)",
    "SIGTERM": "os.kill(os.getpid(), signal.SIGTERM); time.sleep(600)",
    "shutdown": "amllog.shutdown(0); os._exit(0)",
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_an_unfinished_line_at_the_end(child: Any, tmp_path: Path, end: str) -> None:
    """A line without an end is recorded at every end of the process, and before its request."""
    child(f"{SETUP}print('first')\nprint('un', end=''); print('finished', end='', flush=True)\n{end}\n")
    (file,) = (tmp_path / ".amllog").glob("*.jsonl")
    assert prints(tmp_path / ".amllog") == ["first", "unfinished"]
    assert json.loads(file.read_text().splitlines()[-1])["data"]["baseType"] == "RequestData"


def test_a_second_setup_continues_a_line(tmp_path: Path, capsys: Any) -> None:
    """The two halves of a line before and after another setup() are one record."""
    for text in ("un", "finished\n"):
        amllog.setup(directory=tmp_path / "j", capture="prints")
        print(text, end="")
    assert prints(tmp_path / "j") == ["unfinished"]


def test_unfinished_lines_of_processes_and_threads(child: Any, tmp_path: Path) -> None:
    """Each forked process and each thread has separate lines, and the last one of each is recorded."""
    child(
        f"{SETUP}print('of the parent', end='')\n"
        "thread = threading.Thread(target=lambda: print('of a thread', end=''))\n"
        "thread.start(); thread.join()\n"
        "import multiprocessing\n"
        "worker = multiprocessing.get_context('fork').Process(target=lambda: print('of a worker', end=''))\n"
        "worker.start(); worker.join()\n"
    )
    assert sorted(prints(tmp_path / ".amllog")) == ["of a thread", "of a worker", "of the parent"]


def test_a_finished_bar_before_an_immediate_end(child: Any, tmp_path: Path) -> None:
    """flush() records a bar whose line has ended. The line that is not finished waits for its end."""
    child(f"{SETUP}print('\\r100%'); print('rest', end=''); amllog.flush(0); os._exit(0)\n")
    assert prints(tmp_path / ".amllog") == ["100%"]


def test_lines_of_ray(child: Any, tmp_path: Path) -> None:
    """Lines of amllog in a worker of Ray are records of the worker, and marks of Ray for its driver are none."""
    lines = [
        "(work pid=17) 2026-11-30T20:13:51.426Z INFO     __main__: recorded in the worker",
        "(Actor(id=1) pid=17, ip=10.0.0.4) printed in the worker",
        "(work pid=17, ip=10.0.0.4) 2026-11-30T20:13:51.426Z CRITICAL a.b: recorded in the worker",
        ":task_name:work",
        "2026-11-30T20:13:51.426Z INFO     __main__: printed by the script",
    ]
    script = f"import types\nsys.modules['ray'] = types.ModuleType('ray')\nfor line in {lines}: print(line)"
    ran = child(SETUP + script, env={"AMLLOG_DIR": str(tmp_path / "logs")})
    assert ran.stdout.splitlines()[-5:] == lines
    assert prints(tmp_path / "logs") == [lines[1], lines[4]]
