"""The stand-ins of stdout and stderr during one call of a handler."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from amllog.sources.capture.write_probe import StreamPlace, WriteWatch, contained_part


def test_strings_of_this_thread() -> None:
    """What this thread writes is noticed, and what another one writes is not. Both are on the stream."""
    watch = WriteWatch([])
    with contextlib.redirect_stdout(io.StringIO()) as stream:
        watch.begin()
        print("mine")
        sys.stdout.writelines(["a", "b\n"])
        other = threading.Thread(target=print, args=("another",))
        other.start()
        other.join()
        watch.end()
        assert (sys.stdout, "".join(watch.strings)) == (stream, "mine\nab\n")
    assert stream.getvalue() == "mine\nab\nanother\n"
    assert [watch.shows("mine"), watch.shows("another")] == [True, False]


def test_places() -> None:
    """The stream of an attribute is noticed, also if it is binary, and restored."""
    owner = SimpleNamespace(stream=io.BytesIO())
    before = owner.stream
    watch = WriteWatch([StreamPlace(owner, "stream", owner.stream)])
    watch.begin()
    owner.stream.write(b"of an attribute")
    watch.end()
    assert (owner.stream, before.getvalue(), watch.shows("attribute")) == (before, b"of an attribute", True)


def test_a_stand_in_is_transparent() -> None:
    """Handlers compare streams, and use all of their attributes. A stream that is replaced meanwhile stays."""
    with contextlib.redirect_stdout(io.StringIO()) as stream:
        owner = SimpleNamespace(stream=stream)
        watch = WriteWatch([StreamPlace(owner, "stream", stream)])
        watch.begin()
        assert owner.stream is sys.stdout
        assert (sys.stdout == stream, hash(sys.stdout), repr(sys.stdout)) == (
            True,
            hash(stream),
            repr(stream),
        )
        assert (sys.stdout.newlines, list(sys.stdout)) == (None, [])
        owner.stream = None
        sys.stdout = replaced = io.StringIO()
        watch.end()
        assert (owner.stream, sys.stdout) == (None, replaced)


def test_one_thread_at_a_time() -> None:
    """A watch inside another one of the thread is active, and one of another thread is not."""
    outer, inner, other = WriteWatch([]), WriteWatch([]), WriteWatch([])
    with contextlib.redirect_stdout(io.StringIO()) as stream:
        outer.begin()
        thread = threading.Thread(target=lambda: (other.begin(), print("other"), other.end()))
        thread.start()
        thread.join()
        inner.begin()
        print("inner")
        inner.end()
        print("outer")
        outer.end()
        assert sys.stdout is stream
        assert (inner.strings, outer.strings) == (["inner", "\n"], ["outer", "\n"])
        assert [watch.shows("other") for watch in (outer, inner, other)] == [False, False, None]
        later = WriteWatch([])
        later.begin()
        later.end()
        assert (later.is_active, later.shows("outer")) == (True, False)


def test_an_error_of_the_handler_proves_nothing() -> None:
    """logging's report of an error contains the message, but the handler has not shown it."""
    watch = WriteWatch([])
    watch.begin()
    print("--- Logging error ---\nMessage: 'the message'")
    watch.end()
    assert watch.shows("the message") is None


@given(st.text(min_size=1), st.text(), st.text())
def test_a_message_is_found(message: str, before: str, after: str) -> None:
    """A text with the message contains it."""
    assert contained_part(f"{before} {message} {after}", message) >= 0.5


@given(st.text(alphabet="abcdefgh ", min_size=1), st.text(alphabet="XYZ019 \n"))
def test_another_text(message: str, text: str) -> None:
    """A text without a word of the message does not contain it."""
    assert not message.strip() or contained_part(text, message) < 0.5


@pytest.mark.parametrize(
    ("text", "message", "contains"),
    [
        ('{"message": "caf\\u00e9 open"}', "café open", True),
        ("na?ve", "naïve", True),
        ("début", "naïve", False),
        ("the first line of\n   a long message", "the first line of a long message", True),
        ("the first li", "the first line of a long message", False),
        ("---", "---", True),
        ("anything", "", True),
        ("THE FIRST LINE", "the first line", True),
        ("INFO alert", "[bold red]alert[/] [/bold red]", True),
        ("nothing of it", "[alert]", False),
    ],
)
def test_forms_of_consoles(text: Any, message: str, contains: bool) -> None:
    """Wrapped and escaped messages are found. Less than half of the words is not enough."""
    assert (contained_part(text, message) >= 0.5) is contains
