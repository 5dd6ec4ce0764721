"""The tables of bench/example_files.py: totals, causes, the files that do not run, and those that run."""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from example_data import CAUSES

from amllog.local.execution.step_events import RunResult

# Counted by the features of the files, so the last one also contains files that need the web.
TARGETS = {"unchanged": 41, "with inputs": 48, "with parallel and sweep": 58}
LEVELS = [*TARGETS, "with spark"]
REPORTED = 300  # characters of a message
_PATTERNS = {
    "in a registry": "a component of a registry",
    "in the service only": "automl or a prompt flow, which run in the service only",
    "in a workspace": "a component of a workspace that is not in the checkout",
    "no local path for": "data of a workspace or of the web",
    "is not installed": "a package is missing",
}


class FileResult(NamedTuple):
    """The result of one file. `level` is a key of LEVELS, and `cause` is for the row of its cause."""

    name: str
    verdict: str  # ran, partly, failed, not started
    level: str
    cause: str = ""
    reason: str = ""
    seconds: float = 0.0
    run: RunResult | None = None


def cause_of(name: str, reason: str) -> str:
    """Return the kind of a reason, so that the files of one cause are one row."""
    if name in CAUSES:
        return CAUSES[name]
    return next((cause for pattern, cause in _PATTERNS.items() if re.search(pattern, reason)), "failed here")


def totals(results: list[FileResult]) -> dict[str, int]:
    """Return the number of files that ran. Each total contains those before it."""
    counts = Counter(result.level for result in results if result.verdict in {"ran", "planned"})
    return {level: sum(counts[lower] for lower in LEVELS[: n + 1]) for n, level in enumerate(LEVELS)}


def page(results: list[FileResult]) -> str:
    """Return the tables in Markdown."""
    lines = ["| files that ran | count | must reach |", "|---|---|---|"]
    lines += [f"| {what} | {count} | {TARGETS.get(what, '')} |" for what, count in totals(results).items()]
    failed = [result for result in results if result.cause]
    lines += ["", f"| why {len(failed)} of {len(results)} files do not run | files |", "|---|---|"]
    causes = Counter(result.cause for result in failed)
    lines += [f"| {cause} | {count} |" for cause, count in causes.most_common()]
    lines += ["", "| file that does not run | result | why | first message |", "|---|---|---|---|"]
    for result in failed:
        message = " ".join(result.reason.split()).replace("|", "\\|")[:REPORTED]
        lines.append(f"| {result.name} | {result.verdict} | {result.cause} | {message} |")
    lines += ["", "| file that runs | counts for | seconds |", "|---|---|---|"]
    lines += [f"| {r.name} | {r.level} | {r.seconds:.1f} |" for r in results if not r.cause]
    return "\n".join(lines) + "\n"
