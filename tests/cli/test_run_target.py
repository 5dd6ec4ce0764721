"""Targets of `amllog run` that are no script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from amllog.cli.run_target import check_target
from amllog.errors import UsageError

FILES = {
    "pipeline.json": b'{"jobs": {"a": {"command": "python train.py --epochs 3"}}}',
    "MLproject": b"entry_points:\n  main:\n    command: python train.py --epochs 3\n",
    "nb.ipynb": b"{}",
    "x.sh": b"echo 1",
    "wide": b"\xff\xfep\x00",
    "notes": b"this is no code",
    "train.py": b"1",
    "script": b"print(1)",
}


@pytest.fixture(autouse=True)
def _files(tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)


@pytest.mark.parametrize(
    ("target", "arguments", "message"),
    [
        ("MLproject", [], "amllog run train.py. Submit the whole job: az ml job create -f MLproject"),
        ("nb.ipynb", [], "a notebook"),
        ("x.sh", [], "a shell script"),
        ("wide", [], "not a Python script (it is not a text in UTF-8)"),
        ("notes", [], "not a Python script"),
        ("python", ["train.py", "-x"], "use amllog run train.py -x"),
        ("torchrun", ["--nproc", "2"], "use amllog run train.py"),
        ("train", [], "did you mean amllog run train.py?"),
        ("trian.py", [], "did you mean amllog run train.py?"),
        ("nothing", [], "for a module: amllog run -m nothing"),
        ("-c", ["print(1)"], "takes a file"),
    ],
)
def test_the_right_command(target: str, arguments: list[str], message: str) -> None:
    """What is no script of Python names the right command."""
    with pytest.raises(UsageError) as raised:
        check_target(target, arguments)
    assert message in str(raised.value)


def test_scripts(tmp_path: Path) -> None:
    """Scripts are accepted with and without the suffix, and folders with a main module."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__main__.py").touch()
    for target in ("train.py", "script", "app"):
        check_target(target, [])


def test_no_run_is_recorded(cli: Any, tmp_path: Path) -> None:
    """A target that is no script leaves no run in the journal. A folder runs."""
    ran = cli("run", "pipeline.json")
    assert (ran.returncode, ran.stdout, (tmp_path / ".amllog").exists()) == (2, "", False)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__main__.py").write_text("print('from the folder')")
    assert "from the folder" in cli("run", "app").stdout
