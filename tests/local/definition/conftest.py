"""Files of the tests of the definition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from amllog.local.definition.file_reading import DefinitionResult, read_file

Reader = Callable[..., DefinitionResult]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    """Return a function that writes a pipeline and other files, and reads the pipeline with inputs."""
    monkeypatch.chdir(tmp_path)

    def write(text: str, inputs: Mapping[str, str] | None = None, **files: str) -> DefinitionResult:
        for name, content in {"pipeline": text, **files}.items():
            path = Path(f"{name.replace('__', '/')}.yml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        return read_file(Path("pipeline.yml"), inputs or {})

    return write
