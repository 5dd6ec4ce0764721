"""The `.gitignore` of the default journal directory."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from amllog.journal.own_directories import make_directory

GIT = shutil.which("git") or "git"


def untracked(folder: Path) -> list[str]:
    """Return the files that git would add to a new repository."""
    subprocess.run([GIT, "init", "-q", str(folder)], check=True)
    command = [GIT, "-c", "safe.directory=*", "-C", str(folder), "status", "--porcelain", "-uall"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")[:-1]


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
@pytest.mark.parametrize("name", [".amllog", "steps/.amllog", ".amllog/demo/received"])
def test_git_ignores_the_default_directory(tmp_path: Path, name: str) -> None:
    """Git does not list a journal in the default directory, wherever that is."""
    directory = tmp_path / name
    make_directory(directory)
    (directory / "a.jsonl").write_text("{}\n")
    assert untracked(tmp_path) == []


@pytest.mark.parametrize("name", ["results", "logs/amllog", ".amllog2", "amllog"])
@pytest.mark.parametrize("exists", [True, False])
def test_other_directories_get_no_file(tmp_path: Path, name: str, exists: bool) -> None:
    """A directory that the user named, and that of a job, which is uploaded, contain no file of git."""
    if exists:
        (tmp_path / name).mkdir(parents=True)
    make_directory(tmp_path / name)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_directory_of_an_earlier_version_gets_the_file(tmp_path: Path) -> None:
    """A directory that exists already, or whose file was deleted, gets the file."""
    (tmp_path / ".amllog").mkdir()
    for _ in range(2):
        make_directory(tmp_path / ".amllog")
        assert (tmp_path / ".amllog" / ".gitignore").read_text().endswith("\n*\n")
        (tmp_path / ".amllog" / ".gitignore").unlink()


@pytest.mark.parametrize("content", ["", "!*.jsonl\n"])
def test_an_existing_file_is_not_changed(tmp_path: Path, content: str) -> None:
    """A user who wants the journal in the repository empties the file."""
    (tmp_path / ".amllog").mkdir()
    (tmp_path / ".amllog" / ".gitignore").write_text(content)
    make_directory(tmp_path / ".amllog")
    assert (tmp_path / ".amllog" / ".gitignore").read_text() == content


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """A link in the place of the file stays, and nothing is created at its end."""
    (tmp_path / ".amllog").mkdir()
    (tmp_path / ".amllog" / ".gitignore").symlink_to(tmp_path / "other")
    make_directory(tmp_path / ".amllog")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("limit", [0, 10])
def test_a_full_disk(tmp_path: Path, child: Any, limit: int) -> None:
    """Where the file cannot be written whole, none remains, and no error is raised."""
    ran = child(
        "import resource\n"
        "from pathlib import Path\n"
        "from amllog.journal.own_directories import make_directory\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "make_directory(Path('.amllog').absolute())\n"
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert list((tmp_path / ".amllog").iterdir()) == []


def test_the_file_is_as_private_as_the_journal(tmp_path: Path) -> None:
    """The file has the mode of all files of the journal, with any umask."""
    before = os.umask(0)
    try:
        make_directory(tmp_path / ".amllog")
    finally:
        os.umask(before)
    assert (tmp_path / ".amllog" / ".gitignore").stat().st_mode & 0o777 == 0o600
