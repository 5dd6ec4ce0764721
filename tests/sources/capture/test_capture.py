"""Python's own hooks: what was there before goes on, and comes back."""

from __future__ import annotations

import copy
import functools
import json
import logging
import pickle
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

import amllog


@pytest.fixture
def said(tmp_path: Path) -> Any:
    """What the journal has: (logger, message) of each record."""

    def read() -> list[tuple[str, str]]:
        found = []
        for file in (tmp_path / "j").glob("*.jsonl"):
            for line in file.open():
                data = json.loads(line)["data"]["baseData"]
                text = data.get("message") or data.get("exceptions", [{}])[0].get("message", "")
                found.append((data["properties"]["logger"], text))
        return [one for one in found if one[1]]

    return read


HOOKS = [(sys, "excepthook"), (threading, "excepthook"), (warnings, "showwarning"), (logging, "basicConfig"),
         (logging.Logger, "callHandlers"), (sys, "stdout"), (sys, "exit"), (sys, "unraisablehook")]  # fmt: skip


def test_given_back(tmp_path: Path) -> None:
    """After shutdown(), every hook, the root logger's level and its handlers are as they were."""
    root = logging.getLogger()
    before = [getattr(owner, name) for owner, name in HOOKS], root.level, root.handlers[:]
    for _ in range(3):
        amllog.setup(directory=tmp_path / "j", level="DEBUG", capture="logging,warnings,exceptions,prints")
    assert [getattr(owner, name) for owner, name in HOOKS] != before[0]
    amllog.shutdown(0)
    assert ([getattr(owner, name) for owner, name in HOOKS], root.level, root.handlers) == before


def test_a_copy_of_the_level_is_a_number(tmp_path: Path) -> None:
    """What a script reads as the root logger's level can be written, copied and sent to other processes."""
    amllog.setup(directory=tmp_path / "j")
    level = logging.getLogger().level
    assert (repr(level), f"{level:d}", json.dumps(level), level == 20) == ("20", "20", "20", True)
    assert {type(copy.copy(level)), type(copy.deepcopy(level)), type(pickle.loads(pickle.dumps(level)))} == {
        int
    }


@pytest.mark.parametrize("again", [False, True])
def test_hooks_between_two_of_ours(child: Any, tmp_path: Path, said: Any, again: bool) -> None:
    """Hooks that the script puts over ours, and ours over them with another setup(): each event is recorded once."""
    code = """
import sys, threading, warnings
import amllog
def setup():
    return amllog.setup(directory="j", capture="warnings,exceptions,prints")
class Stream:
    def write(self, text): return stdout.write(text)
    def flush(self): stdout.flush()
class Failing:
    def __del__(self): raise ValueError("unraisable")
setup()
stdout, sys.stdout = sys.stdout, Stream()
main, sys.excepthook = sys.excepthook, lambda *args: main(*args)
thread, threading.excepthook = threading.excepthook, lambda args: thread(args)
unraisable, sys.unraisablehook = sys.unraisablehook, lambda args: unraisable(args)
warn, warnings.showwarning = warnings.showwarning, lambda *args: warn(*args)
AGAIN
log = setup()
print("printed"); log.info("logged"); warnings.warn("warned"); Failing()
failing = threading.Thread(target=exec, args=("raise ValueError('threaded')",)); failing.start(); failing.join()
raise ValueError("uncaught")
"""
    child(code.replace("AGAIN", "amllog.shutdown()" if again else ""))
    words = [word for _, text in said() for word in text.replace(":", " ").split()]
    events = ["printed", "logged", "warned", "unraisable", "threaded", "uncaught"]
    assert {word: words.count(word) for word in events} == dict.fromkeys(events, 1)


def test_hooks_of_others_stay(tmp_path: Path) -> None:
    """A hook that somebody put over ours is not taken away."""
    amllog.setup(directory=tmp_path / "j")
    ours, mine = sys.excepthook, lambda *_: None
    sys.excepthook = mine
    amllog.shutdown(0)
    assert sys.excepthook is mine
    sys.excepthook = sys.__excepthook__
    assert ours is not mine


