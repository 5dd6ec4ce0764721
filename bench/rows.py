"""The table of the benchmarks, in Markdown: a row for each figure with its limit, below the machine and the date."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Row(NamedTuple):
    """One row of the table. Without a `bar` it is printed and not judged."""

    what: str
    ratio: float
    bar: float | None
    more_is_better: bool = False
    detail: str = ""

    @property
    def reached(self) -> bool:
        if self.bar is None:
            return True
        return self.ratio >= self.bar if self.more_is_better else self.ratio <= self.bar

    def __str__(self) -> str:
        return f"{'' if self.reached else 'NOT REACHED: '}{self.what}: {self.ratio:.3g} ({self.detail})"


def report(measured: Iterable[Row], markdown: Path | None) -> int:
    """Print each row as it is measured, then the table, and write the table to `markdown`.

    Returns the exit code: 1 if a row does not reach its bar.
    """
    rows = []
    for row in measured:
        rows.append(row)
        print(row, flush=True)
    text = _page(rows)
    print(f"\n{text}")
    if markdown:
        markdown.write_text(text, encoding="utf-8")
    return 0 if all(row.reached for row in rows) else 1


def _page(rows: list[Row]) -> str:
    """Return the table with the machine and the date of the measurement."""
    day = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return f"Measured on {day}: {machine}, Python {platform.python_version()}.\n\n{_table(rows)}\n"


def _table(rows: list[Row]) -> str:
    lines = ["| what | measured | must reach | | |", "|---|---|---|---|---|"]
    for row in rows:
        bar = f"{'≥' if row.more_is_better else '≤'} {row.bar:g}" if row.bar is not None else ""
        verdict = ("yes" if row.reached else "**no**") if bar else ""
        lines.append(f"| {row.what} | {row.ratio:.3g} | {bar} | {verdict} | {row.detail} |")
    return "\n".join(lines)
