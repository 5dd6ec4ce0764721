"""Leave a string for other processes, and find it: below this one, also if they are older, or by its process id.

The string is in an anonymous file (`memfd_create`), which others find by its name in `/proc/<pid>/fd`. It has no path,
and it ends with the processes that hold it. Only processes of the same user can open it. Systems other than Linux have
no such files, and some containers hide them.
"""

from __future__ import annotations

import os

from amllog.process import descriptors, interrupts

_NAME = "amllog-step"
_LINK = f"/memfd:{_NAME} (deleted)"
_MAX_DEPTH = 30
MAX_BYTES = 256 * 1024


class Note:
    """The string of this process. A forked child has it as well."""

    def __init__(self) -> None:
        self._fd, self._identity = -1, (0, 0)

    def write(self, text: str) -> None:
        """Replace the string."""
        before = self._fd, self._identity
        # Not Linux, or no descriptor is left. Others find the new one or the former one at each moment.
        with interrupts.suppress(OSError, AttributeError):
            fd = os.memfd_create(_NAME)
            self._fd, self._identity = fd, descriptors.read_identity(fd)
            os.write(fd, text.encode("utf-8", "surrogatepass")[:MAX_BYTES])
        if before[0] >= 0 and before[0] != self._fd:
            descriptors.close_if_same(*before)

    def remove(self) -> None:
        """Delete the string."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            descriptors.close_if_same(fd, self._identity)


def find() -> str:
    """Return the string of the nearest ancestor that has one, or ""."""
    pid = os.getppid()
    for _ in range(_MAX_DEPTH):
        if pid <= 1:
            break
        try:
            text = _text_of(pid)
            if text:
                return text
            pid = _parent_of(pid)
        except (OSError, ValueError, IndexError) as error:  # it has ended, or the system hides it
            interrupts.pass_on(error)
            break
    return ""


def find_at(process: int) -> str:
    """Return the string of this process, or "" if it has none or is not there."""
    try:
        return _text_of(process)
    except (OSError, ValueError) as error:
        interrupts.pass_on(error)
        return ""


def _text_of(pid: int) -> str:
    """Return the string of a process, or "". A process of another user has none."""
    with interrupts.suppress(PermissionError), os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            with interrupts.suppress(OSError):  # closed meanwhile
                if os.readlink(entry.path) == _LINK:
                    with open(entry.path, "rb") as file:
                        return file.read(MAX_BYTES).decode("utf-8", "surrogatepass")
    return ""


def _parent_of(pid: int) -> int:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])
