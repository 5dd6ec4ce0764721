"""`amllog compact`: old journals → Parquet, partitioned by run.

In: parsed options, the environment. Out: what was compacted, and what was left and why; exit code 0, or UsageError.
"""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from amllog.cli import rows
from amllog.cli.status import directory_of
from amllog.record.text import escape_controls

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SIZES = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def add(commands: Any, command: Callable[..., ArgumentParser]) -> None:
    """What the command accepts; `command` adds one to `commands`."""
    found = command(
        commands, "compact", "write old journals as Parquet: smaller, and faster to ask",
        "\n\nBelow DIR/compacted, a folder for each pipeline run, which Spark, Fabric and Azure Data Explorer\n"
        "read too (docs/scale.md). The journal files stay. Needs pip install 'amllog[insights]'.",
        "  amllog compact\n  amllog compact downloaded/logs/amllog --idle 0s --json",
    )  # fmt: skip
    found.add_argument("directory", nargs="?", type=Path, metavar="DIR",
                       help="the journal directory (default: AMLLOG_DIR, ./.amllog or ./logs/amllog)")  # fmt: skip
    found.add_argument("--idle", type=_idle, default=timedelta(minutes=10), metavar="TIME",
                       help="only files not written to for this long: 0s, 24h, 7d (default: 10m)")  # fmt: skip
    found.add_argument("--json", action="store_true", help="the answer as JSON")


def compact(options: Namespace, environ: Mapping[str, str]) -> int:
    """Compact a directory, and tell what came of it."""
    from amllog.insights.stores.local.compaction import compact as compacted

    directory = directory_of(options, environ)
    watched = sys.stderr.isatty() and not options.json
    done = compacted(directory, idle=options.idle, progress=_progress if watched else None)
    if options.json:
        rows.answer(rows.as_json({"directory": str(directory), **done._asdict()}))
        return 0
    if done.sources:
        before = f"{rows.count(done.sources, 'journal file')}, {_size(done.source_bytes)}"
        after = f"{rows.count(done.outputs, 'Parquet file')}, {_size(done.output_bytes)}"
        rows.answer(
            f"before: {before}\nafter:  {after}, below {escape_controls(str(directory / 'compacted'))}"
        )
    else:
        rows.answer("nothing to compact")
    reasons = (
        (done.written, "written to not long ago (--idle), or still being written"),
        (done.before, "compacted before"),
        (done.empty, "without a record in it"),
        (done.too_long, "with a run whose id is too long for a folder's name"),
        (done.others, "of another user than you, root and the owner of the directory"),
    )
    for number, reason in reasons:
        if number:
            rows.answer(f"left:   {rows.count(number, 'file')}, {reason}")
    for one in done.unread:
        rows.notice(f"not read: {one}")
    if done.unknown:
        rows.notice(
            f"{rows.count(done.unknown, 'Parquet file')} there that no compaction of this folder knows: "
            "amllog passes them by, other readers count them"
        )
    if done.sources:
        rows.notice("the journal files stay; `amllog status` tells whether they still wait to be delivered")
    return 0


def _progress(done: int, all_: int) -> None:
    rows.notice(f"{_size(done)} of {_size(all_)}")


def _size(size: int) -> str:
    for unit, name in _SIZES:
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return rows.count(size, "byte")


def _idle(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if match is None:
        raise ArgumentTypeError(f"{text!r}: a whole number and s, m, h or d, such as 10m")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
