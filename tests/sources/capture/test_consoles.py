"""Each record is on the driver log once, whatever the handlers of the script are."""

from __future__ import annotations

import codecs
import contextlib
import io
import logging
import logging.handlers
import os
import queue
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import amllog


class Printing(logging.Handler):
    """A handler that looks up stdout."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record."""
        print(self.format(record))


class Binary(logging.Handler):
    """A handler that writes bytes."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write to the stream that `stream` holds."""
        self.stream.write(f"{self.format(record)}\n".encode())
        self.stream.flush()

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self.stream = stream


class Chosen(logging.StreamHandler):  # type: ignore[type-arg]
    """A handler that shows only records of one level."""

    def emit(self, record: logging.LogRecord) -> None:
        """Show WARNING."""
        if record.levelno == logging.WARNING:
            super().emit(record)


class OfOneLogger(Printing):
    """A handler that shows only records of one logger."""

    def emit(self, record: logging.LogRecord) -> None:
        """Show the records of `guest`."""
        if record.name == "guest":
            super().emit(record)


class ByLevel(logging.Handler):
    """A handler that chooses the stream by the level."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print errors on stderr."""
        print(self.format(record), file=sys.stderr if record.levelno >= 40 else sys.stdout)


class Inner(logging.Handler):
    """A handler that passes records to another one."""

    def __init__(self, inner: logging.Handler) -> None:
        super().__init__()
        self.inner = [inner]

    def emit(self, record: logging.LogRecord) -> None:
        """Pass the record on."""
        for handler in self.inner:
            handler.handle(record)


class Threaded(logging.Handler):
    """A handler that writes in a thread of its own."""

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self.stream, self.waiting = stream, queue.Queue()  # type: ignore[var-annotated]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Pass the line to the thread, and wait for it as a flush would."""
        self.waiting.put(self.format(record))
        self.waiting.join()

    def run(self) -> None:
        """Write lines."""
        while True:
            self.stream.write(f"{self.waiting.get()}\n")
            self.stream.flush()
            self.waiting.task_done()


class Lazy(Printing):
    """A handler that keeps the stream of its first record."""

    def __init__(self, stream: Any = None) -> None:
        super().__init__()
        self.stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record on the kept stream."""
        self.stream = self.stream or sys.stdout
        print(self.format(record), file=self.stream)


class Wrapper:
    """A stream of a script that writes to two streams."""

    def __init__(self, *streams: Any) -> None:
        self.streams = streams

    def write(self, string: str) -> None:
        """Write to both."""
        for stream in self.streams:
            stream.write(string)

    def flush(self) -> None:
        """Flush both."""
        for stream in self.streams:
            stream.flush()


class Proxy:
    """A stream that passes everything on."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Coloured(logging.Formatter):
    """A formatter that puts codes inside the words."""

    def format(self, record: logging.LogRecord) -> str:
        """Colour each letter."""
        return "".join(f"\x1b[3{index % 8}m{letter}" for index, letter in enumerate(super().format(record)))


def opened(file: Any, mode: str = "w", **options: Any) -> Any:
    """Return an open file that a handler keeps."""
    return open(file, mode, **options)


def stream_handler(stream: Any, kind: type[Any] = logging.StreamHandler, **options: Any) -> logging.Handler:
    """Return a handler with a filter, a formatter or a level."""
    handler: logging.Handler = kind(stream)
    if "filter" in options:
        handler.addFilter(options["filter"])
    if "formatter" in options:
        handler.setFormatter(options["formatter"])
    handler.setLevel(options.get("level", 0))
    return handler


def listened(handler: logging.Handler, respect: bool = False) -> logging.Handler:
    """Return a QueueHandler with a listener."""
    waiting: Any = queue.Queue()
    listener = logging.handlers.QueueListener(waiting, handler, respect_handler_level=respect)
    listener.start()
    LISTENERS.append(listener)
    return logging.handlers.QueueHandler(waiting)


def buffered(handler: logging.Handler | None) -> logging.Handler:
    """Return a MemoryHandler that is flushed at the end."""
    memory = logging.handlers.MemoryHandler(100, flushLevel=99, target=handler)
    BUFFERS.append(memory)
    return memory


