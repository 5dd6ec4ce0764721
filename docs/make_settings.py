"""Write docs/settings.md from the tables in amllog/config: `make docs`. tests/test_docs.py compares the page."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from amllog.config.settings_table import SETTINGS
from amllog.config.variables import AMLLOG, EITHER, USER, VARIABLES

PAGE = Path(__file__).with_name("settings.md")
HEAD = """# Settings

Generated from `amllog/config/settings_table.py` and `amllog/config/variables.py` by `make docs`. Do not edit.

An argument of `amllog.setup()` wins over its environment variable, which wins over the default. Where a setting has
several variables, the first that is set counts. An empty one counts as not set. An unknown argument or a value that
is not allowed raises a `ConfigError`, which lists every problem. In an Azure ML job, invalid variables do not raise
(see `strict`). Variables that look like these and are unknown are reported with the nearest name.

| setting | environment variable | default | allowed | |
|---|---|---|---|---|
"""
VARIABLES_HEAD = """
## Other variables

These variables are not settings. `amllog.insights.connect()` and the commands that query read the first four.

| environment variable | set by | |
|---|---|---|
"""

SET_BY = {
    USER: "you",
    AMLLOG: "amllog, for child processes",
    EITHER: "you, and amllog for child processes",
}


def page() -> str:
    """Return the whole page."""
    settings = [
        (
            f"`{row.name}`",
            "<br>".join(f"`{name}`" for name in row.variables),
            row.default,
            row.allowed,
            row.sentence,
        )
        for row in SETTINGS
    ]
    variables = [(f"`{row.name}`", SET_BY[row.set_by], row.sentence) for row in VARIABLES]
    return HEAD + table(settings) + VARIABLES_HEAD + table(variables)


def table(rows: Iterable[tuple[str, ...]]) -> str:
    """Return the rows of a table in Markdown."""
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
