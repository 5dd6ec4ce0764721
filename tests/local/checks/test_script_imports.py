"""Tests of the modules that a script imports whenever it runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from amllog.local.checks.script_imports import has_function, imported_code


def write(folder: Path, **files: str) -> Path:
    """Write files, `a_in_b` for `b/a.py`, and return the folder."""
    for name, text in files.items():
        module, _, package = name.partition("_in_")
        file = folder / package / f"{module}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def test_imports_that_surely_run(tmp_path: Path) -> None:
    """Imports at the top level count. Those in functions, try blocks and conditions do not."""
    script = """\
import os, numpy.linalg
from azureml.core import Run
if True:
    import maybe
try:
    import cupy
except ImportError:
    pass
def main():
    import lazy
if __name__ == "__main__":
    import last
from . import nothing
"""
    code = imported_code(write(tmp_path, train=script) / "train.py", [tmp_path])
    assert [(module.name, module.line) for module in code.modules] == [
        ("os", 1), ("numpy.linalg", 1), ("azureml.core", 2), ("last", 12),
    ]  # fmt: skip
    assert (code.is_search_path_known, code.are_packages_known) == (True, True)


def test_a_deep_condition_is_no_error(tmp_path: Path) -> None:
    """A condition with a thousand terms is as good as any other."""
    script = f"if {'+'.join(['1'] * 900)}:\n    import maybe\nif '__main__' == __name__:\n    import last\n"
    code = imported_code(write(tmp_path, train=script) / "train.py", [tmp_path])
    assert [module.name for module in code.modules] == ["last"]


def test_own_modules_are_read_in_turn(tmp_path: Path) -> None:
    """A module in the code folder is no package. Its imports count, also in a cycle."""
    write(
        tmp_path,
        train="import helper\nimport pkg.part\nimport space.x",
        helper="import train\nimport pandas",
        __init___in_pkg="from .other import y\nfrom . import third",
        part_in_pkg="import scipy\nif __name__ == '__main__':\n    import never",
        other_in_pkg="import sklearn",
        third_in_pkg="import lightgbm",
        x_in_space="import torch",
    )
    code = imported_code(tmp_path / "train.py", [tmp_path])
    assert {module.name for module in code.modules} == {"pandas", "scipy", "sklearn", "torch", "lightgbm"}
    pandas = next(module for module in code.modules if module.name == "pandas")
    assert (pandas.file, pandas.line) == (tmp_path / "helper.py", 2)


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("import sys\nsys.path.append('x')\nimport a", (False, True)),
        (
            "import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'pip', 'install', 'a'])",
            (True, False),
        ),
        ("import os\nos.system('pip install a')", (True, False)),
        ("import os", (True, True)),
    ],
)
def test_scripts_that_change_what_can_be_imported(
    tmp_path: Path, text: str, known: tuple[bool, bool]
) -> None:
    """A script that changes the search path or installs packages is known as such."""
    code = imported_code(write(tmp_path, train=text) / "train.py", [tmp_path])
    assert (code.is_search_path_known, code.are_packages_known) == known


def test_functions(tmp_path: Path) -> None:
    """A function is defined, imported or assigned. A script with a syntax error may have any."""
    texts = [
        "def run(b): pass",
        "from x import *",
        "from x import f as run",
        "run = f",
        "x = run",
        "def run(",
        "",
    ]
    results = [has_function(write(tmp_path, s=text) / "s.py", "run") for text in texts]
    assert results == [True, True, True, True, False, True, False]


@given(st.binary())
def test_any_script(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Any bytes as a script give a result."""
    script = tmp_path_factory.getbasetemp() / "any-script.py"
    script.write_bytes(content)
    assert imported_code(script, [script.parent]).files == [script]
