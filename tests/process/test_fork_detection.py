"""The detection of a fork, by Python and by C code."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

import pytest

from amllog.process import fork_detection

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


# PyDLL keeps the GIL. Without it, the child would wait for a GIL whose owner, another thread, does not exist there.
@pytest.mark.parametrize("fork", [os.fork, lambda: ctypes.PyDLL(None).fork()])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_page(fork: Callable[[], int]) -> None:
    """The page is 1 in its process and 0 in a child, whether Python or C code has forked it."""
    page = fork_detection.create_page()
    assert page[0] == 1
    pid = fork()
    if pid == 0:
        os._exit(page[0])
    assert os.waitpid(pid, 0)[1] == 0
    assert page[0] == 1
