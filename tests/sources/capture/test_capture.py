"""The hooks of a session: they call the former hooks, record each event once, and are removed at the end."""

from __future__ import annotations

import functools
import json
import logging
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

import amllog

HOOKS = [(warnings, "_showwarnmsg"), (logging, "basicConfig"), (logging.Logger, "callHandlers"),
         (logging.Logger, "isEnabledFor"), (sys, "stdout"), (sys, "exit"), (sys, "__class__"),
         (threading, "__class__")]  # fmt: skip
UNSEEN = [(sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook"), (warnings, "showwarning")]


def test_hooks_are_removed(tmp_path: Path) -> None:
    """After shutdown(), every hook, the root logger's level and its handlers are as they were."""
    root = logging.getLogger()
    before = [getattr(owner, name) for owner, name in HOOKS], root.level, root.handlers[:]
    unseen = [getattr(owner, name) for owner, name in UNSEEN]
    names = [vars(owner)[name] for owner, name in UNSEEN]
    for _ in range(3):
        amllog.setup(directory=tmp_path / "j", level="DEBUG", capture="logging,warnings,exceptions,prints")
    assert all(getattr(owner, name) is not was for (owner, name), was in zip(HOOKS, before[0]))
    assert [getattr(owner, name) for owner, name in UNSEEN] == unseen
    amllog.shutdown(0)
    assert [vars(owner)[name] for owner, name in UNSEEN] == names
    assert ([getattr(owner, name) for owner, name in HOOKS], root.level, root.handlers) == before


def test_no_level_is_changed(tmp_path: Path) -> None:
    """The level of the root logger is the script's, although amllog records INFO."""
    root = logging.getLogger()
    before = root.level
    amllog.setup(directory=tmp_path / "j")
    assert (root.level, root.isEnabledFor(before - 1)) == (before, False)


@pytest.mark.parametrize("again", [False, True])
def test_hooks_of_a_script_between_two_setups(child: Any, tmp_path: Path, recorded: Any, again: bool) -> None:
    """Each event is recorded once if the script puts hooks over ours and calls setup() again."""
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
    words = [word for _, text in recorded() for word in text.replace(":", " ").split()]
    events = ["printed", "logged", "warned", "unraisable", "threaded", "uncaught"]
    assert {word: words.count(word) for word in events} == dict.fromkeys(events, 1)


def test_hooks_of_others_stay(tmp_path: Path) -> None:
    """A hook that a script has set after setup() is still set after shutdown()."""
    amllog.setup(directory=tmp_path / "j")
    before, mine = sys.excepthook, lambda *_: None
    sys.excepthook = mine
    try:
        amllog.shutdown(0)
        assert sys.excepthook is mine
    finally:
        sys.excepthook = before


def test_hooks_called_after_shutdown(recorded: Any, tmp_path: Path) -> None:
    """A hook of ours that is called after shutdown() records nothing and calls the former hook."""
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
        sys.meta_path[:] = [
            finder for finder in sys.meta_path if not type(finder).__module__.startswith("amllog")
        ]
        logger.warning("taken")
        amllog.shutdown(0)
        logger.warning("not taken")
        logging.basicConfig()
    finally:
        logging.Logger.callHandlers, logging.basicConfig = dispatch, configure  # type: ignore[method-assign]
        logger.removeHandler(ending)
    assert [entry.getMessage() for entry in seen] == ["taken", "not taken"]
    assert recorded() == [("lib", "taken")]


def test_only_listed_sources_are_captured(
    recorded: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the listed sources make records."""
    for sources, expected in (("none", []), ("warnings", ["py.warnings"]), ("logging", ["lib"]), ("prints", ["print"]),
                           ("logging,warnings,prints", ["lib", "print", "py.warnings"])):  # fmt: skip
        amllog.setup(directory=tmp_path / "j", capture=sources)
        before = len(recorded())
        logging.getLogger("lib").warning("logged")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("warned", UserWarning, stacklevel=1)
        print("printed")
        assert sorted(logger for logger, _ in recorded()[before:]) == expected, sources


def test_levels_of_captures(recorded: Any, tmp_path: Path) -> None:
    """Prints and warnings below the level are not recorded."""
    amllog.setup(directory=tmp_path / "j", capture="prints,warnings", level="ERROR")
    print("printed")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("warned", UserWarning, stacklevel=1)
    assert recorded() == []


def test_thread_exceptions(recorded: Any, tmp_path: Path) -> None:
    """An exception that ends a thread is recorded with the name of the thread, SystemExit is not."""
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
    assert [text for logger, text in recorded() if logger == "amllog.uncaught"] == [
        "Uncaught exception in thread worker: boom"
    ]
    assert seen == ["ValueError"] or seen == ["ValueError", "SystemExit"]


def test_stdout_stays_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A captured stdout has the methods and attributes that libraries expect of a file."""
    amllog.setup(directory=tmp_path / "j", capture="prints")
    assert sys.stdout.write("abc\n") == 4
    sys.stdout.writelines(["d\n", "e\n"])
    sys.stdout.flush()
    assert sys.stdout.encoding and not sys.stdout.closed and not sys.stdout.isatty()
    assert [line for line in capsys.readouterr().out.splitlines() if len(line) < 4] == ["abc", "d", "e"]


def test_stack_info(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`stack_info=True` adds the stack as a dimension and below the line on the driver log."""

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


def test_lines_of_the_driver_log_are_in_time_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lines of the driver log are in the order of their times, although a span has the time of its beginning."""
    log = amllog.setup(directory=tmp_path, exporter="none", driver_format="plain", driver_level="DEBUG")
    with log.span("work"):
        time.sleep(0.005)
        log.info("within")
    times = [line[:24] for line in capsys.readouterr().out.splitlines()]
    assert len(times) == 2 and times == sorted(times) and times[0][-1] == "Z"


IGNORED = """
import sys, types
import amllog
sys.unraisablehook = lambda arguments: None  # Python's own one accepts only its own type
amllog.setup()
for message in sys.argv[1:]:
    vars(sys)["unraisablehook"](types.SimpleNamespace(  # the one that Python calls
        exc_type=ValueError, exc_value=ValueError("boom"), exc_traceback=None, err_msg=message, object=None
    ))
"""
MESSAGES = {
    "Exception ignored while calling deallocator <function Leaky.__del__ at 0x7f3e>": "deallocator: Leaky.__del__",
    "Exception ignored while closing generator <generator object batches at 0x7f3e>": "generator: batches",
    "Exception ignored in <__main__.Pool object at 0x7F3E>": "in: __main__.Pool",
    "Exception ignored in the hook": "in the hook",
}


def test_message_of_an_ignored_exception_has_no_address(child: Any, tmp_path: Path, recorded: Any) -> None:
    """The message of an exception that Python ignores has the name of the object, in the form of Python 3.14, too."""
    child(IGNORED, *MESSAGES, env={"AMLLOG_DIR": str(tmp_path / "j")})
    messages = [text for logger, text in recorded() if logger == "amllog.uncaught"]
    assert [text.endswith(f"{end}: boom") for text, end in zip(messages, MESSAGES.values())] == [True] * 4, (
        messages
    )
