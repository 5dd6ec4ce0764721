"""Paths of a user: each command reports an invalid path with the reason, never with a traceback."""

from __future__ import annotations

import os
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from amllog.config import user_path
from amllog.errors import UsageError
from amllog.insights import connect
from amllog.insights.stores.local.compaction import compact

RESOURCE = f"/subscriptions/{uuid.UUID(int=0)}/resourceGroups/g/providers/microsoft.insights/components/c"
COMMANDS = [
    ["logs"],
    ["runs"],
    ["tail"],
    ["story"],
    ["status"],
    ["deliver"],
    ["compact"],
    ["query", "traces"],
]
LONG = {"long name": "x" * 300, "long path": "x/" * 2500}
# As another user, below a directory that only root may enter. The imports come first, because that user may not read
# the modules.
BELOW = """
import os, sys
import amllog.insights.stores.local.compaction
from amllog.cli import compact, deliver, output, parser, query_commands, run_script, status
from amllog.cli.main import main
from amllog.cli.doctor import doctor
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
for command in sys.argv[2:]:
    print(command, main(command.split()))
"""
WITHOUT = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]  # as if TMPDIR, /tmp and the others were not writable
from amllog.cli.main import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("name", LONG.values(), ids=LONG)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_name_that_is_too_long(child: Any, command: list[str], name: str) -> None:
    """Every command names the path and the reason, and ends with exit code 2."""
    ran = child([sys.executable, "-m", "amllog", *command], env={"AMLLOG_DIR": name})
    assert (ran.returncode, "File name too long" in ran.stderr) == (2, True), ran
    assert ran.stderr.startswith(f"amllog {command[0]}: "), ran


@pytest.mark.parametrize("name", LONG.values(), ids=LONG)
def test_doctor_and_a_name_that_is_too_long(child: Any, name: str) -> None:
    """`amllog doctor` reports the path as a failed check."""
    ran = child([sys.executable, "-m", "amllog", "doctor"], env={"AMLLOG_DIR": name})
    assert (ran.returncode, "File name too long" in ran.stdout, ran.stderr) == (1, True, ""), ran


@pytest.mark.parametrize(
    "command",
    [["run"], ["logs", "--dir"], ["doctor"], ["serve", "--directory"],
     ["alert", "--resource-id", RESOURCE, "--output"]], ids=lambda command: command[0],
)  # fmt: skip
@pytest.mark.parametrize("name", ["x" * 300, "a\0b"], ids=["long", "NUL"])
def test_a_path_as_an_argument(child: Any, command: list[str], name: str) -> None:
    """Neither a long name nor a NUL in an argument causes a traceback."""
    code = f"import sys; from amllog.cli.main import main; sys.exit(main({[*command, name]!r}))"
    ran = child(code)
    assert (ran.returncode in (1, 2), "Traceback" in ran.stderr + ran.stdout) == (True, False), ran


def test_below_a_directory_that_may_not_be_entered(child: Any, tmp_path: Path) -> None:
    """Every command reports the missing permission instead of an empty journal."""
    closed = tmp_path / "closed"
    (closed / "journal").mkdir(parents=True)
    closed.chmod(0o700 if os.geteuid() == 0 else 0)
    commands = [" ".join(command) for command in COMMANDS]
    ran = child(BELOW, "x", *commands, env={"AMLLOG_DIR": str(closed / "journal")})
    closed.chmod(0o700)
    assert ran.stdout.splitlines() == [f"{command} 2" for command in commands], ran
    assert ran.stderr.count("Permission denied") == len(commands), ran


@pytest.mark.parametrize(
    "command", [["logs"], ["runs"], ["compact"], ["query", "traces"]], ids=lambda command: command[0]
)
def test_no_temporary_directory(child: Any, tmp_path: Path, command: list[str]) -> None:
    """The error names TMPDIR if no directory for temporary files is writable."""
    pytest.importorskip("duckdb")
    (tmp_path / ".amllog").mkdir()
    ran = child(WITHOUT, str(tmp_path / "none"), *command)
    assert (ran.returncode, "TMPDIR" in ran.stderr, "Traceback" in ran.stderr) == (2, True, False), ran


def test_a_home_directory_in_the_name(child: Any, tmp_path: Path) -> None:
    """`~` in AMLLOG_DIR is the same directory for commands and setup(), and an unknown user is an error."""
    env = {"AMLLOG_DIR": "~/journal", "HOME": str(tmp_path)}
    ran = child("import amllog; amllog.setup().info('hello')", env=env)
    assert ran.returncode == 0, ran
    assert [*(tmp_path / "journal").glob("*.jsonl")]
    for command in (["logs"], ["status"]):
        ran = child([sys.executable, "-m", "amllog", *command], env=env)
        assert (ran.returncode, "hello" in ran.stdout or "accepted" in ran.stdout) == (0, True), ran
        ran = child([sys.executable, "-m", "amllog", *command], env={"AMLLOG_DIR": "~nobody_has_this_name/x"})
        assert (ran.returncode, "~nobody_has_this_name/x" in ran.stderr) == (2, True), ran


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "~nobody_has_this_name/x"], ids=["long", "NUL", "user"])
def test_in_python(name: str) -> None:
    """The functions raise UsageError."""
    with pytest.raises(UsageError):
        connect(environ={"AMLLOG_DIR": name})
    with pytest.raises(UsageError):
        connect(name)
    with pytest.raises(UsageError):
        compact(Path(name))
    with pytest.raises(UsageError):
        user_path.is_directory(user_path.expand_path(name))


def test_a_name_that_is_not_utf_8(child: Any, tmp_path: Path) -> None:
    """A journal in a directory with such a name is written, read, counted and compacted."""
    name = os.fsdecode(bytes(tmp_path) + b"/j\xff")
    env = {"AMLLOG_DIR": name}
    assert child("import amllog; amllog.setup().info('hello')", env=env).returncode == 0
    for command in (["logs"], ["status"], ["query", "traces | count"], ["compact", "--idle", "0s"], ["logs"]):
        if command[0] == "query" and sys.version_info < (3, 11):
            continue
        ran = child([sys.executable, "-m", "amllog", *command], env=env)
        assert (ran.returncode, "not read" in ran.stderr) == (0, False), ran
        assert "hello" in ran.stdout or command[0] != "logs", ran