def test_hooks_below_those_of_others(said: Any, tmp_path: Path) -> None:
    """Where somebody's hook calls ours after shutdown(), ours takes nothing and goes on as ever."""
    dispatch, configure = logging.Logger.callHandlers, logging.basicConfig
    seen: list[logging.LogRecord] = []
    ending = logging.Handler()
    ending.emit = seen.append  # type: ignore[method-assign]
    logger = logging.getLogger("lib")
    logger.addHandler(ending)
    try:
        amllog.setup(directory=tmp_path / "j")
        ours, ours_too = logging.Logger.callHandlers, logging.basicConfig

        def theirs(logger: logging.Logger, entry: logging.LogRecord) -> None:
            ours(logger, entry)

        logging.Logger.callHandlers = theirs  # type: ignore[method-assign]
        logging.basicConfig = functools.partial(ours_too)
        sys.meta_path[:] = [one for one in sys.meta_path if not type(one).__module__.startswith("amllog")]
        logger.warning("taken")
        amllog.shutdown(0)
        logger.warning("not taken")
        logging.basicConfig()
    finally:
        logging.Logger.callHandlers, logging.basicConfig = dispatch, configure  # type: ignore[method-assign]
        logger.removeHandler(ending)
    assert [entry.getMessage() for entry in seen] == ["taken", "not taken"]
    assert said() == [("lib", "taken")]


def test_what_is_captured(said: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only what is listed makes records."""
    for what, expected in (("none", []), ("warnings", ["py.warnings"]), ("logging", ["lib"]), ("prints", ["print"]),
                           ("logging,warnings,prints", ["lib", "print", "py.warnings"])):  # fmt: skip
        amllog.setup(directory=tmp_path / "j", capture=what)
        before = len(said())
        logging.getLogger("lib").warning("logged")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("warned", UserWarning, stacklevel=1)
        print("printed")
        assert sorted(logger for logger, _ in said()[before:]) == expected, what


def test_levels_of_captures(said: Any, tmp_path: Path) -> None:
    """Prints and warnings have levels like everything else."""
    amllog.setup(directory=tmp_path / "j", capture="prints,warnings", level="ERROR")
    print("printed")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("warned", UserWarning, stacklevel=1)
    assert said() == []


def test_thread_exceptions(said: Any, tmp_path: Path) -> None:
    """An exception that ends a thread is told with the thread's name; SystemExit is no failure."""
    seen: list[str] = []
    before, threading.excepthook = threading.excepthook, lambda args: seen.append(args.exc_type.__name__)
    try:
        amllog.setup(directory=tmp_path / "j")

        def fail() -> None:
            raise ValueError("boom")

        for work in (fail, lambda: sys.exit(1)):
            thread = threading.Thread(target=work, name="worker")
            thread.start()
            thread.join()
    finally:
        amllog.shutdown(0)
        threading.excepthook = before
    assert [text for logger, text in said() if logger == "amllog.uncaught"] == [
        "Uncaught exception in thread worker: boom"
    ]
    assert seen == ["ValueError"] or seen == ["ValueError", "SystemExit"]


def test_stdout_stays_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Captured stdout is still what libraries expect of a file."""
    amllog.setup(directory=tmp_path / "j", capture="prints")
    assert sys.stdout.write("abc\n") == 4
    sys.stdout.writelines(["d\n", "e\n"])
    sys.stdout.flush()
    assert sys.stdout.encoding and not sys.stdout.closed and not sys.stdout.isatty()
    assert [one for one in capsys.readouterr().out.splitlines() if len(one) < 4] == ["abc", "d", "e"]


def test_the_stack_of_a_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`stack_info=True` is a dimension, and below its line on the driver log; anything else under it is a value."""

    def here() -> None:
        amllog.get_logger("l").info("ours", stack_info=True)
        logging.getLogger("s").warning("theirs", stack_info=True)

    amllog.setup(directory=tmp_path, exporter="none", driver_format="plain")
    here()
    amllog.get_logger("l").info("mine", stack_info="a text")
    (file,) = tmp_path.glob("*.jsonl")
    lines = [json.loads(line)["data"]["baseData"]["properties"] for line in file.read_bytes().splitlines()]
    for stack in (lines[0]["stack_info"], lines[1]["stack_info"]):
        assert stack.startswith("Stack (most recent call last):\n")
        assert stack.split("\n")[-2].endswith("in here")
    assert lines[2]["stack_info"] == "a text"
    shown = capsys.readouterr().out
    assert shown.count("\n    Stack (most recent call last):\n      File ") == 2
    assert shown.endswith('mine  stack_info="a text"\n')


def test_an_end_is_told_when_it_happens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The driver log's lines are in the order of their times, also where a record's own time is its beginning."""
    log = amllog.setup(directory=tmp_path, exporter="none", driver_format="plain", driver_level="DEBUG")
    with log.span("work"):
        time.sleep(0.005)
        log.info("within")
    times = [line[:24] for line in capsys.readouterr().out.splitlines()]
    assert len(times) == 2 and times == sorted(times) and times[0][-1] == "Z"
