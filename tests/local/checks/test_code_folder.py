"""Tests of the code of a step as it will be in its working directory."""

from __future__ import annotations

import os
from pathlib import Path

from amllog.local.checks import code_folder
from amllog.local.checks.code_folder import CodeFolder


def test_files_of_a_folder(tmp_path: Path) -> None:
    """A file is there if it exists and is not excluded. Nothing above the folder is there."""
    code = tmp_path / "src"
    (code / "a").mkdir(parents=True)
    for name in ("train.py", "a/b.py", "secret.py"):
        (code / name).write_text("")
    (code / ".amlignore").write_text("secret.py\n")
    folder = CodeFolder(code)
    assert [folder.file(name) for name in ("train.py", "./a/../a/b.py", "a", "no.py", "secret.py")] == [
        code / "train.py", code / "a" / "b.py", code / "a", None, None,
    ]  # fmt: skip
    assert folder.file("../src/train.py") is None
    assert folder.file(str(code / "secret.py")) == code / "secret.py"
    assert (folder.is_excluded("secret.py"), folder.ignore_file) == (True, ".amlignore")
    similar = [folder.similar(name) for name in ("trian.py", "a/bb.py", "x/y.py", "no.py")]
    assert similar == ["train.py", "a/b.py", "", ""]


def test_a_single_file_and_no_code(tmp_path: Path) -> None:
    """A single file is alone in the working directory. Without code, nothing is there."""
    (tmp_path / "train.py").write_text("")
    (tmp_path / "other.py").write_text("")
    single = CodeFolder(tmp_path / "train.py")
    assert [single.file("train.py"), single.file("other.py")] == [tmp_path / "train.py", None]
    assert [CodeFolder(None).file("train.py"), CodeFolder(None).size()] == [None, (0, 0)]


def test_sizes(tmp_path: Path) -> None:
    """The size is that of the files that are copied. The count ends above a limit."""
    (tmp_path / "data").mkdir()
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x").write_bytes(b"1")
    (tmp_path / "data" / "x").write_bytes(b"12")
    (tmp_path / "y").write_bytes(b"345")
    assert CodeFolder(tmp_path).size() == (2, 5)
    with (tmp_path / "big").open("wb") as file:
        file.truncate(code_folder.MAX_BYTES + 1)
    assert CodeFolder(tmp_path).size().is_too_big
    (tmp_path / ".gitignore").write_text("big\n")
    assert not CodeFolder(tmp_path).size().is_too_big


def test_many_files(tmp_path: Path) -> None:
    """More files than the limit are too many. Hard links are files."""
    (tmp_path / "0").touch()
    for number in range(1, code_folder.MAX_FILES + 1):
        os.link(tmp_path / "0", tmp_path / str(number))
    assert CodeFolder(tmp_path).size().is_too_big


def test_includes_are_beside_the_code(tmp_path: Path) -> None:
    """Files and folders of `additional_includes` have their names in the working directory."""
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "helper.py").touch()
    folder = CodeFolder(None, [tmp_path / "common"])
    assert folder.file("common/helper.py") == tmp_path / "common" / "helper.py"
    assert folder.file("common") == tmp_path / "common"
    assert folder.file("other/helper.py") is None