LISTENERS: list[Any] = []
BUFFERS: list[Any] = []
FILE = "own.log"
HANDLERS: dict[str, Callable[[], logging.Handler]] = {
    "stderr": logging.StreamHandler,
    "stdout": lambda: logging.StreamHandler(sys.stdout),
    "a subclass": lambda: type("Own", (logging.StreamHandler,), {})(sys.stdout),
    "a subclass with its own emit": lambda: Chosen(sys.stdout),
    "print": Printing,
    "print of one logger": OfOneLogger,
    "print by level": ByLevel,
    "print of a closed level": lambda: stream_handler(None, lambda _: Printing(), level=logging.ERROR),
    "print that a filter rejects": lambda: stream_handler(None, lambda _: Printing(), filter=lambda _: False),
    "a filter": lambda: stream_handler(sys.stdout, filter=lambda entry: "two" in entry.getMessage()),
    "a level": lambda: stream_handler(sys.stdout, level=logging.ERROR),
    "colours": lambda: stream_handler(sys.stdout, formatter=Coloured()),
    "colours by print": lambda: stream_handler(None, lambda _: Printing(), formatter=Coloured()),
    "bytes": lambda: Binary(sys.stdout.buffer),
    "another buffer of stdout": lambda: logging.StreamHandler(
        io.TextIOWrapper(opened(1, "wb", closefd=False))
    ),
    "the descriptor": lambda: logging.StreamHandler(opened(2, "w", closefd=False)),
    "a copy of the descriptor": lambda: logging.StreamHandler(opened(os.dup(1), "w")),
    "a codec": lambda: logging.StreamHandler(codecs.getwriter("utf-8")(sys.stdout.buffer)),
    "a path": lambda: logging.FileHandler("/dev/stdout"),
    "a path that is opened later": lambda: logging.FileHandler("/dev/stderr", delay=True),
    "a stream that copies": lambda: logging.StreamHandler(Wrapper(sys.stdout, opened(FILE, "w"))),
    "a stream that copies by print": lambda: stream_handler(Wrapper(sys.stdout), Lazy),
    "a proxy": lambda: logging.StreamHandler(Proxy(sys.stdout)),
    "a handler in a handler": lambda: Inner(logging.StreamHandler()),
    "a file in a handler": lambda: Inner(logging.FileHandler(FILE)),
    "a thread": lambda: Threaded(sys.stderr),
    "a thread with a file": lambda: Threaded(opened(FILE, "w")),
    "a stream that is kept": Lazy,
    "a listener": lambda: listened(logging.StreamHandler()),
    "a listener of print": lambda: listened(Printing()),
    "a listener of a file": lambda: listened(logging.FileHandler(FILE)),
    "a listener of a level": lambda: listened(stream_handler(sys.stdout, level=logging.ERROR), respect=True),
    "a listener of a buffer": lambda: listened(buffered(logging.StreamHandler())),
    "a queue without a listener": lambda: logging.handlers.QueueHandler(queue.Queue()),
    "a buffer": lambda: buffered(logging.StreamHandler()),
    "a buffer of a file": lambda: buffered(logging.FileHandler(FILE)),
    "a buffer of nothing": lambda: buffered(None),
    "a file": lambda: logging.FileHandler(FILE),
    "a rotating file": lambda: logging.handlers.RotatingFileHandler(FILE, maxBytes=10, backupCount=9),
    "a string": lambda: logging.StreamHandler(io.StringIO()),
    "devnull": lambda: logging.StreamHandler(opened(os.devnull, "w")),
    "a null handler": logging.NullHandler,
}


@pytest.fixture
def guest(tmp_path: Path, received: Any) -> Iterator[logging.Logger]:
    """Return a logger of a script after setup(), without the handlers of pytest."""
    root = logging.getLogger()
    before, root.handlers[:] = root.handlers[:], []
    amllog.setup(directory=tmp_path / "j", capture="logging", driver_format="plain")
    yield logging.getLogger("guest")
    amllog.shutdown(0)
    root.handlers[:] = before
    LISTENERS.clear()
    BUFFERS.clear()


def end_handlers() -> None:
    """Wait for the threads of listeners, and flush the buffers."""
    for listener in LISTENERS:
        listener.stop()
    for memory in BUFFERS:
        memory.flush()


@pytest.mark.parametrize("kind", HANDLERS)
def test_each_line_is_shown_once(guest: logging.Logger, capfd: Any, kind: str) -> None:
    """With any handler, each record is on stdout or stderr once, also records of other levels and loggers."""
    handler = HANDLERS[kind]()
    guest.addHandler(handler)
    capfd.readouterr()
    try:
        guest.warning("begin one %s", "end")
        guest.error("begin two end")
        logging.getLogger("guest.other").warning("begin three end")
        guest.warning("begin four end")
    finally:
        end_handlers()
        guest.removeHandler(handler)
    captured = capfd.readouterr()
    output = re.sub(r"\x1b\[\d+m", "", captured.out + captured.err)
    expected = dict.fromkeys(("one", "two", "three", "four"), 1)
    assert {message: output.count(f"begin {message} end") for message in expected} == expected, output
    assert "Logging error" not in output
    assert [value for value in vars(handler).values() if type(value).__module__.startswith("amllog.")] == []


