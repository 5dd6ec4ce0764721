"""`amllog demo`: the example pipeline."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import amllog
from amllog.cli.doctor import packages


@pytest.fixture
def clone(child: Any, tmp_path: Path) -> Any:
    """A function that runs `amllog demo` from a copy of the package that is not installed."""
    shutil.copytree(Path(amllog.__file__).parent, tmp_path / "clone" / "amllog")
    path = os.pathsep.join([str(tmp_path / "clone"), os.environ["PYTHONPATH"]])
    code = "import sys; from amllog.cli.main import main; sys.exit(main(['demo']))"
    return lambda: child(code, env={"PYTHONPATH": path})


def test_demo_runs_the_example(clone: Any, tmp_path: Path) -> None:
    """The example runs once its packages are installed, and its exit code is kept."""
    example = tmp_path / "clone" / "examples" / "pipeline" / "run.py"
    example.parent.mkdir(parents=True)
    example.write_text("import sys; print('the example'); sys.exit(5)")
    for name in ("sklearn", "cryptography"):
        (tmp_path / "clone" / f"{name}.py").touch()
    ran = clone()
    assert (ran.returncode, ran.stdout) == (5, "the example\n")


@pytest.mark.skipif(bool(packages.version_of("amllog")), reason="an installed amllog brings the example")
def test_a_missing_example(clone: Any) -> None:
    """Without the example, the error contains the command that runs it."""
    ran = clone()
    assert (ran.returncode, "make demo" in ran.stderr) == (2, True)
