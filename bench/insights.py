"""What reading costs: questions over one large run, beside a bare DuckDB scan of the same files.

In: how many records (default 1,000,000: 20 steps, 200 files, about 1 GB), a folder for them (default: a temporary one).
Out: a table; each figure is the median of interleaved rounds. Exit code 1 if a row is not reached.

    python bench/insights.py 1000000 --folder /data/bench --markdown insights.md
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
from rows import Row, report

from amllog.insights import connect
from amllog.insights.stores.local.compaction import compact

RUN = "93102f5a-5b0c-4c3e-9e62-2f2f6a6a6d11"
SMALL = "0e5f3e0c-0d1f-4b53-8a43-6a2f6a6a6d12"  # another run, of one file, in the same folder
STEPS, FILES, ROUNDS = 20, 200, 5
MEGABYTE = 1_000_000
BEGAN = datetime(2026, 11, 22, 10, tzinfo=timezone.utc)
BARE = """
SELECT time, data.baseData.message FROM read_json(?, format = 'newline_delimited', ignore_errors = true, columns = {
  time: 'VARCHAR',
  data: 'STRUCT(baseType VARCHAR, baseData STRUCT(message VARCHAR, severityLevel INTEGER, properties JSON))'
}) WHERE (data.baseData.properties->>'parent_run_id') = ? AND data.baseData.severityLevel >= 3
"""


def main() -> int:
    """Make the records where they are missing, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("records", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--markdown", type=Path, help="keep the table in this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if not any(folder.glob("*.jsonl")):
            make(folder, options.records)
        return report(measure(folder), options.markdown)


def measure(folder: Path) -> Iterator[Row]:
    """Before compaction, then after it; the very first question makes the index."""
    for cache in (folder / ".amllog-index.json", *(folder / "compacted").glob("_manifest.json")):
        cache.unlink(missing_ok=True)
    paths = sorted(folder.glob("*.jsonl"))
    run = [str(path) for path in paths if SMALL[:8] not in path.name]
    size = sum(path.stat().st_size for path in paths)

    def bare() -> list[Any]:
        with duckdb.connect() as database:
            return database.execute(BARE, [run, RUN]).fetchall()

    bare()  # the files are in the machine's cache from here on
    first, _ = timed(lambda: connect(folder).errors(parent_run_id=RUN))
    asked = connect(folder)
    ask = {"bare": bare, **questions(asked)}
    before, found = medians(ask)
    scan = before["bare"]

    def beside(what: str, seconds: float, bar: float | None = None, detail: str = "") -> Row:
        return Row(
            f"{what} / the bare scan", seconds / scan, bar, detail=f"{seconds:.2f} s to {scan:.2f} s{detail}"
        )

    told = f"; {found['errors']:,} rows of {len(run)} files, {size / MEGABYTE:,.0f} MB"
    yield beside("`errors(parent_run_id=…)`", before["errors"], 1.3, told)
    yield beside("the same, the first time: makes the index", first)
    yield beside("the same, after one file grew", grown(folder, paths[0]))
    for name in list(ask)[2:]:
        yield beside(name, before[name], detail=f"; {found[name]:,} rows")
    yield Row("`amllog logs RUN` on a terminal: s to its 50th line", to_line(50, folder), None,
              detail=f"`amllog --version`: {to_line(1, folder, '--version'):.2f} s")  # fmt: skip
    seconds, _ = timed(lambda: compact(folder, idle=timedelta(0)))
    packed = sum(path.stat().st_size for path in (folder / "compacted").rglob("*.parquet"))
    yield beside(
        "`compact`", seconds, detail=f"; {size / MEGABYTE:,.0f} MB become {packed / MEGABYTE:,.0f} MB"
    )
    after, again = medians(questions(connect(folder)))
    assert again == {name: found[name] for name in again}, (found, again)
    for name, seconds in after.items():
        yield Row(f"{name}: times faster when compacted", before[name] / seconds, 5 if name == "errors" else None, True,
                  detail=f"{seconds:.2f} s from {before[name]:.2f} s")  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGABYTE
    yield Row("peak memory of all this in one process, MB", peak, 1024)


def questions(asked: Any) -> dict[str, Callable[[], Any]]:
    """What people ask first."""
    return {
        "errors": lambda: asked.errors(parent_run_id=RUN),
        "first 50 of `logs`": lambda: asked.logs(RUN, limit=50),
        "last 50 of `logs`": lambda: asked.logs(RUN, limit=50, newest_first=True),
        "`steps`": lambda: asked.steps(RUN),
        "`errors` of one step": lambda: asked.errors(step_name="step 07"),
        "`metrics`, one name": lambda: asked.metrics(RUN, name="loss"),
        "`logs` of a run of one file": lambda: asked.logs(SMALL),
    }


def timed(ask: Callable[[], Any]) -> tuple[float, int]:
    """Seconds, and how many rows."""
    began = time.perf_counter()
    found = ask()
    return time.perf_counter() - began, len(found)


def medians(ask: dict[str, Callable[[], Any]]) -> tuple[dict[str, float], dict[str, int]]:
    """All in turn, several times: the median seconds of each, and its rows."""
    seconds: dict[str, list[float]] = {name: [] for name in ask}
    rows = {}
    for _ in range(ROUNDS):
        for name, one in ask.items():
            took, rows[name] = timed(one)
            seconds[name].append(took)
    return {name: statistics.median(many) for name, many in seconds.items()}, rows


def grown(folder: Path, path: Path) -> float:
    """The seconds of a question in a process that finds a file longer than its index says."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(lines(int(time.time()), 0, 1, random.Random(2)))
    return timed(lambda: connect(folder).errors(parent_run_id=RUN))[0]


def to_line(number: int, folder: Path, *arguments: str) -> float:
    """The seconds from the start of the command to its line of that number, on a terminal."""
    command = [sys.executable, "-m", "amllog", *(arguments or ("logs", RUN))]
    terminal, far_end = pty.openpty()
    began = time.perf_counter()
    environment = {**os.environ, "PAGER": "cat", "AMLLOG_DIR": str(folder)}
    with subprocess.Popen(
        command, stdin=far_end, stdout=far_end, stderr=subprocess.DEVNULL, env=environment
    ) as child:
        os.close(far_end)
        seen = 0
        while seen < number:
            seen += os.read(terminal, 4096).count(b"\n")
        took = time.perf_counter() - began
        child.kill()
    os.close(terminal)
    return took


def make(folder: Path, records: int) -> None:
    """Journals of a run as amllog writes them: in 1,000 records 2 exceptions, 3 errors and 48 metric values."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(1)
    for number in range(FILES):
        step = number * STEPS // FILES
        name = f"20261122T{10 + step // 60:02d}{step % 60:02d}{number % 60:02d}-node-{1000 + number}-{number:06x}.jsonl"
        with (folder / name).open("w", encoding="utf-8") as file:
            file.writelines(lines(number, step, records // FILES, chance))
    with (folder / f"20261122T100000-node-1-{SMALL[:8]}.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(one.replace(RUN, SMALL) for one in lines(FILES, 0, 1000, chance))


def lines(number: int, step: int, count: int, chance: random.Random) -> Iterator[str]:
    """One file's lines."""
    own = {
        "parent_run_id": RUN, "step_id": f"{RUN[:8]}-step-{step:02d}", "step_name": f"step {step:02d}",
        "experiment_name": "main", "run_url": f"https://ml.azure.com/runs/{RUN}?wsid=/subscriptions/s/workspaces/ws",
        "run_type": "training", "node": f"node{number % 10}", "process": "MainProcess", "module": "train",
        "fileName": "/mnt/azureml/cr/j/exe/wd/train.py", "lineNumber": "118", "logger": "train",
    }  # fmt: skip
    tags = {
        "ai.cloud.role": own["step_name"], "ai.cloud.roleInstance": own["node"],
        "ai.internal.sdkVersion": "py3.11.7:amllog0.1.0", "ai.operation.name": own["step_name"],
        "ai.operation.id": RUN.replace("-", ""), "ai.operation.parentId": f"{step:016x}",
    }  # fmt: skip
    for index in range(count):
        when = BEGAN + timedelta(seconds=step * 600 + index * 600 / count)
        kind, base = content(index, count, step, chance.random())
        base["properties"] = {**own, **base.pop("own", {}), "record_id": f"{number:08x}-{index:x}"}
        head = {
            "time": f"{when:%Y-%m-%dT%H:%M:%S.%f}Z",
            "iKey": "00000000-0000-0000-0000-000000000000",
            "ver": 1,
        }
        data = {"baseType": kind, "baseData": {"ver": 2, **base}}
        yield json.dumps({**head, "tags": tags, "data": data}, separators=(",", ":")) + "\n"


def content(index: int, count: int, step: int, chance: float) -> tuple[str, dict[str, Any]]:
    """What one record says: the last of a file is the end of its step."""
    if index == count - 1:
        outcome = {"success": step != 13, "responseCode": "0" if step != 13 else "ValueError"}
        return "RequestData", {
            "name": f"step {step:02d}",
            "id": f"{step:016x}",
            "duration": "0.00:09:59.0",
            **outcome,
        }
    if chance < 0.002:
        stack = 'Traceback (most recent call last):\n  File "train.py", line 118, in fit\nValueError: shapes differ'
        frames = [{"level": 0, "method": "fit", "fileName": "train.py", "line": 118}]
        one = {
            "id": 1,
            "outerId": 0,
            "typeName": "ValueError",
            "message": "shapes differ",
            "hasFullStack": True,
        }
        error = {"exceptions": [{**one, "stack": stack, "parsedStack": frames}], "severityLevel": 3}
        return "ExceptionData", {
            **error,
            "problemId": "ValueError at train.py:fit",
            "own": {"level": "ERROR"},
        }
    if chance < 0.05:
        return "MetricData", {
            "metrics": [{"name": "loss", "value": chance, "count": 1}],
            "own": {"step": str(index)},
        }
    bad = chance > 0.997
    message = (
        f"epoch {index // 100} batch {index} of the training set was read from the store and is being fitted"
    )
    own = {"level": "ERROR" if bad else "INFO", "epoch": str(index // 100), "rows": str(index)}
    return "MessageData", {"message": message, "severityLevel": 3 if bad else 1, "own": own}


if __name__ == "__main__":
    sys.exit(main())
