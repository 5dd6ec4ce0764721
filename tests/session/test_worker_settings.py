"""The arguments of setup() in the environment of worker processes."""

from __future__ import annotations

from pathlib import Path

from amllog.session import worker_settings


def test_arguments_without_secrets(tmp_path: Path) -> None:
    """Workers get the arguments that JSON can express, without secrets, and the parent's directory."""
    environ: dict[str, str] = {}
    arguments: dict[str, object] = {
        "level": "DEBUG",
        "step_name": None,
        "connection_string": "00000000-0000-0000-0000-0000000010ca",
        "dimensions": {"team": "nlp"},
        "build_url": "https://me:hunter22@build.invalid",
        "directory": Path("elsewhere"),
    }
    worker_settings.export_arguments(environ, arguments, tmp_path, lambda message: None)
    expected = {"level": "DEBUG", "dimensions": {"team": "nlp"}, "directory": str(tmp_path)}
    assert worker_settings.read_arguments(environ) == expected
    worker_settings.remove_arguments(environ)
    assert (environ, worker_settings.read_arguments(environ)) == ({}, None)


def test_long_arguments(tmp_path: Path) -> None:
    """An argument that is too long for the environment is left out with a notice."""
    environ: dict[str, str] = {}
    notices: list[str] = []
    arguments: dict[str, object] = {"level": "DEBUG", "dimensions": {"long": "x" * 100_000}}
    worker_settings.export_arguments(environ, arguments, tmp_path, notices.append)
    assert worker_settings.read_arguments(environ) == {"level": "DEBUG", "directory": str(tmp_path)}
    assert [notice.split(" is too long")[0] for notice in notices] == ["setup(dimensions=…)"]


def test_variable_of_another_program() -> None:
    """A variable that is not a JSON object is ignored."""
    for value in ("", "no JSON", "[1]"):
        assert worker_settings.read_arguments({worker_settings.WORKERS: value}) is None
