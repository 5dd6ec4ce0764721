"""The query commands, with real runs and damaged files."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.usefixtures("failed_run")
def test_logs_are_lines_in_time_order(cli: Any) -> None:
    """A line has the level, the step, the message and the dimensions, with a stack below an exception."""
    ran = cli("logs")
    lines = [line.partition("Z ")[2] for line in ran.stdout.splitlines() if line.startswith("20")]
    assert lines == [
        "INFO     train: loaded  rows=1000",
        "WARNING  train: slow fold",
        "CRITICAL train: Uncaught exception: ValueError: really bad batch",
    ]
    assert ran.stdout.endswith("    ValueError: really bad batch\n")
    assert ran.stderr.startswith("amllog: run local_")


@pytest.mark.usefixtures("failed_run")
def test_filters_of_logs(read_json: Any) -> None:
    """Logs can be filtered by level, step, dimension and a string in the message or stack."""
    assert [row["message"] for row in read_json("logs", "--level", "warning")] == [
        "slow fold",
        "Uncaught exception",
    ]
    assert [row["message"] for row in read_json("logs", "--contains", "BAD batch")] == ["Uncaught exception"]
    assert read_json("logs", "--step-name", "other") == []
    assert len(read_json("logs", "--step-name", "train", "--where", "rows=1000", "--last", "1h")) == 1
    assert len(read_json("logs", "--limit", "2")) == 2


@pytest.mark.usefixtures("failed_run")
def test_errors_exit_with_1(cli: Any, read_json: Any) -> None:
    """`errors` lists the exception with its stack, then the failed step, and exits with 1."""
    assert cli("errors").returncode == 1
    assert [row["itemType"] for row in read_json("errors")] == ["exception", "request"]
    lines = [line.partition(" ") for line in cli("errors").stdout.splitlines() if line.startswith("20")]
    assert re.fullmatch(r"ERROR    train: step train: failed \(uncaught exception\) after .* s", lines[-1][2])
    assert lines[0][0] <= lines[-1][0]  # the time of its end, although it began before
    assert "Uncaught exception: ValueError: really bad batch" in cli("exceptions").stdout
    (row,) = read_json("exceptions")
    assert (row["records"], row["type"]) == (1, "ValueError")


@pytest.mark.usefixtures("good_run", "failed_run")
def test_csv_of_reports(cli: Any) -> None:
    """Stories, comparisons and the last lines of a run can be printed as CSV."""

    def read(*arguments: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(cli(*arguments, "--csv").stdout, newline="")))

    assert [(row["step_name"], row["state"], row["errors"]) for row in read("story")] == [
        ("train", "failed", "2")
    ]
    assert [row["message"] for row in read("tail", "-n", "2")] == ["slow fold", "Uncaught exception"]
    rows = read("compare")
    assert {row["part"] for row in rows} == {"step", "metric", "level", "message"}
    (loss,) = [row for row in rows if row["name"] == "loss"]
    assert (loss["step_name"], loss["first"], loss["second"], loss["difference"]) == (
        "train",
        "0.25",
        "0.25",
        "0.0",
    )
    (new,) = [row for row in rows if row["part"] == "message"]
    assert (new["first"], new["second"]) == ("0.0", "1.0")


def test_records_without_a_run(cli: Any, journal: Path) -> None:
    """Records of other SDKs do not belong to a run, and `runs` and `steps` report their number."""
    journal.mkdir()
    data = {"baseType": "MessageData", "baseData": {"ver": 2, "message": "by others", "severityLevel": 3}}
    envelope = {"time": "2026-11-22T10:00:00Z", "iKey": "", "tags": {}, "data": data}
    (journal / "sent.jsonl").write_text(json.dumps(envelope) + "\n", encoding="utf-8")
    notice = "amllog: nothing found\namllog: 1 log line without a {} id: see `amllog logs all`\n"
    assert (cli("runs").stderr, cli("steps").stderr) == (notice.format("run"), notice.format("step"))
    assert "by others" in cli("logs", "all").stdout
    assert "list them with `amllog runs`" in cli("story").stderr


@pytest.mark.usefixtures("good_run")
def test_no_errors_exit_with_0(cli: Any, read_json: Any) -> None:
    """Without errors stdout is empty, stderr has a notice, and the exit code is 0."""
    ran = cli("errors")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert ran.stderr.endswith("amllog: no errors\n")
    assert read_json("errors") == []


@pytest.mark.usefixtures("good_run")
def test_metrics(cli: Any, read_json: Any) -> None:
    """`metrics` prints one line per metric or every value. NaN is a string in strict JSON."""
    table = cli("metrics").stdout.splitlines()
    assert [line.split() for line in table] == [
        ["step_name", "name", "values", "first", "last", "min", "max"],
        ["train", "loss", "2", "0.5", "0.25", "0.25", "0.5"],
        ["train", "odd", "1", "nan", "nan", "nan", "nan"],
    ]
    values = read_json("metrics", "--values", "--name", "loss")
    assert [(row["step"], row["value"]) for row in values] == [(0, 0.5), (1, 0.25)]
    assert read_json("metrics", "--name", "odd")[0]["last"] == "NaN"
    csv = cli("metrics", "--values", "--csv").stdout.splitlines()
    assert (csv[0].split(",")[:3], len(csv)) == (["timestamp", "step_name", "name"], 4)


@pytest.mark.usefixtures("good_run")
def test_timeline_is_a_tree(cli: Any, read_json: Any) -> None:
    """The span is in the step, and its records are in the span."""
    lines = [line.partition("Z  ")[2] for line in cli("timeline").stdout.splitlines()]
    parts = [(len(line) - len(line.lstrip()), line.split(":")[0].strip()) for line in lines]
    assert [part for part in parts if "odd" not in part[1]] == [
        (0, "step train"), (2, "span fit"), (4, "WARNING slow fold"), (2, "event"),
    ]  # fmt: skip
    assert {row["itemType"] for row in read_json("timeline")} == {
        "request",
        "dependency",
        "trace",
        "customEvent",
    }


@pytest.mark.usefixtures("good_run", "failed_run")
def test_runs_and_their_names(cli: Any, read_json: Any) -> None:
    """A run is named by its id, the beginning of it, `last` or `all`, and the latest is listed last."""
    first, second = read_json("runs")
    ids = [first["parent_run_id"], second["parent_run_id"]]
    assert (first["state"], first["errors"], second["state"], second["errors"]) == ("done", 0, "failed", 2)
    assert read_json("logs", ids[1]) == read_json("logs", "last") == read_json("logs", ids[1][:-1])
    assert read_json("logs", "last~1") == read_json("logs", ids[0])
    assert len(read_json("logs", "all")) == len(read_json("logs", ids[0])) + len(read_json("logs", ids[1]))
    ran = cli("logs", "local_")
    assert (ran.returncode, ids[0] in ran.stderr, ids[1] in ran.stderr) == (2, True, True)
    ran = cli("logs", "nothing")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "no run or step begins with nothing" in ran.stderr


@pytest.mark.usefixtures("good_run")
def test_a_run_without_an_end_is_open(read_json: Any, journal: Path) -> None:
    """A step that began and did not end was killed or is still running."""
    (file,) = journal.glob("*.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(line for line in lines if b"RequestData" not in line))
    assert read_json("runs")[0]["state"] == "open"


@pytest.mark.usefixtures("good_run")
def test_torn_lines_are_counted(cli: Any, journal: Path) -> None:
    """Torn lines of a killed process are counted, and the others are read."""
    (file,) = journal.glob("*.jsonl")
    file.write_bytes(b'{"time":"2026-\n[]\n\xff\n' + file.read_bytes() + b'{"time":"20')
    ran = cli("logs")
    assert "loaded" in ran.stdout
    assert "4 lines could not be read" in ran.stderr


@pytest.mark.usefixtures("good_run")
def test_a_record_in_two_files_counts_once(read_json: Any, journal: Path) -> None:
    """A copy of the journal adds no records."""
    (file,) = journal.glob("*.jsonl")
    (journal / "copy").mkdir()
    (journal / "copy" / file.name).write_bytes(file.read_bytes())
    assert len(read_json("logs")) == 2


def test_no_message_can_forge_a_line(cli: Any, child: Any) -> None:
    """Control characters are escaped, and further lines of a message are indented."""
    child(
        "import amllog; amllog.setup().warning('a\\x1b[2Jb\\n2026-01-01T00:00:00.000Z ERROR x: forged', k='\\r')"
    )
    output = cli("logs").stdout
    assert "\x1b" not in output
    assert "\n    2026-01-01T00:00:00.000Z ERROR x: forged" in output
    assert 'k="\\r"' in output


def test_no_journal_is_wrong_usage(cli: Any, tmp_path: Path) -> None:
    """The message contains the directories that were searched."""
    for arguments, message in (
        (("logs",), "looked for .amllog and logs/amllog"),
        (("runs", "--dir", "x"), "no such directory or file: x"),
    ):
        ran = cli(*arguments)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert message in ran.stderr
    ran = cli("logs", env={"AMLLOG_APP_ID": "ikey"})
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "app_id='ikey'" in ran.stderr and "AMLLOG_APP_ID" in ran.stderr
    (tmp_path / ".amllog").mkdir()
    ran = cli("logs")
    assert (ran.returncode, "no records of any run yet" in ran.stderr) == (2, True)
    assert cli("runs").returncode == 0


def test_lines_with_the_same_time_are_printed_once(cli: Any, tmp_path: Path) -> None:
    """Pages with more equal times than a page has lines contain each line once."""
    for number in range(4):
        messages = [f"line-{number}-{index % 400}" for index in range(500)]
        data = [{"baseType": "MessageData", "baseData": {"message": text}} for text in messages]
        lines = [json.dumps({"time": "2026-11-22T10:00:00Z", "data": item}) + "\n" for item in data]
        (tmp_path / f"{number}.jsonl").write_text("".join(lines))
    printed = re.findall(r"line-\d+-\d+", cli("logs", "all", "--dir", tmp_path).stdout)
    assert sorted(printed) == sorted(
        f"line-{number}-{index % 400}" for number in range(4) for index in range(500)
    )


@pytest.mark.usefixtures("good_run")
def test_tail_follows(cli: Any, child: Any) -> None:
    """The last lines are printed, then new ones until Ctrl-C."""
    assert cli("tail", "-n", "1").stdout.count("\n") == 1
    process = child.start([sys.executable, "-m", "amllog", "tail", "--follow", "all", "--every", "0.1"])
    assert "loaded" in process.stdout.readline()
    child("import amllog; amllog.setup().info('newer')")
    while "newer" not in (line := process.stdout.readline()):
        assert line  # otherwise it has ended
    process.send_signal(2)
    assert process.wait(600) == 0


def test_tail_names_unreadable_files(child: Any, tmp_path: Path) -> None:
    """`tail --follow` names files that it cannot read, because it may wait for their lines."""
    (tmp_path / "20261122T100000-node-1-abcdef.jsonl").symlink_to("/etc/passwd")
    command = [
        sys.executable,
        "-m",
        "amllog",
        "tail",
        "--follow",
        "all",
        "--every",
        "0.1",
        "--dir",
        str(tmp_path),
    ]
    process = child.start(command)
    assert "is a symbolic link" in process.stderr.readline()
    process.send_signal(2)
    assert process.wait(600) == 0


@pytest.mark.usefixtures("good_run", "failed_run")
def test_story_and_compare(cli: Any, read_json: Any) -> None:
    """Stories and comparisons are printed as text and as JSON."""
    ran = cli("story")
    assert ran.returncode == 0
    assert "failure in step train" in ran.stdout and "ValueError: really bad batch" in ran.stdout
    assert read_json("story", "last~1")["state"] == "done"
    ran = cli("compare")
    assert "messages only in the second: 1" in ran.stdout and "Uncaught exception" in ran.stdout
    (new,) = read_json("compare")["messages"]
    assert (new["change"], new["level"]) == ("new", "CRITICAL")


@pytest.mark.usefixtures("good_run")
def test_kql_is_printed_without_a_query(cli: Any) -> None:
    """The KQL is printed in both dialects. Only `last` needs a query, and an unknown id is not an error."""
    ran = cli("errors", "--kql")
    assert (ran.returncode, ran.stdout.splitlines()[0]) == (0, "union traces, exceptions, requests")
    assert "parent_run_id ==" not in ran.stdout
    kql = cli("logs", "no such", "--kql", "--dialect", "workspace", "--level", "ERROR").stdout
    assert kql.startswith("union AppTraces, AppExceptions\n") and '"no such"' in kql
    component = "/subscriptions/s/resourceGroups/g/providers/microsoft.insights/components/ai"
    assert "https://portal.azure.com/" in cli("errors", "--kql", "--resource-id", component).stderr
    assert '"local_' in cli("metrics", "last", "--kql").stdout
    assert cli("metrics", "local_", "--kql").stdout == cli("metrics", "last", "--kql").stdout
    assert '"local_"' in cli("metrics", "local_", "--kql", "--resource-id", component).stdout


@pytest.mark.usefixtures("good_run")
def test_free_kql(cli: Any, read_json: Any) -> None:
    """Free KQL runs on journals with DuckDB, or the message contains what to install."""
    text = "traces | where severityLevel == 2 | project message"
    if importlib.util.find_spec("duckdb"):
        assert read_json("query", text) == [{"message": "slow fold"}]
    else:
        assert "pip install 'amllog[insights]'" in cli("query", text).stderr


@pytest.mark.usefixtures("failed_run")
def test_without_duckdb(child: Any, cli: Any) -> None:
    """The output is the same without DuckDB."""
    hide = "import sys; sys.modules['duckdb'] = None; sys.argv[0] = 'amllog'\n"
    for command in ("runs", "logs", "errors", "story", "timeline", "metrics"):
        code = f"{hide}import importlib.util as u; f = u.find_spec\n"
        code += "u.find_spec = lambda name, *rest: None if name == 'duckdb' else f(name, *rest)\n"
        code += f"from amllog.cli.main import main; sys.exit(main(['{command}']))"
        ran, usual = child(code), cli(command)
        assert (ran.returncode, ran.stdout) == (usual.returncode, usual.stdout)
        assert ran.stdout


def test_long_logs_are_printed_in_pages(cli: Any, child: Any) -> None:
    """All pages together have each line once."""
    child("import amllog\nlog = amllog.setup()\nfor i in range(1100): log.info(f'line {i}')")
    lines = [line.rpartition("line ")[2] for line in cli("logs").stdout.splitlines()]
    assert lines == [str(number) for number in range(1100)]


def test_a_metric_that_was_nan_once(read_json: Any, child: Any) -> None:
    """The minimum and maximum are those of the numbers, in any order of the values."""
    code = "import amllog\nlog = amllog.setup()\nfor value in (float('nan'), 3, 1):\n    log.metric('loss', value)\n"
    assert child(code).returncode == 0
    (row,) = read_json("metrics")
    assert (row["values"], row["first"], row["last"], row["min"], row["max"]) == (3, "NaN", 1, 1, 3)
