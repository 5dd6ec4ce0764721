"""`amllog run`: the script runs as with Python, and its step has its result."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

PRINT_ARGUMENTS = """
import sys
print(sys.argv, __name__, __file__, sys.path[0])
"""


def step(read_json: Any) -> dict[str, Any]:
    """Return the request of the step in the journal."""
    (request,) = (row for row in read_json("timeline") if row["itemType"] == "request")
    return request


def test_a_script_has_pythons_arguments_and_path(cli: Any, child: Any, tmp_path: Path) -> None:
    """Arguments, name, file and path are those of `python script.py`."""
    (tmp_path / "sub").mkdir()
    Path("sub/train.py").write_text(PRINT_ARGUMENTS)
    ran = cli("run", "sub/train.py", "--epochs", "3", "-m", "--", "--json")
    plain = child([sys.executable, "sub/train.py", "--epochs", "3", "-m", "--", "--json"])
    assert ran.stdout.splitlines()[-1] == plain.stdout.strip()


def test_a_module_has_pythons_arguments_and_path(cli: Any, child: Any, tmp_path: Path) -> None:
    """Arguments, name, file and path are those of `python -m package.module`."""
    (tmp_path / "package").mkdir()
    Path("package/train.py").write_text(PRINT_ARGUMENTS)
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
        ("raise KeyboardInterrupt", 130, "interrupted (KeyboardInterrupt)"),
        ("def", 1, "uncaught exception"),
    ],
)
def test_exit_codes_are_kept(cli: Any, read_json: Any, end: str, code: int, result: str) -> None:
    """The exit code is that of the script, and a non-zero one marks the step as failed."""
    Path("train.py").write_text(f"import sys\nprint('began')\n{end}\n")
    assert cli("run", "train.py").returncode == code
    assert (step(read_json)["message"], step(read_json)["resultCode"], step(read_json)["success"]) == (
        "train.py",
        result or "0",
        not result,
    )


def test_tracebacks_have_no_frames_of_amllog(cli: Any, child: Any) -> None:
    """The printed traceback is that of Python, and the record has no frame of amllog."""
    Path("train.py").write_text("def f():\n    raise ValueError('bad')\nf()\n")
    ran, plain = cli("run", "train.py"), child([sys.executable, "train.py"])
    traceback = ran.stderr.replace(str(Path.cwd()) + "/", "")
    assert traceback == plain.stderr.replace(str(Path.cwd()) + "/", "")
    assert "run_script.py" not in cli("errors").stdout


def test_unchanged_scripts_are_logged(cli: Any) -> None:
    """A script without amllog is logged, and one that calls setup() is logged once."""
    Path("plain.py").write_text("import logging\nlogging.getLogger('mine').warning('hello %d', 1)\n")
    Path("with_setup.py").write_text("import amllog\namllog.setup(run_type='training').warning('hello 1')\n")
    for script in ("plain.py", "with_setup.py"):
        assert cli("run", script).stdout.count("hello 1") == 1
        assert cli("logs").stdout.count("hello 1") == 1


def test_children_find_the_main_module(cli: Any) -> None:
    """multiprocessing's spawn and pickle find the functions of the script."""
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
def test_a_missing_script_is_wrong_usage(cli: Any, arguments: tuple[str, ...]) -> None:
    """A missing script is reported before setup()."""
    ran = cli("run", *arguments)
    assert (ran.returncode, Path(".amllog").exists()) == (2, False)
    assert "SCRIPT" in ran.stderr or "there is no script train.py" in ran.stderr


def test_invalid_settings_are_wrong_usage(cli: Any) -> None:
    """The script does not start with invalid settings."""
    Path("train.py").write_text("print('began')")
    ran = cli("run", "train.py", env={"AMLLOG_LEVEL": "loud"})
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "AMLLOG_LEVEL = 'loud'" in ran.stderr


QUERIES = """
import contextlib, os, signal, threading, time
from amllog.insights.stores.local import duckdb_connection
from amllog.insights.stores.local.duckdb_engine import Engine

duckdb_connection.INTERRUPT_SECONDS = 0
engine = Engine()
def interrupt():
    while not duckdb_connection.is_statement_running():
        time.sleep(0.01)
    time.sleep(1)  # a short statement may run before the long one
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
with contextlib.suppress(KeyboardInterrupt):
    engine.run("SELECT sum(a.range + b.range) FROM range(10000000) a, range(10000000) b")
"""


@pytest.mark.skipif(
    sys.version_info < (3, 14) and duckdb.__version__ < "2",
    reason="this DuckDB aborts the process if a thread returns to Python while Python ends",
)
def test_an_interrupted_query_of_a_script(cli: Any, read_json: Any) -> None:
    """A script ends its step although a statement of it that could not be interrupted still runs."""
    Path("train.py").write_text(QUERIES)
    assert cli("run", "train.py").returncode == 0
    assert step(read_json)["success"] is True
