"""Write a line on a terminal without breaking a progress bar or an unfinished line.

tqdm keeps a list of its bars. They are erased, and drawn again below the line. rich and alive-progress replace
`sys.stdout`, so that their own code does the same. Of any other bar, nothing is known, not even the column of the
cursor. So as many blanks as a row has columns are written first. If the cursor is in the first column, they fill its
row. Otherwise they wrap, and the line begins in a new row. zsh does the same before its prompt. Nothing of the script
is erased.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from amllog.process import interrupts

LOCK_SECONDS = 0.2  # a thread that a forked child does not have may hold the lock for ever
UNKNOWN_COLUMNS = 80
_WITHOUT_SEQUENCES = ("dumb", "unknown")


@contextlib.contextmanager
def cleared_bars() -> Iterator[None]:
    """Erase the bars of tqdm during the block."""
    kind: Any = getattr(sys.modules.get("tqdm.std"), "tqdm", None)
    if not getattr(kind, "_instances", ()):
        yield
        return
    with contextlib.ExitStack() as locks:
        bars = _shown_bars(kind) if _acquire(kind.get_lock(), locks) else []
        for bar in bars:
            bar.clear(nolock=True)
        try:
            yield
        finally:
            for bar in bars:
                bar.refresh(nolock=True)


def empty_row(stream: Any, terminal: str) -> str:
    """Return the characters that move the cursor to the first column of an empty row. `terminal`: the value of TERM."""
    if terminal in _WITHOUT_SEQUENCES or sys.platform == "win32":
        return ""
    columns = 0
    with interrupts.suppress(OSError, ValueError, AttributeError):
        columns = os.get_terminal_size(stream.fileno()).columns
    return f"{' ' * (columns or UNKNOWN_COLUMNS)}\r\x1b[K"


def _shown_bars(kind: Any) -> list[Any]:
    bars = []
    for bar in list(kind._instances):
        with interrupts.suppress(
            AttributeError, OSError, ValueError
        ):  # a bar that is not complete, or a closed stream
            if hasattr(bar, "start_t") and not bar.disable and bar.fp.isatty():
                bars.append(bar)
    return bars


def _acquire(lock: Any, locks: contextlib.ExitStack) -> bool:
    """Acquire tqdm's lock, which may consist of several. Return whether that was possible."""
    is_acquired: list[bool] = []

    def acquire() -> None:
        for part in getattr(lock, "locks", [lock]):
            is_acquired.append(part.acquire(True, LOCK_SECONDS))
            if not is_acquired[-1]:
                break
            locks.callback(part.release)

    interrupts.call_blocked(acquire)
    return all(is_acquired)
