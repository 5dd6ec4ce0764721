"""Hides a stdout that raises from libraries that ask it something while they are imported."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from amllog.interrupts import is_from_signal


@contextmanager
def hidden() -> Iterator[None]:
    """Within the block, a stdout that is closed or otherwise broken is None. It is put back afterwards."""
    stdout = sys.stdout
    try:
        getattr(stdout, "isatty", bool)()
    except Exception as error:  # whatever an odd stream raises: it is the script's, and stays as it is
        if is_from_signal(error):
            raise
        sys.stdout = None
    try:
        yield
    finally:
        if sys.stdout is None:
            sys.stdout = stdout
