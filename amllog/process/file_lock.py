"""Lock a whole file with `flock` on systems that have it.

The lock belongs to the open file and ends with the process that holds it, also if the process is killed. Windows has no
`flock`, and some network file systems reject it. Callers decide what to do there, so the result has three values.
"""

from __future__ import annotations

from amllog.process.interrupts import is_from_signal

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # the module or None


def try_lock(fd: int, *, shared: bool = False) -> bool | None:
    """Lock an open file without waiting, for this process alone or shared with other readers.

    Return True if the lock was acquired, False if another process holds it, and None if locks are not supported.
    """
    if fcntl is not None:
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            return False
        except OSError as error:
            if is_from_signal(error):
                raise
    return None
