"""Show the progress of a loop: a bar on a terminal and in a notebook, log lines elsewhere."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from amllog.process import interrupts

T = TypeVar("T")
EVERY_SECONDS = 10.0


def is_interactive() -> bool:
    """Return whether stderr is a terminal or this is a notebook."""
    if type(getattr(sys, "stdout", None)).__module__.startswith("ipykernel"):
        return True
    try:
        return bool(sys.stderr.isatty())
    except (AttributeError, OSError, ValueError) as error:  # None, closed, or not a file
        interrupts.pass_on(error)
        return False


def track(
    items: Iterable[T], description: str, total: int | None, log_line: Callable[[str], None]
) -> Iterable[T]:
    """Iterate over `items` with a bar if it is visible, and with lines otherwise."""
    return bar(items, description, total) if is_interactive() else lines(items, description, total, log_line)


def bar(items: Iterable[T], description: str, total: int | None) -> Iterable[T]:
    """Iterate with tqdm's bar: a widget in notebooks that can show one, and text elsewhere."""
    progress: Iterable[T]
    if "ipykernel" in sys.modules and importlib.util.find_spec("ipywidgets") is not None:
        from tqdm.notebook import tqdm as widget

        progress = widget(items, desc=description, total=total)
    else:  # not tqdm.auto, which warns in a notebook without widgets
        from tqdm import tqdm

        progress = tqdm(items, desc=description, total=total)
    return progress


def lines(
    items: Iterable[T], description: str, total: int | None, log_line: Callable[[str], None]
) -> Iterator[T]:
    """Iterate with a line every ten seconds and one at the end."""
    count = total if total is not None else _length(items)
    began = last = time.monotonic()
    done = 0
    try:
        for item in items:
            yield item
            done += 1
            now = time.monotonic()
            if now - last >= EVERY_SECONDS:
                last = now
                log_line(_sentence(description, done, count, now - began))
    finally:
        log_line(_sentence(description, done, count, time.monotonic() - began))


def _sentence(description: str, done: int, count: int | None, seconds: float) -> str:
    progress = (
        f"{done}" if count is None else f"{done} of {count} ({done / count:.0%})" if count else "0 of 0"
    )
    return (
        f"{description}: {progress}, {done / seconds:.3g}/s"
        if seconds > 0 and done
        else f"{description}: {progress}"
    )


def _length(items: object) -> int | None:
    try:
        return len(items)  # type: ignore[arg-type]  # the guard is for items without a length
    except TypeError as error:
        interrupts.pass_on(error)
        return None
