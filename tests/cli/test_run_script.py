"""`amllog run`: a script cannot tell the difference, and its step tells how it ended."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

SEEN = """
import sys
print(sys.argv, __name__, __file__, sys.path[0])
"""


def step(asked: Any) -> dict[str, Any]:
    """The step's request, as the journal has it."""
    (found,) = (row for row in asked("timeline") if row["itemType"] == "request")
    return found


def test_a_script_sees_what_python_shows_it(cli: Any, child: Any, tmp_path: Path) -> None:
    """Arguments, name, file and path are those of `python script.py`."""
    (tmp_path / "sub").mkdir()
    Path("sub/train.py").write_text(SEEN)
    ran = cli("run", "sub/train.py", "--epochs", "3", "-m", "--", "--json")
    plain = child([sys.executable, "sub/train.py", "--epochs", "3", "-m", "--", "--json"])
    assert ran.stdout.splitlines()[-1] == plain.stdout.strip()


def test_a_module_sees_what_python_shows_it(cli: Any, child: Any, tmp_path: Path) -> None:
    """The same for `python -m package.module`."""
    (tmp_path / "package").mkdir()
    Path("package/train.py").write_text(SEEN)
    ran = cli("run", "-m", "package.train", "--epochs", "3")
    plain = child([sys.executable, "-m", "package.train", "--epochs", "3"])
    assert ran.stdout.splitlines()[-1] == plain.stdout.strip()


@pytest.mark.parametrize(
    ("end", "code", "result"),
    [
        ("", 0, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit(0)", 0, ""),
        ("sys.exit(3)", 3, "exit code 3"),
        ("sys.exit('no data')", 1, "exit code 1"),
        ("1 / 0", 1, "uncaught exception"),
        ("def", 1, "uncaught exception"),
    ],
)
def test_exit_codes_are_kept_and_told(cli: Any, asked: Any, end: str, code: int, result: str) -> None:
    """The code is the script's own, and one that is not 0 makes the step unsuccessful."""
    Path("train.py").write_text(f"import sys\nprint('began')\n{end}\n")
    assert cli("run", "train.py").returncode == code
    assert (step(asked)["message"], step(asked)["resultCode"], step(asked)["success"]) == (
        "train.py",
        result or "0",
        not result,
    )


def test_tracebacks_are_as_without_amllog(cli: Any, child: Any) -> None:
    """No frame of amllog stands in what Python prints, nor in the record."""
    Path("train.py").write_text("def f():\n    raise ValueError('bad')\nf()\n")
    ran, plain = cli("run", "train.py"), child([sys.executable, "train.py"])
    traceback = ran.stderr.replace(str(Path.cwd()) + "/", "")
    assert traceback == plain.stderr.replace(str(Path.cwd()) + "/", "")
    assert "run_script.py" not in cli("errors").stdout


def test_logging_without_a_changed_line_is_taken(cli: Any) -> None:
    """A script that knows nothing of amllog is logged, and one that calls setup() is logged once."""
    Path("plain.py").write_text("import logging\nlogging.getLogger('mine').warning('hello %d', 1)\n")
    Path("own.py").write_text("import amllog\namllog.setup(run_type='training').warning('hello 1')\n")
    for script in ("plain.py", "own.py"):
        assert cli("run", script).stdout.count("hello 1") == 1
        assert cli("logs").stdout.count("hello 1") == 1


def test_children_find_the_main_module(cli: Any) -> None:
    """multiprocessing's spawn and pickle find what the script defines."""
    Path("train.py").write_text(
        "import multiprocessing, pickle\n"
        "def double(x): return 2 * x\n"
        "if __name__ == '__main__':\n"
        "    assert pickle.loads(pickle.dumps(double)) is double\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool: print(pool.map(double, [1, 2]))\n"
    )
    ran = cli("run", "train.py")
    assert "[2, 4]" in ran.stdout, ran.stderr


@pytest.mark.parametrize("arguments", [("train.py",), ("-m",), ()])
def test_nothing_to_run_is_wrong_usage(cli: Any, arguments: tuple[str, ...]) -> None:
    """A script that is not there is told before anything is set up."""
    ran = cli("run", *arguments)
    assert (ran.returncode, Path(".amllog").exists()) == (2, False)
    assert "SCRIPT" in ran.stderr or "there is no script train.py" in ran.stderr


def test_wrong_settings_are_wrong_usage(cli: Any) -> None:
    """The script is not begun under settings that are wrong."""
    Path("train.py").write_text("print('began')")
    ran = cli("run", "train.py", env={"AMLLOG_LEVEL": "loud"})
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "AMLLOG_LEVEL = 'loud'" in ran.stderr
