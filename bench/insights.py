"""What reading costs: questions over one large run, beside a bare DuckDB scan of the same files.

In: how many records (default 1,000,000: 20 steps, 200 files, about 1 GB), a folder for them (default: a temporary one).
Out: a table on stdout: the best of several rounds, in seconds of wall clock and of processor, and the peak memory.

    python bench/insights.py 1000000 --folder /data/bench
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from amllog.insights import connect
from amllog.insights.compaction import compact

RUN = "93102f5a-5b0c-4c3e-9e62-2f2f6a6a6d11"
STEPS, FILES, ROUNDS = 20, 200, 3
BEGAN = datetime(2026, 11, 22, 10, tzinfo=timezone.utc)
BARE = """
SELECT time, data.baseData.message FROM read_json(?, format = 'newline_delimited', ignore_errors = true, columns = {
  time: 'VARCHAR',
  data: 'STRUCT(baseType VARCHAR, baseData STRUCT(message VARCHAR, severityLevel INTEGER, properties JSON))'
}) WHERE (data.baseData.properties->>'parent_run_id') = ? AND data.baseData.severityLevel >= 3
"""


def main() -> None:
    """Make the records where they are missing, measure, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("records", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if not any(folder.glob("*.jsonl")):
            make(folder, options.records)
        measure(folder)


def measure(folder: Path) -> None:
    """Each question, before and after compaction; the first round of all makes the index."""
    import duckdb

    paths = [str(path) for path in folder.glob("*.jsonl")]
    (folder / ".amllog-index.json").unlink(missing_ok=True)
    print(f"{len(paths)} files, {sum(Path(one).stat().st_size for one in paths) / 1e6:.0f} MB")
    print(f"{'':32}{'wall s':>8}{'cpu s':>8}{'rows':>9}")
    bare = duckdb.connect()
    row("bare DuckDB scan", lambda: bare.execute(BARE, [paths, RUN]).fetchall())
    bare.close()
    row("errors, with making the index", lambda: connect(folder).errors(parent_run_id=RUN), rounds=1)
    questions(folder, "")
    row("compact", lambda: compact(folder, idle=timedelta(0)), rounds=1)
    questions(folder, ", compacted")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def questions(folder: Path, state: str) -> None:
    """The questions that people ask first."""
    asked = connect(folder)
    row(f"errors{state}", lambda: asked.errors(parent_run_id=RUN))
    row(f"first 50 of logs{state}", lambda: asked.logs(RUN, limit=50))
    row(f"last 50 of logs{state}", lambda: asked.logs(RUN, limit=50, newest_first=True))
    row(f"steps{state}", lambda: asked.steps(RUN))
    row(f"errors of one step{state}", lambda: asked.errors(step_name="step 07"))


def row(name: str, ask: Callable[[], Any], rounds: int = ROUNDS) -> None:
    """One line: the best of the rounds."""
    best = (float("inf"), float("inf"))
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        found = ask()
        best = min(best, (time.perf_counter() - wall, time.process_time() - cpu))
    print(f"{name:32}{best[0]:8.2f}{best[1]:8.2f}{len(found):9}", flush=True)


def make(folder: Path, records: int) -> None:
    """Journals of a run as amllog writes them: in 1,000 records 2 exceptions, 3 errors and 48 metric values."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(1)
    for number in range(FILES):
        step = number * STEPS // FILES
        name = f"20261122T{10 + step // 60:02d}{step % 60:02d}{number % 60:02d}-node-{1000 + number}-{number:06x}.jsonl"
        with (folder / name).open("w", encoding="utf-8") as file:
            file.writelines(lines(number, step, records // FILES, chance))


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
    main()
