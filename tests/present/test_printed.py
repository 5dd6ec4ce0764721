"""What the commands print: no record, name or argument moves the cursor or forges a line."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import amllog.present

HOSTILE = "a\x1b[2Jb\x1b]8;;http://x\x07c\x9b31m\u202e\u2066\u200b\u2028\x85\r\nERROR forged: d\udcff\x00"
ACTING = set("\x1b\x07\x9b\x00\r\x85\u202e\u2066\u200b\u2028")
COMMANDS = ("runs", "steps", "logs", "errors", "exceptions", "metrics", "timeline", "story", "tail", "status")


def records(folder: Path) -> None:
    """A journal of other hands, in which every text is hostile."""
    base = [
        ("MessageData", {"message": HOSTILE, "severityLevel": 3}),
        ("EventData", {"name": HOSTILE}),
        ("MetricData", {"metrics": [{"name": HOSTILE, "value": 1}]}),
        ("ExceptionData", {"exceptions": [{"typeName": HOSTILE, "message": HOSTILE, "stack": HOSTILE}]}),
        (
            "RequestData",
            {
                "id": "s1",
                "name": HOSTILE,
                "duration": "00:00:01",
                "success": False,
                "responseCode": HOSTILE,
            },
        ),
        ("RemoteDependencyData", {"id": "d1", "name": HOSTILE, "duration": "00:00:01", "success": True}),
    ]
    lines = []
    for number, (kind, data) in enumerate(base):
        own = {
            "parent_run_id": HOSTILE,
            "step_id": HOSTILE,
            "step_name": HOSTILE,
            "experiment_name": HOSTILE,
            "level": HOSTILE,
            "record_id": f"a-{number}",
            HOSTILE: HOSTILE,
        }
        tags = {"ai.operation.id": HOSTILE, "ai.operation.parentId": HOSTILE}
        whole = {**data, "properties": own}
        lines.append(
            json.dumps(
                {
                    "time": f"2026-11-22T20:52:3{number}.123456Z",
                    "iKey": "k",
                    "ver": 1,
                    "name": "Microsoft.ApplicationInsights.Message",
                    "tags": tags,
                    "data": {"baseType": kind, "baseData": whole},
                }
            )
        )
    text = "\n".join(lines).replace("\\udcff", "") + "\n"
    folder.mkdir()
    (folder / "20261122T205235-n-1-abcd.jsonl").write_text(text)
    said = {"outlet": "app_insights", "to": 10, "delivered": 0, "refused": {HOSTILE.replace("\udcff", ""): 1}}
    (folder / "20261122T205235-n-1-abcd.ack").write_text(json.dumps(said) + "\n")


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_no_text_of_a_record_acts_on_a_terminal(tmp_path: Path, cli: Any, form: list[str]) -> None:
    """Every command that reads prints control characters in an escaped form, and no record begins a line of its own."""
    records(tmp_path / "j")
    env = {"AMLLOG_DIR": str(tmp_path / "j")}
    for command in COMMANDS:
        where = ["all"] if command in ("logs", "errors", "exceptions", "metrics", "timeline") else []
        done = cli(command, *where, *form, env=env)
        text = done.stdout + done.stderr
        assert not ACTING & set(text), (command, text)
        assert not any(line.startswith("ERROR forged") for line in text.splitlines()), (command, text)
        assert "Traceback" not in text, (command, text)


def test_no_argument_acts_on_a_terminal(cli: Any) -> None:
    """An argument or a path in an error message is printed in an escaped form, in one line."""
    odd = "x\x1b[2J\nforged"
    for arguments in (
        ["logs", "--dir", odd],
        ["logs", odd],
        ["logs", "--bad" + odd],
        [odd],
        ["status", odd],
        ["compact", odd],
        ["logs", "--limit", odd],
        ["query", odd],
    ):
        done = cli(*arguments)
        text = done.stdout + done.stderr
        assert "\x1b" not in text and not any(line.startswith("forged") for line in text.splitlines()), (
            arguments
        )


def test_an_output_without_unicode_gets_escapes(tmp_path: Path) -> None:
    """Where the output's encoding cannot express a character, it is escaped instead of raising an error."""
    records(tmp_path / "j")
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "AMLLOG_DIR": str(tmp_path / "j")}
    done = subprocess.run([sys.executable, "-m", "amllog", "logs", "all"], env=env, capture_output=True)
    assert done.returncode == 0, done.stderr
    done.stdout.decode("ascii")


def test_output_leaves_in_one_place() -> None:
    """No module of the commands writes to a stream except `show`, and the pager's pipe in `paging`."""
    found = []
    for path in Path(amllog.present.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name == "print" or name.endswith(("stdout.write", "stderr.write", "stream.write")):
                    found.append(f"{path.name}: {name}")
    allowed = {"show.py", "paging.py"}
    assert [one for one in found if one.partition(":")[0] not in allowed] == []
