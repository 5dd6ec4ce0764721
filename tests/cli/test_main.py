"""The command line as a whole: help, wrong usage, its page in the documents."""

from __future__ import annotations

import os
import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest

import amllog
from amllog.cli.doctor import packages
from amllog.cli.main import COMMANDS

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_up_to_date() -> None:
    """docs/cli.md is what `make docs` writes from the parser."""
    page = runpy.run_path(str(DOCS / "make_cli.py"))["page"]
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("command", ["run", *COMMANDS])
def test_every_command_explains_itself(cli: Any, command: str) -> None:
    """--help says what it does and what it takes, and exits with 0."""
    ran = cli(command, "--help")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert f"usage: amllog {command}" in ran.stdout


def test_the_first_look(cli: Any) -> None:
    """--help lists the commands and the exit codes; --version is the package's."""
    assert all(f"\n    {command}" in cli("--help").stdout for command in COMMANDS)
    assert cli("--version").stdout == f"amllog {amllog.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "COMMAND"),
        (("lgos",), "invalid choice: 'lgos'"),
        (("logs", "--level", "loud"), "invalid choice: 'LOUD'"),
        (("logs", "--lines", "3"), "unrecognized arguments"),
        (("tail", "-n", "0"), "'0': expected a number of lines"),
        (("serve", "--port", "70000"), "'70000': expected a port"),
        (("deliver", "--timeout", "soon"), "'soon': expected a number of seconds"),
        (("status", "nowhere"), "no journal in nowhere"),
        (("logs", "--where", "epoch", "--dir", "."), "KEY=VALUE"),
        (("tail", "--every", "0"), "'0': expected a number of seconds"),
        (("errors", "--json", "--csv"), "not allowed with"),
        (("query", "--dir", "."), "no query"),
        (("runs", "--app-id", "a", "--workspace-id", "b"), "use only one of them"),
    ],
)
def test_wrong_usage(cli: Any, arguments: tuple[str, ...], said: str) -> None:
    """Exit code 2, nothing on stdout, and a sentence that helps."""
    ran = cli(*arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.fixture
def clone(child: Any, tmp_path: Path) -> Any:
    """Runs `amllog demo` from a copy of the package that is installed nowhere."""
    shutil.copytree(Path(amllog.__file__).parent, tmp_path / "clone" / "amllog")
    path = os.pathsep.join([str(tmp_path / "clone"), os.environ["PYTHONPATH"]])
    code = "import sys; from amllog.cli.main import main; sys.exit(main(['demo']))"
    return lambda: child(code, env={"PYTHONPATH": path})


def test_demo_runs_the_example(clone: Any, tmp_path: Path) -> None:
    """It runs what stands in examples/pipeline, once the packages are there, and keeps its exit code."""
    example = tmp_path / "clone" / "examples" / "pipeline" / "run.py"
    example.parent.mkdir(parents=True)
    example.write_text("import sys; print('the example'); sys.exit(5)")
    for name in ("sklearn", "cryptography"):
        (tmp_path / "clone" / f"{name}.py").touch()
    ran = clone()
    assert (ran.returncode, ran.stdout) == (5, "the example\n")


@pytest.mark.skipif(bool(packages.version_of("amllog")), reason="an installed amllog brings the example")
def test_demo_says_where_the_example_is(clone: Any) -> None:
    """Without one it says what to do."""
    ran = clone()
    assert (ran.returncode, "make demo" in ran.stderr) == (2, True)
