"""Tests of the tests: they stay on this machine, start clean, and each has a sentence and no patch."""

from __future__ import annotations

import ast
import os
import re
import socket
from pathlib import Path

import pytest

from .conftest import ONCE, SLOW  # isort: skip

TESTS = sorted(Path(__file__).parent.rglob("test_*.py"))
CONNECT = "import socket; socket.create_connection(('{}', 80), timeout=1)"


@pytest.mark.parametrize("host", ["192.0.2.1", "telemetry.example.com"])
def test_a_connection_to_another_machine_is_rejected_and_recorded(host: str, child, tmp_path: Path) -> None:
    """A child gets the error of a machine without a network, and the address is recorded, so that its test fails."""
    recorded = tmp_path / "recorded"
    ran = child(CONNECT.format(host), env={"REACHED_FILE": str(recorded)})
    assert "tests stay on this machine" in ran.stderr
    assert recorded.read_text(encoding="utf-8").split() == [host]


def test_an_invalid_host_is_unreachable() -> None:
    """A name under `.invalid` has no address, and resolving it does not fail the test."""
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("nowhere.invalid", 443)


def test_every_test_starts_with_a_clean_environment(tmp_path: Path) -> None:
    """No variable of Azure, CI or a proxy is set, the home is empty, and the current folder is the test's."""
    removed = ("AZUREML_", "AMLLOG_", "MLFLOW_", "APPINSIGHTS_", "GITHUB_", "BUILD_", "CI")
    assert [name for name in os.environ if name.startswith(removed) or name.lower().endswith("_proxy")] == []
    assert list(Path.home().iterdir()) == []
    assert Path.cwd() == tmp_path


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_tests_are_sentences_without_patches(path: Path) -> None:
    """Every test states the expected behaviour in one sentence, and none patches the tested code."""
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


@pytest.mark.parametrize("place", sorted({*SLOW, *ONCE}))
def test_slow_places_exist(place: str) -> None:
    """Each place in the lists of slow tests is a folder or a file of tests, so that renamed ones stay slow."""
    path = Path(__file__).parent / place
    assert path.is_dir() or path.with_suffix(".py").is_file()
