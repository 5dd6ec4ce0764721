"""The unfinished lines of captured prints: of each thread, of a screen with bars, and of a forked child."""

from __future__ import annotations

import os
import threading

import pytest

from amllog.record.log_call import CallSite
from amllog.sources.capture.printed_lines import MAX_WRITERS, PrintedLines

SITE = CallSite("script", "/script.py", 1)
LAST = CallSite("script", "/script.py", 2)


def in_thread(lines: PrintedLines, *texts: str) -> list[str]:
    """Return the lines that are complete when another thread has written these texts."""
    complete: list[str] = []
    thread = threading.Thread(
        target=lambda: complete.extend(line for text in texts for line in lines.write(text, SITE))
    )
    thread.start()
    thread.join()
    return complete


def test_threads_do_not_mix() -> None:
    """The parts of a line belong to the thread that has written them."""
    lines = PrintedLines()
    assert lines.write("Loading ", SITE) == []
    assert in_thread(lines, "other", " thread\n") == ["other thread"]
    assert lines.write("done\nnext", SITE) == ["Loading done"]
    assert lines.end() == [("next", SITE)]


def test_a_bar_of_several_threads() -> None:
    """A library's thread refreshes the bar that the script has drawn. Both belong to one screen."""
    lines = PrintedLines()
    assert lines.write("\r10%", SITE) == []
    assert in_thread(lines, "\r50%", "\r100%") == []
    assert lines.write("\rdone\n", SITE) == []
    assert lines.write("after\n", SITE) == ["done", "after"]
    assert lines.end() == []


def test_plain_lines_beside_a_bar() -> None:
    """Plain lines of another thread are complete at once, although a bar is drawn."""
    lines = PrintedLines()
    lines.write("\r10%", SITE)
    assert in_thread(lines, "plain\n") == ["plain"]
    assert lines.end() == [("10%", SITE)]


def test_a_bar_behind_text() -> None:
    """A bar that begins behind unfinished text is drawn on its line."""
    lines = PrintedLines()
    lines.write("work: ", SITE)
    lines.write("1%\b\b", SITE)
    assert lines.write("2%\n", SITE) + lines.write("after\n", SITE) == ["work: 2%", "after"]


def test_the_last_write_is_the_call_site() -> None:
    """An unfinished line has the call site of its last write."""
    lines = PrintedLines()
    lines.write("un", SITE)
    lines.write("finished", LAST)
    assert lines.end() == [("unfinished", LAST)]


def test_a_finished_bar() -> None:
    """A bar whose line has ended is settled, and one that is drawn is not."""
    lines = PrintedLines()
    lines.write("\r100%\n\r10%", SITE)
    assert lines.settle() == [("100%", SITE)]
    assert lines.settle() == []
    assert lines.end() == [("10%", SITE)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_begins_new_lines() -> None:
    """The unfinished lines belong to the parent."""
    lines = PrintedLines()
    lines.write("un", SITE)
    lines.write("\r50%", SITE)
    pid = os.fork()
    if pid == 0:
        is_new = lines.end() == [] and lines.write("child\n", SITE) == ["child"]
        os._exit(0 if is_new else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert [line for line, _ in lines.end()] == ["50%"]  # it was drawn over "un"


def test_private_keys_are_left_out() -> None:
    """The lines of a private key are not returned, also if the key is not finished or a bar is drawn."""
    key = "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n"
    for text in (key, f"\r1%\n{key}", "-----BEGIN PRIVATE KEY-----\nsecret\nsecret"):
        lines = PrintedLines()
        assert "secret" not in str([*lines.write(text, SITE), *lines.end()])
    assert lines.write("-----END PRIVATE KEY-----\nafter\n", SITE) == ["after"]


def test_the_number_of_writers_is_bounded() -> None:
    """Threads that end without the end of their line do not fill the memory."""
    lines = PrintedLines()
    for _ in range(MAX_WRITERS + 5):
        in_thread(lines, "unfinished")
    assert len(lines.end()) == MAX_WRITERS
