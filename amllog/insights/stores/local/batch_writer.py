"""Write the Parquet files of one batch, and commit the batch by way of the manifest.

The order of the steps makes a kill at any moment harmless. `compaction` describes it.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from urllib.parse import quote

from amllog.insights.query.sql import literal
from amllog.insights.stores.local import duckdb_views, open_files, ownership
from amllog.insights.stores.local.compaction_cleanup import (
    UNFINISHED_PREFIX,
    mark_begun,
    remove_unfinished,
    write_manifest,
)
from amllog.insights.stores.local.compaction_plan import BatchPlan
from amllog.insights.stores.local.duckdb_engine import Engine
from amllog.insights.stores.local.index import may_have_duplicates
from amllog.insights.stores.local.manifest import Batch, SourceFile, is_whole_parquet, read_batches
from amllog.journal import own_files


def commit_batch(engine: Engine, plan: BatchPlan, folder: Path) -> dict[str, str]:
    """Write a batch, and delete the ones that it replaces. Return its files by name, with their run ids."""
    outputs = _write_batch(engine, plan, folder)
    batches = read_batches(folder)
    write_manifest(folder, batches, list(outputs))
    for name in outputs:
        path = folder / name
        path.with_name(UNFINISHED_PREFIX + path.name).rename(path)
    new_batch = Batch(tuple(SourceFile(name, entry) for name, entry in plan.sources.items()), outputs)
    replaced = [name for batch in plan.replaced for name in batch.outputs]
    replaced_names = {*replaced}
    remaining = [batch for batch in batches if replaced_names.isdisjoint(batch.outputs)]
    write_manifest(folder, [*remaining, new_batch], replaced)
    remove_unfinished(engine, folder)
    return outputs


def _write_batch(engine: Engine, plan: BatchPlan, folder: Path) -> dict[str, str]:
    """Write one unfinished file per run. Return their final names, with the run ids.

    Errors come first, then the other records. Both are sorted by time. So most queries for errors read only the start
    of a file.
    """
    replaced = [folder / name for batch in plan.replaced for name in batch.outputs]
    # A line of a changed journal can be in a replaced file, too.
    deduplicate = bool(replaced) or may_have_duplicates(plan.sources.values())
    as_text = ", ".join(f"CAST({name} AS VARCHAR) AS {name}" for name in duckdb_views.JSON_COLUMNS)
    rows = f"SELECT * REPLACE ({as_text}, coalesce(parent_run_id, '') AS parent_run_id)"
    with open_files.open_all(plan.inputs, filter(is_whole_parquet, replaced)) as opened:
        for error in opened.unread.values():
            raise error
        records = duckdb_views.records(
            [opened.names[path] for path in plan.inputs],
            [opened.names[path] for path in replaced if path in opened.names],
            deduplicate=deduplicate,
        )
        engine.run(f"CREATE OR REPLACE TEMP TABLE batch AS {rows} FROM ({records})")
    outputs: dict[str, str] = {}
    for (run,) in engine.run("SELECT DISTINCT parent_run_id FROM batch ORDER BY 1").rows:
        name = f"{run_folder(run)}/{uuid.uuid4().hex}.parquet"
        unfinished = folder / name.replace("/", f"/{UNFINISHED_PREFIX}")
        ownership.make_user_directory(unfinished.parent)
        mark_begun(unfinished)
        _write_parquet(
            engine,
            unfinished,
            f"SELECT * EXCLUDE (parent_run_id) FROM batch WHERE parent_run_id = {literal(run)} "
            "ORDER BY is_error DESC, timestamp",
        )
        outputs[name] = run
    engine.run("DROP TABLE batch")
    return outputs


def _write_parquet(engine: Engine, path: Path, select: str) -> None:
    """Write the rows of a SELECT into a new Parquet file that no other user can read at any moment.

    Its times are marked as UTC. Without the time zone, other programs would read them as local times.
    """
    fd = own_files.open_regular(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    with open(fd, "r+b") as file:
        name = literal(open_files.descriptor_path(fd) or str(path))
        # With USE_TMP_FILE, DuckDB would replace the file by another one, with a mode by the umask.
        engine.run(
            f"COPY (SELECT * REPLACE (timestamp AT TIME ZONE 'UTC' AS timestamp) FROM ({select})) TO {name} "
            "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480, USE_TMP_FILE false)"
        )
        os.fsync(file.fileno())  # the files that it replaces will be deleted


def run_folder(run: str) -> str:
    """Return the name of the folder for the files of a run."""
    return f"parent_run_id={quote(run, safe='') or duckdb_views.NO_RUN}"
