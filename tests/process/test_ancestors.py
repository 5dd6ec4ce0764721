"""The string that a process leaves for the processes below it."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this system has no anonymous files")

# Each process prints what it finds: a fork, a new program, and a grandchild that is older than the string.
TREE = """
import os, subprocess, sys
from amllog.process import ancestors
PROGRAM = "import sys; from amllog.process import ancestors; sys.stdin.read(); print(ancestors.find())"
ABOVE = f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {PROGRAM!r}]).returncode)"
older = subprocess.Popen([sys.executable, "-c", ABOVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
note = ancestors.Note()
note.write("first")
note.write("second ✓")
print(repr(ancestors.find()), flush=True)
print(older.communicate("")[0].strip(), flush=True)
if os.fork() == 0:
    print(ancestors.find(), flush=True)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-c", PROGRAM])
os.wait()
{end}
subprocess.run([sys.executable, "-c", PROGRAM], stdin=subprocess.DEVNULL)
"""


def test_tree_of_processes(child: Any) -> None:
    """Forks, new programs and a grandchild that is older find the last string, and its own process does not."""
    ran = child(TREE.replace("{end}", "note.remove()"), env={"PYTHONIOENCODING": "utf-8"})
    assert (ran.stdout.split("\n"), ran.stderr) == (["''", *["second ✓"] * 3, "", ""], "")


def test_descriptor_of_the_script(child: Any) -> None:
    """If the script closes all descriptors, its own file under the number stays open."""
    end = """
os.closerange(3, 100)
files = [open(os.devnull) for _ in range(20)]
note.write("third")
note.remove()
print([file.read() for file in files] == [""] * 20, flush=True)
"""
    ran = child(TREE.replace("{end}", end), env={"PYTHONIOENCODING": "utf-8"})
    assert (ran.stdout.split("\n")[-3:], ran.stderr) == (["True", "", ""], "")


KILLED = """
import os, subprocess, sys, time
from amllog.process import ancestors
ancestors.Note().write("gone")
code = "import sys; from amllog.process import ancestors; sys.stdin.read(); print(repr(ancestors.find()), flush=True)"
subprocess.Popen([sys.executable, "-c", code], stdin=int(sys.argv[1]))
os.kill(os.getpid(), 9)
"""


def test_killed_process(child: Any, tmp_path: Any) -> None:
    """A killed process leaves nothing: a child that survives it finds no string."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    code = KILLED.replace("int(sys.argv[1])", "os.open(sys.argv[1], os.O_RDONLY)")
    process = child.start(code, str(fifo))
    with fifo.open("w"):
        assert process.wait() == -signal.SIGKILL
    assert process.communicate()[0] == "''\n"


def test_hidden_processes(child: Any) -> None:
    """Where the system hides other processes, nothing is found and nothing is raised."""
    code = """
import os, sys
from amllog.process import ancestors
names = []
def hide(event, arguments):
    if event in ("os.scandir", "open") and str(arguments[0]).startswith("/proc/"):
        names.append(arguments[0])
        raise PermissionError(13, "hidden")
sys.addaudithook(hide)
print(repr(ancestors.find()), len(names) > 0)
"""
    assert child(code).stdout == "'' True\n"
