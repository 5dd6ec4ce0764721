"""The exit code of query commands whose answers are empty or incomplete."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import pytest

ENVELOPE = {
    "time": "2026-11-22T10:00:00Z",
    "data": {
        "baseType": "MessageData",
        "baseData": {
            "ver": 2,
            "message": "fine",
            "properties": {"parent_run_id": "r1", "step_id": "s1", "step_name": "train"},
        },
    },
}
NAME = "20261122T100000-node-1-abcdef.jsonl"
LOG = json.dumps(ENVELOPE) + "\n"


def write(folder: Path, *lines: str, name: str = NAME) -> Path:
    """Write a file in a new folder, and return the folder."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.mark.parametrize("command", ["errors", "logs", "exceptions", "metrics", "timeline", "tail"])
def test_nothing_could_be_read(cli: Any, tmp_path: Path, command: str) -> None:
    """A directory without a readable record ends with exit code 2, and the reason is printed."""
    (tmp_path / "empty").mkdir()
    damaged = write(tmp_path / "damaged", "\0\0\0\n")
    folder = tmp_path / "folder"
    (folder / NAME).mkdir(parents=True)
    other = write(tmp_path / "other", "timestamp,message\n", name="query.csv")
    reasons = {tmp_path / "empty": "", damaged: "damaged", folder: "is not a regular file", other: "is CSV"}
    command_line = [command, "all"] + [part for place in reasons for part in ("--dir", str(place))]
    ran = cli(*command_line)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.splitlines()[-1].startswith("amllog: nothing could be read in ")
    assert "no errors" not in ran.stderr and "nothing found" not in ran.stderr
    for reason in reasons.values():
        assert reason in ran.stderr


def test_a_part_could_not_be_read(cli: Any, tmp_path: Path) -> None:
    """`errors` does not claim that there are none if a part could not be read. Other commands print notes."""
    damaged = write(tmp_path / "damaged", LOG, '{"cut\n', LOG)
    ran = cli("errors", "--dir", damaged)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "no errors in the part that could be read" in ran.stderr and "(damaged: " in ran.stderr
    assert cli("errors", "--dir", damaged, "--json").returncode == 2
    ran = cli("logs", "--dir", damaged)
    assert ran.returncode == 0 and "1 line could not be read" in ran.stderr
    assert len(ran.stdout.splitlines()) == 2
    torn = write(tmp_path / "torn", LOG, '{"cut": ')
    ran = cli("errors", "--dir", torn)
    assert ran.returncode == 0 and "torn by a kill" in ran.stderr and ran.stderr.endswith("no errors\n")


def test_no_record_after_a_cut_line_is_left_out_silently(cli: Any, tmp_path: Path) -> None:
    """A line that ends before a value costs one line, or two with DuckDB before 2.0. All of them are counted."""
    ran = cli("logs", "--dir", write(tmp_path / "damaged", LOG, '{"cut": \n', LOG, LOG))
    lines = 2 if duckdb.__version__ < "2" else 1
    assert ran.returncode == 0 and len(ran.stdout.splitlines()) == 4 - lines
    assert f"{lines} line{'s' * (lines > 1)} could not be read" in ran.stderr


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no FIFO")
def test_one_of_two_files_is_not_read(cli: Any, tmp_path: Path) -> None:
    """A journal beside readable ones that cannot be read leaves the errors unknown."""
    folder = write(tmp_path / "j", LOG)
    os.mkfifo(folder / NAME.replace("10", "11", 1))
    ran = cli("errors", "--dir", folder)
    assert ran.returncode == 2 and "is not a regular file" in ran.stderr


def test_a_mistyped_name_in_a_filter(cli: Any, tmp_path: Path) -> None:
    """A name that no record has ends with exit code 2, and the answer has the names that exist."""
    folder = write(tmp_path / "j", LOG)
    for filters in (["--step-name", "trian"], ["--step-id", "S9"], ["--where", "tem=1"]):
        for command in ("errors", "logs"):
            ran = cli(command, "all", "--dir", folder, *filters, "--json")
            assert (ran.returncode, ran.stdout) == (2, "[]\n"), filters
            assert "no record has this" in ran.stderr
    assert "there are: train" in cli("errors", "all", "--dir", folder, "--step-name", "trian").stderr
    assert cli("errors", "--dir", folder, "--step-name", "train").returncode == 0
    ran = cli("logs", "--dir", folder, "--step-name", "train", "--level", "ERROR")
    assert (ran.returncode, ran.stderr.splitlines()[-1]) == (0, "amllog: nothing found")


def test_an_empty_place_is_named(cli: Any, tmp_path: Path) -> None:
    """A given directory without records is named beside one with records."""
    (tmp_path / "wrong").mkdir()
    ran = cli("errors", "--dir", write(tmp_path / "j", LOG), "--dir", tmp_path / "wrong")
    assert ran.returncode == 0 and f"no records in {tmp_path / 'wrong'}" in ran.stderr


def test_lists_of_an_empty_directory(cli: Any, tmp_path: Path) -> None:
    """The empty list of runs is right for an empty directory, and not for one with unreadable files."""
    (tmp_path / "empty").mkdir()
    assert cli("runs", "--dir", tmp_path / "empty").returncode == 0
    counted = cli("query", "print x = 1", "--dir", tmp_path / "empty")
    assert counted.returncode == 0 and f"no records in {tmp_path / 'empty'}" in counted.stderr
    assert cli("runs", "--dir", write(tmp_path / "damaged", "\0\n")).returncode == 2


def test_a_killed_step_is_no_all_clear(cli: Any, child: Any, tmp_path: Path) -> None:
    """`errors` of a run whose step was killed ends with exit code 1. A step of another machine has a notice."""
    code = "import os, amllog; amllog.setup(step_name='train', metrics='none').info('x'); os.kill(os.getpid(), 9)"
    child(code, env={"AMLLOG_DIR": str(tmp_path / "j")})
    ran = cli("errors", "--dir", tmp_path / "j")
    assert ran.returncode == 1 and "no errors, but step train was killed" in ran.stderr
    ran = cli("errors", "--dir", write(tmp_path / "other", LOG))
    assert (
        ran.returncode == 0 and "step train has not ended: it was killed, or is still running" in ran.stderr
    )


# As another user than root, who may read every file. The first commands import everything, as that user may not read
# the modules.
UNREADABLE = """
import os, sys
from amllog.cli.main import main
path = sys.argv[1]
for command in (["errors", "all"], ["query", "traces"]):
    main([*command, "--dir", sys.argv[2]])
if os.geteuid() == 0:
    for place in (os.path.dirname(path), path):
        os.chown(place, 65534, 65534)
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
os.chdir(os.path.dirname(path))
codes = [main(["logs", "all", "--dir", "."])]
os.chmod(path, 0)
codes += [main([*command, "--dir", "."]) for command in (["logs", "all"], ["query", "traces"])]
print(codes)
"""


def test_journals_that_became_unreadable(child: Any, tmp_path: Path) -> None:
    """If no journal can be opened, the exit code is 2, although an index has their records."""
    with tempfile.TemporaryDirectory() as name:  # pytest's directory is closed to other users
        os.chmod(name, 0o755)
        folder = write(Path(name) / "j", LOG)
        ran = child([sys.executable, "-c", UNREADABLE, str(folder / NAME), str(write(tmp_path / "k", LOG))])
    assert ran.stdout.endswith("[0, 2, 2]\n"), ran
    assert ran.stderr.count("nothing could be read in ") == 2 and "Permission denied" in ran.stderr
