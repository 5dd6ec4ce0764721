"""Undelivered records and living processes in a story."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from amllog.insights import connect
from amllog.journal.lock import file_node

from ..conftest import log, step  # isort: skip
from .conftest import KILLED, start_step  # isort: skip


def test_pending_records(child: Any, tmp_path: Path) -> None:
    """Pending records are reported with a command for a shell, without files that `amllog.local` received."""
    connection_string = (
        "InstrumentationKey=00000000-0000-0000-0000-0000000010ca;IngestionEndpoint=https://127.0.0.1:9/"
    )
    env = {"AMLLOG_DIR": str(tmp_path / "my j"), "APPLICATIONINSIGHTS_CONNECTION_STRING": connection_string}
    ran = child("import amllog; amllog.setup(metrics='none', grace_seconds=0.1).info('kept')", env=env)
    assert ran.returncode == 0, ran.stderr
    directory, received = tmp_path / "my j", tmp_path / "received"
    received.mkdir()
    (segment,) = directory.glob("*.jsonl")
    shutil.copy(segment, received / "20261122T100000-local-1-abcd.jsonl")
    story = connect(tmp_path).story()
    assert story.missing == (
        f"not sent yet: 2 records for app_insights, in {directory} (amllog deliver '{directory}')",
    )


def test_a_step_that_is_still_running(child: Any, tmp_path: Path) -> None:
    """A step whose journal is held by a process is still running."""
    process = start_step(child, tmp_path, "train", KILLED)
    while "ready" not in process.stdout.readline():
        assert process.poll() is None
    assert "has not ended: it is still running (a process" in connect(tmp_path).story().missing[0]
    process.kill()
    process.wait(600)


def test_the_process_of_other_files_is_unknown(journal: Callable[..., Path]) -> None:
    """Files of other SDKs do not show whether their process was killed."""
    other = journal(log("x"), name="envelopes.jsonl")
    (sentence,) = connect(other.parent).story().missing
    assert "has not ended: it was killed, or is still running. Its last record" in sentence


def test_a_step_of_another_node_is_not_known_to_be_killed(journal: Callable[..., Path]) -> None:
    """A free lock proves nothing about a process of another node, whose journal was downloaded."""
    other = journal(log("x"), name="20261122T100000-gpu_node_7-4711-abcdef.jsonl")
    (sentence,) = connect(other.parent).story().missing
    assert "it was killed, or is still running on node gpu_node_7. Its last record" in sentence
    here = f"20261122T100000-{file_node(platform.node())}-4711-abcdef.jsonl"
    other.rename(other.with_name(here))
    assert "it was killed (no process on this machine" in connect(other.parent).story().missing[0]


def test_refused_records(journal: Callable[..., Path]) -> None:
    """Refused records are reported from the .ack file, and nothing if all were delivered."""
    time = "2026-11-22T10:00:00.000000Z"
    head = {"time": time, "iKey": "", "ver": 1, "name": "Microsoft.ApplicationInsights.Request"}
    path = journal({**head, **step("train", time=time)}, log("x"))
    entry = {"outlet": "app_insights", "to": path.stat().st_size, "delivered": 1, "refused": {"too old": 1}}
    path.with_suffix(".ack").write_text(json.dumps(entry) + "\n", encoding="utf-8")
    insights = connect(path.parent)
    assert insights.story().missing == ("refused by app_insights: 1 record: too old",)
    path.with_suffix(".ack").write_text(json.dumps({**entry, "refused": {}}) + "\n", encoding="utf-8")
    assert insights.story().missing == ()
