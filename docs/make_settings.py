"""Writes docs/settings.md from the table in amllog/config/settings.py: `make docs`; tests/test_docs.py compares."""

from __future__ import annotations

from pathlib import Path

from amllog.config.settings import SETTINGS

PAGE = Path(__file__).with_name("settings.md")
HEAD = """# Settings

Made from `amllog/config/settings.py` by `make docs`; do not edit.

An argument of `amllog.setup()` wins over its environment variable, which wins over the default. Where a setting has
several variables, the first that is set counts; an empty one counts as not set. An unknown argument or a value that
is not allowed is a `ConfigError`, which lists every problem at once.

| setting | environment variable | default | allowed | |
|---|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    rows = [
        (
            f"`{row.name}`",
            "<br>".join(f"`{name}`" for name in row.variables),
            row.default,
            row.allowed,
            row.sentence,
        )
        for row in SETTINGS
    ]
    return HEAD + "".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
