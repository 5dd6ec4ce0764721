"""Run the KQL of `amllog query`, from its arguments, a file or stdin."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from amllog.cli import output
from amllog.cli.exit_codes import exit_code
from amllog.config import user_path
from amllog.errors import UsageError
from amllog.insights.insights import Insights
from amllog.insights.stores.local import duckdb_limits


def _read_kql(options: Namespace) -> str:
    """Return the query of the arguments, of a file or of stdin."""
    kql = " ".join(options.kql).strip()
    if options.file is None and kql != "-":
        name = kql.lstrip("@")
        if len(options.kql) == 1 and name and user_path.is_file(Path(name)):
            raise UsageError(f"{name} is a file: amllog query -f {name}")
        return kql
    if kql not in ("", "-"):
        raise UsageError("a query and a file: use only one of them")
    if options.file is None or str(options.file) == "-":
        return sys.stdin.read().strip()
    try:
        return str(options.file.read_text(encoding="utf-8-sig")).strip()
    except UnicodeDecodeError as error:
        raise UsageError(f"{options.file} is not in UTF-8: {error}") from None


def run_kql(options: Namespace, insights: Insights) -> int:
    """Run the query and print its answer."""
    kql = _read_kql(options)
    if not kql:
        raise UsageError("no query: amllog query 'traces | take 10', or amllog query -f FILE")
    duckdb_limits.PROCESS_MEMORY.claim()
    table = insights.store.query(kql)
    output.print_table(options, table, table.names)
    reading = table.reading
    if reading.unread or reading.ignored:
        return exit_code(options, table)
    for place in reading.empty_places:  # a query may count the records of an empty directory
        output.print_notice(f"no records in {place}")
    return 0