def test_a_filter_behind_a_listener(guest: logging.Logger, capfd: Any) -> None:
    """A filter that is called later, in another thread, hides no line. What it accepts is shown twice."""
    console = stream_handler(sys.stdout, filter=lambda entry: "accepted" in entry.getMessage())
    guest.addHandler(listened(console))
    capfd.readouterr()
    guest.warning("rejected")
    guest.warning("accepted")
    end_handlers()
    guest.handlers.clear()
    output = capfd.readouterr().out
    assert (output.count("rejected"), output.count("accepted")) == (1, 2)


class NoLock(contextlib.nullcontext):
    """A lock that everybody gets."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def test_a_part_of_a_message_proves_nothing(guest: logging.Logger, capfd: Any) -> None:
    """A handler that writes few words of its first record is watched again, and its next line is not repeated."""

    class Shortening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            print(record.getMessage().partition("|")[0])

    guest.addHandler(Shortening())
    capfd.readouterr()
    guest.warning("begin | of a message with many words that are not written")
    guest.warning("a whole message")
    guest.handlers.clear()
    output = capfd.readouterr().out
    assert (output.count("begin"), output.count("a whole message")) == (2, 1)


def test_another_thread_is_watched(guest: logging.Logger, capfd: Any) -> None:
    """While a handler is watched in one thread, records of others are shown, at most twice."""
    inside, leave = threading.Event(), threading.Event()

    class Waiting(Printing):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name == "guest.waiting":
                inside.set()
                leave.wait(600)
            super().emit(record)

        def createLock(self) -> None:  # noqa: N802  # a method of logging
            """Let two threads into the handler at once."""
            self.lock = NoLock()

    guest.addHandler(Waiting())
    thread = threading.Thread(target=logging.getLogger("guest.waiting").warning, args=("of the thread",))
    thread.start()
    inside.wait(600)
    guest.warning("meanwhile")
    leave.set()
    thread.join()
    guest.warning("later")
    guest.handlers.clear()
    output = capfd.readouterr().out
    assert [output.count(text) for text in ("of the thread", "meanwhile", "later")] == [1, 2, 1]
    assert not type(sys.stdout).__module__.startswith("amllog.")


def test_a_hook_below_ours(tmp_path: Path, received: Any, capfd: Any) -> None:
    """If the hook of another library calls the handlers, consoles with filters and unknown ones are recognized."""
    root, before = logging.getLogger(), logging.Logger.callHandlers
    handlers, root.handlers[:] = root.handlers[:], []

    def hook(logger: logging.Logger, entry: logging.LogRecord) -> None:
        before(logger, entry)

    logging.Logger.callHandlers = hook  # type: ignore[method-assign]
    amllog.setup(directory=tmp_path / "j", capture="logging")
    guest = logging.getLogger("guest")
    capfd.readouterr()
    kinds = [
        stream_handler(sys.stdout, filter=lambda entry: "two" in entry.getMessage()),
        stream_handler(sys.stdout, filter=lambda entry: True),
        stream_handler(sys.stdout),
        Printing(),
        Chosen(sys.stdout),
        logging.FileHandler(FILE),
    ]
    for handler in kinds:
        guest.addHandler(handler)
        for message in ("begin one end", "begin two end"):
            guest.error(message)
        output = capfd.readouterr().out
        assert [output.count(f"begin {number} end") for number in ("one", "two")] == [1, 1], handler
        guest.removeHandler(handler)
    amllog.shutdown(0)
    root.handlers[:] = handlers


def test_objects_that_compute_attributes(guest: logging.Logger, capfd: Any) -> None:
    """Proxies in the attributes of a handler, which raise an exception outside their context, are not called."""

    class Proxied:
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError("outside of the context")

    handler = Printing()
    vars(handler).update(proxy=Proxied(), proxies=[Proxied()], stream=Proxied())
    guest.addHandler(handler)
    guest.warning("shown once")
    guest.handlers.clear()
    assert capfd.readouterr().out.count("shown once") == 1
