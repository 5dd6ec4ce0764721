"""Tests of the interpreters of this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from amllog.errors import UsageError
from amllog.local.plan.interpreters import ScriptFault, find_interpreter, query_interpreter


def program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    """Write an executable file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_folders_files_and_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter is named by the folder of its environment, by its file, or by its name on PATH."""
    python = program(tmp_path / "venv" / "bin" / "python")
    monkeypatch.setenv("PATH", os.fspath(program(tmp_path / "path" / "python9.9").parent))
    names = ("venv", "venv/bin/python", os.fspath(python), "python9.9")
    assert [find_interpreter(name, tmp_path) for name in names] == [
        python,
        python,
        python,
        tmp_path / "path" / "python9.9",
    ]


def test_links_are_kept(tmp_path: Path) -> None:
    """The link of a virtual environment is not followed, because its packages belong to the link."""
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").symlink_to(sys.executable)
    assert find_interpreter("venv", tmp_path) == tmp_path / "venv" / "bin" / "python"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("empty", "is a folder without a Python interpreter"),
        ("text", "is not executable"),
        ("python9.8", "nor is 'python9.8' on PATH"),
        ("no/python", "does not exist"),
        ("~nobody-here/x", "no user has this name"),
    ],
)
def test_no_interpreter(tmp_path: Path, text: str, message: str) -> None:
    """A path or a name without an interpreter is an error with the reason."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("")
    with pytest.raises(UsageError, match=message):
        find_interpreter(text, tmp_path)


def test_what_an_interpreter_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One child process reports the version, missing modules, versions of distributions and syntax errors."""
    # Namespace packages are entered. Nothing is imported.
    (tmp_path / "space" / "here").mkdir(parents=True)
    (tmp_path / "loud.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "loud_package").mkdir()
    (tmp_path / "loud_package" / "__init__.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "good.py").write_text("print(1)\n")
    (tmp_path / "bad.py").write_text("x = 1\nprint 'a'\n")
    (tmp_path / "zero.py").write_bytes(b"\0")
    monkeypatch.setenv("PYTHONPATH", os.fspath(tmp_path))
    report = query_interpreter(
        Path(sys.executable),
        [
            "json",
            "sys",
            "_no_such_module",
            "planned_steps",
            "space.here",
            "space.there.x",
            "loud",
            "loud_package.any",
        ],
        ["hypothesis", "no-such-distribution"],
        [tmp_path / name for name in ("good.py", "bad.py", "zero.py", "deleted.py")],
    )
    import hypothesis

    assert report.version == ".".join(map(str, sys.version_info[:3]))
    assert report.missing == {"_no_such_module", "planned_steps", "space.there.x"}
    assert report.versions == {"hypothesis": hypothesis.__version__}
    assert sorted(path.name for path in report.faults) == ["bad.py", "zero.py"]
    assert report.faults[tmp_path / "bad.py"] == ScriptFault(2, report.faults[tmp_path / "bad.py"].message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#!/bin/sh\necho no >&2; exit 3\n", "is not a usable Python interpreter: no"),
        ("#!/bin/sh\nexit 3\n", "is not a usable Python interpreter: exit code 3"),
        ("#!/bin/sh\necho 1\n", "is not a usable Python interpreter: exit code 0"),
        ("#!/no/such/shell\n", "cannot be started: No such file"),
    ],
)
def test_unusable_interpreters(tmp_path: Path, text: str, message: str) -> None:
    """A program that is no Python interpreter, or cannot be started, is an error with its last line."""
    with pytest.raises(UsageError, match=message):
        query_interpreter(program(tmp_path / "python", text))


def test_prints_of_start_up_files(tmp_path: Path) -> None:
    """Output before the report, for example of a sitecustomize, does not disturb it."""
    wrapper = program(tmp_path / "python", f'#!/bin/sh\necho hello\nexec "{sys.executable}" "$@"\n')
    assert query_interpreter(wrapper, ["json"]).missing == set()
