"""The ground that tests stand on: they stay on this machine, start clean, and each is a sentence."""

from __future__ import annotations

import ast
import os
import re
import socket
from pathlib import Path

import pytest

TESTS = sorted(Path(__file__).parent.rglob("test_*.py"))
REACH = "import socket; socket.create_connection(('{}', 80), timeout=1)"


@pytest.mark.parametrize("host", ["192.0.2.1", "telemetry.example.com"])
def test_a_child_that_reaches_off_the_machine_is_refused_and_noted(host: str, child, tmp_path: Path) -> None:
    """It gets the answer of a machine without a network, and the address is noted for the test to fail."""
    noted = tmp_path / "noted"
    ran = child(REACH.format(host), env={"REACHED_FILE": str(noted)})
    assert "tests stay on this machine" in ran.stderr
    assert noted.read_text(encoding="utf-8").split() == [host]


def test_an_unreachable_host_is_had_on_purpose() -> None:
    """A name under `.invalid` has no address, and asking for it is no fault."""
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("nowhere.invalid", 443)


def test_every_test_starts_on_a_laptop_where_nobody_set_anything_up(tmp_path: Path) -> None:
    """No variable of Azure, of CI or of a proxy is left, home is empty, and the folder is the test's own."""
    left = ("AZUREML_", "AMLLOG_", "MLFLOW_", "APPINSIGHTS_", "GITHUB_", "BUILD_", "CI")
    assert [name for name in os.environ if name.startswith(left) or name.lower().endswith("_proxy")] == []
    assert list(Path.home().iterdir()) == []
    assert Path.cwd() == tmp_path


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_tests_are_sentences_without_patches(path: Path) -> None:
    """Every test says in one sentence what holds, and none of them replaces a part of what it tests."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    tests = [node for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    sentences = {test.name: ast.get_docstring(test) or "" for test in tests}
    assert [
        name
        for name, sentence in sentences.items()
        if "\n\n" in sentence or not sentence.endswith((".", "?", "!"))
    ] == []
    calls = [ast.unparse(node) for node in nodes if isinstance(node, (ast.Call, ast.Import, ast.ImportFrom))]
    patches = re.compile(
        r"(from|import) (unittest.)?mock|mocker\.|(mock\.)?patch\(|monkeypatch\.setattr\((?!sys, )"
    )
    assert [call for call in calls if patches.match(call)] == []
