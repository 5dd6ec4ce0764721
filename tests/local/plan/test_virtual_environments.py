"""Tests of virtual environments that are built from conda files."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from amllog.errors import UsageError
from amllog.local.plan.conda_files import CondaRequirements
from amllog.local.plan.planned_steps import SourceLine
from amllog.local.plan.virtual_environments import (
    COMPLETE,
    REQUIREMENTS,
    VirtualEnvironments,
    cache_directory,
)
from amllog.process.file_lock import try_lock

from ...conftest import wait_until  # isort: skip

BASE = Path(sys.executable)


def wheel(folder: Path, version: str = "1.0") -> Path:
    """Write a wheel with one module, so that pip needs no index."""
    path = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        info = "tiny-1.0.dist-info"
        archive.writestr("tiny.py", f"VERSION = {version!r}\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "tiny.py,,\n")
    return path


def conda_of(folder: Path, *pip: str) -> CondaRequirements:
    """Return the requirements of a conda file in a folder."""
    return CondaRequirements(SourceLine(folder / "conda.yml", 0), folder, pip=pip)


def test_the_cache_is_in_the_users_cache(tmp_path: Path) -> None:
    """The cache is below XDG_CACHE_HOME if it is an absolute path, otherwise below the home directory."""
    home = {"HOME": "/home/u"}
    assert cache_directory({**home, "XDG_CACHE_HOME": "/c"}) == Path("/c/amllog/environments")
    assert cache_directory({**home, "XDG_CACHE_HOME": "c"}) == Path("/home/u/.cache/amllog/environments")


def test_an_environment_is_built_once(tmp_path: Path) -> None:
    """The pip part is installed into a new environment, which the next run uses again, also without building."""
    folder = tmp_path / "my project"  # with a space, at which pip splits lines
    folder.mkdir()
    wheel(folder)
    (folder / "requirements.txt").write_text("./tiny-1.0-py3-none-any.whl\n")
    conda = conda_of(folder, "--no-index", "-r requirements.txt")
    lines: list[str] = []
    cache = tmp_path / "cache"
    assert VirtualEnvironments(cache, is_building=False).python(conda, BASE) is None
    environments = VirtualEnvironments(cache, lines.append)
    python = environments.python(conda, BASE)
    assert python is not None
    command = [python, "-c", "import tiny, sys; print(tiny.VERSION, sys.prefix)"]
    output = subprocess.run(command, capture_output=True, text=True).stdout
    assert output.split() == ["1.0", str(python.parent.parent)]
    assert len(lines) == 2
    assert environments.python(conda, BASE) == python
    assert VirtualEnvironments(cache, is_building=False).python(conda, BASE) == python
    assert len(lines) == 2


def test_remains_of_a_killed_build_are_built_again(tmp_path: Path) -> None:
    """An environment without its last file is removed and built again. No pip part needs no pip."""
    environments = VirtualEnvironments(tmp_path / "cache")
    python = environments.python(conda_of(tmp_path), BASE)
    assert python is not None
    folder = python.parent.parent
    (folder / COMPLETE).unlink()
    (folder / "remains").touch()
    assert environments.python(conda_of(tmp_path), BASE) == python
    assert ((folder / COMPLETE).is_file(), (folder / "remains").exists()) == (True, False)


def test_files_of_others_are_kept(tmp_path: Path) -> None:
    """A folder that amllog did not write stays as it is, and the error names it."""
    environments = VirtualEnvironments(tmp_path / "cache")
    python = environments.python(conda_of(tmp_path), BASE)
    assert python is not None
    folder = python.parent.parent
    (folder / COMPLETE).unlink()
    (folder / REQUIREMENTS).unlink()
    with pytest.raises(UsageError, match="contains files that amllog did not write"):
        environments.python(conda_of(tmp_path), BASE)
    assert (folder / "pyvenv.cfg").is_file()


def test_a_failed_build(tmp_path: Path) -> None:
    """A failed command is an error with its last lines and the log file, and the environment is not used."""
    # Debian's Python without the package python3-venv ends in this way.
    base = tmp_path / "python3"
    failure = '[ "$2" = venv ] && { echo "ERROR: ensurepip is not available"; exit 1; }'
    base.write_text(f'#!/bin/sh\n{failure}\nexec "{sys.executable}" "$@"\n')
    base.chmod(0o755)
    environments = VirtualEnvironments(tmp_path / "cache")
    with pytest.raises(UsageError, match=r"python -m venv failed \(exit code 1\): ERROR: ensurepip .*\.log"):
        environments.python(conda_of(tmp_path, "a"), base)
    assert (
        VirtualEnvironments(tmp_path / "cache", is_building=False).python(conda_of(tmp_path, "a"), base)
        is None
    )


def test_content_decides(tmp_path: Path) -> None:
    """Environments differ by their requirements, and by the content of the files and folders that these name."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "module.py").write_text("")
    (tmp_path / "requirements.txt").write_text("a\n")
    conda = conda_of(tmp_path, "-r requirements.txt", "-e ./package", "./x.whl")
    environments = VirtualEnvironments(tmp_path / "cache")
    folders = [environments.folder(conda, BASE)]
    for change in ("requirements.txt", "package/module.py", "x.whl"):
        (tmp_path / change).write_text("b\n")
        folders.append(environments.folder(conda, BASE))
    folders.append(environments.folder(replace(conda, pip=(*conda.pip, "c")), BASE))
    assert len(set(folders)) == 5
    assert environments.folder(conda, BASE) == folders[3]


