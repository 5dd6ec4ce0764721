"""The interpreter that a step finds as `python`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from amllog.local.execution.interpreter_shims import step_variables, write_shims


def test_python_is_the_interpreter_with_its_arguments(tmp_path: Path) -> None:
    """`python` and `python3` start the interpreter with all words unchanged."""
    write_shims(tmp_path, Path(sys.executable))
    code = "import sys; print(sys.executable, sys.argv[1:])"
    for name in ("python", "python3"):
        words = [tmp_path / name, "-I", "-S", "-c", code, "a b", "$HOME", ""]
        output = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        assert output == f"{sys.executable} ['a b', '$HOME', '']\n"


def test_a_prefix_comes_first(tmp_path: Path) -> None:
    """The words of a launcher come before those of the step, and are quoted."""
    write_shims(tmp_path, Path("/bin/echo"), ["it's", "--"])
    output = subprocess.run([tmp_path / "python", "x"], capture_output=True, text=True, check=True).stdout
    assert output == "it's -- x\n"


def test_the_path_begins_with_the_shims(tmp_path: Path) -> None:
    """The programs of the step's environment come before those of the shell, and VIRTUAL_ENV is its own."""
    python = tmp_path / "bin/python"
    shell = {"PATH": "/usr/bin", "VIRTUAL_ENV": "/other", "A": "b"}
    common = {"PYTHONUNBUFFERED": "1", "A": "b"}
    path = f"/shims:{tmp_path}/bin"
    assert step_variables(Path("/shims"), python, shell) == {**common, "PATH": f"{path}:/usr/bin"}
    (tmp_path / "pyvenv.cfg").touch()
    assert step_variables(Path("/shims"), python, {"A": "b", "PYTHONUNBUFFERED": ""}) == {
        **common, "PYTHONUNBUFFERED": "", "PATH": path, "VIRTUAL_ENV": str(tmp_path)
    }  # fmt: skip
