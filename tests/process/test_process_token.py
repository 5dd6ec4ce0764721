"""The identification of a process."""

from __future__ import annotations

from typing import Any

from amllog.process.process_token import process_token

CODE = """
import os, sys
from amllog.process.process_token import process_token
print(process_token(), flush=True)
if len(sys.argv) == 1:
    if os.fork() == 0:
        print(process_token(), flush=True)
        os._exit(0)
    os.wait()
    os.execv(sys.executable, [sys.executable, __file__, "again"])
"""


def test_token(child: Any, tmp_path: Any) -> None:
    """A process keeps its token through exec, and a forked one has another token."""
    script = tmp_path / "script.py"
    script.write_text(CODE)
    before, forked, after = child(script).stdout.split()
    assert before == after != forked
    assert process_token() == process_token() not in {before, forked}
