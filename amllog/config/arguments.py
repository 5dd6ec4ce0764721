"""The keyword arguments of `setup()` for type checkers and editors.

settings_table.py describes each argument. `setup()` does not use this module, because it reports an unknown argument
together with all other problems in one ConfigError.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypedDict, Union

Level = Union[int, str, None]


class Arguments(TypedDict, total=False):
    """One key for each setting. None means that the argument is not passed."""

    connection_string: str | None
    exporter: str | None
    metrics: str | None
    metrics_ranks: int | str | None
    level: Level
    driver_level: Level
    insights_level: Level
    driver_format: str | None
    directory: str | Path | None
    run_type: str | None
    build_url: str | None
    build_version: str | None
    step_name: str | None
    experiment_name: str | None
    dimensions: Mapping[str, object] | str | None
    capture: Iterable[str] | str | None
    redact: Iterable[str] | str | None
    grace_seconds: float | str | None
    journal_max_bytes: float | str | None
    debug: bool | str | None
    debug_address: str | int | None
    debug_seconds: float | str | None
    strict: bool | str | None
