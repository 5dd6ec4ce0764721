"""Copies of code folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from amllog.errors import UsageError
from amllog.local.execution.code_copy import code_hash, copy_code


def write(folder: Path, *names: str) -> Path:
    """Write files whose content is their name."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def files(folder: Path) -> set[str]:
    """Return the names of all files and links below a folder."""
    paths = (Path(parent, name) for parent, dirs, names in os.walk(folder) for name in (*dirs, *names))
    return {str(p.relative_to(folder)) for p in paths if p.is_symlink() or p.is_file()}


def test_caches_ignored_files_and_environments_are_not_copied(tmp_path: Path) -> None:
    """The copy has no ignored files, version control, caches, virtual environments or folders of ours."""
    kept = ["a.py", "pkg/b.py", ".amlignore", "notes/keep.md"]
    skipped = [".git/config", "pkg/__pycache__/b.pyc", ".amllog/x", "amllog-runs/r/a.py", "env/pyvenv.cfg", "env/x.py",
               "data/big.csv", "notes/a.md", "runs/1/a.py"]  # fmt: skip
    code = write(tmp_path / "code", *kept, *skipped)
    (code / ".amlignore").write_text("data/\nnotes/*\n!notes/keep.md\n")
    os.mkfifo(code / "pipe")
    copy_code(code, tmp_path / "work", [code / "runs"])
    assert files(tmp_path / "work") == set(kept)
    assert (tmp_path / "work/pkg/b.py").read_text() == "pkg/b.py"


def test_the_working_directory_may_be_inside_the_code(tmp_path: Path) -> None:
    """A copy into a folder of the code does not contain itself."""
    write(tmp_path, "a.py")
    copy_code(tmp_path, tmp_path / "x/work")
    assert files(tmp_path / "x/work") == {"a.py"}


def test_modes_and_times_are_kept(tmp_path: Path) -> None:
    """Scripts stay executable and read-only files read-only. Folders are writable, so that the copy can be deleted."""
    code = write(tmp_path / "code", "run.sh", "sub/data")
    (code / "run.sh").chmod(0o755)
    (code / "sub/data").chmod(0o400)
    os.utime(code / "run.sh", (1, 1))
    (code / "sub").chmod(0o500)
    copy_code(code, tmp_path / "work")
    modes = {
        name: (tmp_path / "work" / name).stat().st_mode & 0o777 for name in ("run.sh", "sub", "sub/data")
    }
    (code / "sub").chmod(0o700)
    assert modes == {"run.sh": 0o755, "sub": 0o700, "sub/data": 0o400}
    assert (tmp_path / "work/run.sh").stat().st_mtime == 1


def test_links_are_never_followed(tmp_path: Path) -> None:
    """A link inside the code leads to the copy. A link out of it leads to the same place. Broken links stay broken."""
    code = write(tmp_path / "code", "a.py", "sub/b.py")
    write(tmp_path / "huge", "x")
    (code / "inside").symlink_to("sub/b.py")
    (code / "sub/up").symlink_to("../a.py")
    (code / "absolute").symlink_to(code / "a.py")
    (code / "outside").symlink_to("../huge")
    (code / "broken").symlink_to("nowhere")
    (code / "loop").symlink_to(".")
    work = tmp_path / "work"
    copy_code(code, work)
    assert {name: os.readlink(work / name) for name in ("inside", "sub/up", "broken", "loop")} == {
        "inside": "sub/b.py", "sub/up": "../a.py", "broken": "nowhere", "loop": "."
    }  # fmt: skip
    assert (work / "absolute").resolve() == work / "a.py"
    assert (work / "outside").resolve() == tmp_path / "huge"


def test_a_single_file_and_no_code(tmp_path: Path) -> None:
    """`code` may be a file. Without code, the working directory is empty. A path that is missing is an error."""
    write(tmp_path, "train.py", "other.py")
    copy_code(tmp_path / "train.py", tmp_path / "one")
    copy_code(None, tmp_path / "none")
    assert (files(tmp_path / "one"), files(tmp_path / "none")) == ({"train.py"}, set())
    with pytest.raises(UsageError, match=r"code: No such file or directory: .*missing"):
        copy_code(tmp_path / "missing", tmp_path / "x")


def test_the_hash_depends_on_the_content(tmp_path: Path) -> None:
    """The hash changes with a name, a byte or the executable bit, and not with times, caches or ignored files."""
    code = write(tmp_path / "code", "a.py", "b.py", ".amlignore")
    (code / ".amlignore").write_text("*.log\n")
    first = code_hash(code)
    write(code, "__pycache__/a.pyc", "x.log")
    os.utime(code / "a.py", (1, 1))
    assert code_hash(code) == first
    hashes = {first, code_hash(None), code_hash(code / "a.py")}
    (code / "a.py").write_text("a.pz")
    hashes.add(code_hash(code))
    (code / "a.py").chmod(0o755)
    hashes.add(code_hash(code))
    (code / "b.py").rename(code / "c.py")
    hashes.add(code_hash(code))
    assert len(hashes) == 6


def test_the_hash_depends_on_what_links_lead_to(tmp_path: Path) -> None:
    """A change behind a link out of the code is a change, also in a folder with a link back."""
    code = write(tmp_path / "code", "a.py")
    write(tmp_path, "shared.py", "data/x")
    (code / "shared.py").symlink_to("../shared.py")
    (code / "data").symlink_to("../data")
    (code / "broken").symlink_to("../nowhere")
    (tmp_path / "data/back").symlink_to("../code")
    first = code_hash(code)
    assert code_hash(code) == first
    (tmp_path / "shared.py").write_text("a longer text")
    second = code_hash(code)
    (tmp_path / "data/x").write_text("a longer text")
    assert len({first, second, code_hash(code)}) == 3


def test_a_copy_never_writes_through_a_link(tmp_path: Path) -> None:
    """A second code folder replaces the links of the first one, and what they lead to stays."""
    code, more = write(tmp_path / "code", "a.py"), write(tmp_path / "more", "b.py", "sub/c.py")
    write(tmp_path / "mine", "b.py", "sub/c.py")
    for name in ("b.py", "sub"):
        (code / name).symlink_to(tmp_path / "mine" / name)
        (tmp_path / "mine/b.py").write_text("mine")
        (tmp_path / "mine/sub/c.py").write_text("mine")
    copy_code(code, tmp_path / "work")
    copy_code(more, tmp_path / "work")
    copy_code(more / "sub", tmp_path / "work/sub")
    assert {(tmp_path / "mine" / name).read_text() for name in ("b.py", "sub/c.py")} == {"mine"}
    assert files(tmp_path / "work") == {"a.py", "b.py", "sub/c.py"}