def test_another_process_builds_it(tmp_path: Path) -> None:
    """A process waits for the one that holds the lock, and then uses its environment."""
    environments = VirtualEnvironments(tmp_path / "cache")
    conda = conda_of(tmp_path)
    folder = environments.folder(conda, BASE)
    folder.parent.mkdir()
    lock = os.open(f"{folder}.lock", os.O_RDWR | os.O_CREAT)
    assert try_lock(lock)
    messages: list[str] = []

    def end_of_the_other(message: str) -> None:
        messages.append(message)
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "python").symlink_to(BASE)
        (folder / COMPLETE).write_text("{}")
        os.close(lock)

    python = VirtualEnvironments(tmp_path / "cache", end_of_the_other).python(conda, BASE)
    assert (python, messages) == (
        folder / "bin" / "python",
        [f"waiting for another process that builds {folder}"],
    )


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    """A file in the place of the cache is an error that names it."""
    (tmp_path / "cache").write_text("")
    with pytest.raises(UsageError, match=r"the virtual environment cannot be built: .*cache"):
        VirtualEnvironments(tmp_path / "cache").python(conda_of(tmp_path), BASE)


def test_a_killed_build_holds_its_lock_until_its_commands_end(tmp_path: Path, child) -> None:
    """If amllog is killed while it builds, the next process waits for the command that is still running."""
    base = tmp_path / "python3"
    base.write_text(
        f'#!/bin/sh\n[ "$2" = venv ] && {{ echo > "{tmp_path}/started"; read line < "{tmp_path}/end"; exit 1; }}\n'
        f'exec "{sys.executable}" "$@"\n'
    )
    base.chmod(0o755)
    os.mkfifo(tmp_path / "end")
    os.mkfifo(tmp_path / "started")
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from amllog.local.plan.conda_files import CondaRequirements\n"
        "from amllog.local.plan.planned_steps import SourceLine\n"
        "from amllog.local.plan.virtual_environments import VirtualEnvironments\n"
        "folder = Path(sys.argv[1])\n"
        "conda = CondaRequirements(SourceLine(folder, 0), folder)\n"
        "VirtualEnvironments(folder / 'cache').python(conda, folder / 'python3')\n"
    )
    process = child.start(code, os.fspath(tmp_path))
    (tmp_path / "started").read_text()
    process.kill()
    process.wait()
    [lock] = (tmp_path / "cache").glob("*.lock")
    fd = os.open(lock, os.O_RDWR)
    assert try_lock(fd) is False
    (tmp_path / "end").write_text("\n")
    wait_until(lambda: try_lock(fd) is True)
    os.close(fd)
