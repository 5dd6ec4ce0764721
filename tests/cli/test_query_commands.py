"""The commands that read, on real runs and on files that no run has left whole."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.usefixtures("failed_run")
def test_logs_are_lines_in_time_order(cli: Any) -> None:
    """Each with its level, its step, what it says and its own dimensions; a stack below its exception."""
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
def test_logs_can_be_chosen(asked: Any) -> None:
    """By level, by step, by a text in message or stack."""
    assert [row["message"] for row in asked("logs", "--level", "warning")] == [
        "slow fold",
        "Uncaught exception",
    ]
    assert [row["message"] for row in asked("logs", "--contains", "BAD batch")] == ["Uncaught exception"]
    assert asked("logs", "--step-name", "other") == []
    assert len(asked("logs", "--step-name", "train", "--where", "rows=1000", "--last", "1h")) == 1
    assert len(asked("logs", "--limit", "2")) == 2


@pytest.mark.usefixtures("failed_run")
def test_errors_are_bad_news(cli: Any, asked: Any) -> None:
    """The exception with its stack, and the step that failed, which comes last."""
    assert cli("errors").returncode == 1
    assert [row["itemType"] for row in asked("errors")] == ["exception", "request"]
    lines = [line.partition(" ") for line in cli("errors").stdout.splitlines() if line.startswith("20")]
    assert re.fullmatch(r"ERROR    train: step train: failed \(uncaught exception\) after .* s", lines[-1][2])
    assert lines[0][0] <= lines[-1][0]  # at its end, though it began before
    assert "Uncaught exception: ValueError: really bad batch" in cli("exceptions").stdout
    (one,) = asked("exceptions")
    assert (one["records"], one["type"]) == (1, "ValueError")


@pytest.mark.usefixtures("good_run", "failed_run")
def test_what_is_told_in_words_is_csv_too(cli: Any) -> None:
    """A story's steps, a line for each figure and message of a comparison, the last lines of a run."""

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


def test_records_of_no_run(cli: Any, journal: Path) -> None:
    """What other SDKs wrote is no run: that it is there is said where runs are asked for, and it can be read."""
    journal.mkdir()
    data = {"baseType": "MessageData", "baseData": {"ver": 2, "message": "by others", "severityLevel": 3}}
    envelope = {"time": "2026-11-22T10:00:00Z", "iKey": "", "tags": {}, "data": data}
    (journal / "sent.jsonl").write_text(json.dumps(envelope) + "\n", encoding="utf-8")
    said = "amllog: nothing found\namllog: 1 log line without a {} id: see `amllog logs all`\n"
    assert (cli("runs").stderr, cli("steps").stderr) == (said.format("run"), said.format("step"))
    assert "by others" in cli("logs", "all").stdout
    assert "name it, where there are any (amllog runs)" in cli("story").stderr


@pytest.mark.usefixtures("good_run")
def test_no_errors_are_good_news(cli: Any, asked: Any) -> None:
    """Nothing on stdout, a word on stderr, and 0."""
    ran = cli("errors")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert ran.stderr.endswith("amllog: no errors\n")
    assert asked("errors") == []


@pytest.mark.usefixtures("good_run")
def test_metrics(cli: Any, asked: Any) -> None:
    """A line per metric, or every value; NaN too, which in strict JSON is a text."""
    table = cli("metrics").stdout.splitlines()
    assert [line.split() for line in table] == [
        ["step_name", "name", "values", "first", "last", "min", "max"],
        ["train", "loss", "2", "0.5", "0.25", "0.25", "0.5"],
        ["train", "odd", "1", "nan", "nan", "nan", "nan"],
    ]
    values = asked("metrics", "--values", "--name", "loss")
    assert [(row["step"], row["value"]) for row in values] == [(0, 0.5), (1, 0.25)]
    assert asked("metrics", "--name", "odd")[0]["last"] == "NaN"
    csv = cli("metrics", "--values", "--csv").stdout.splitlines()
    assert (csv[0].split(",")[:3], len(csv)) == (["timestamp", "step_name", "name"], 4)


@pytest.mark.usefixtures("good_run")
def test_timeline_shows_what_lies_within_what(cli: Any, asked: Any) -> None:
    """The span in the step, and what was said during the span in the span."""
    shown = [line.partition("Z  ")[2] for line in cli("timeline").stdout.splitlines()]
    parts = [(len(line) - len(line.lstrip()), line.split(":")[0].strip()) for line in shown]
    assert [one for one in parts if "odd" not in one[1]] == [
        (0, "step train"), (2, "span fit"), (4, "WARNING slow fold"), (2, "event"),
    ]  # fmt: skip
    assert {row["itemType"] for row in asked("timeline")} == {"request", "dependency", "trace", "customEvent"}


@pytest.mark.usefixtures("good_run", "failed_run")
def test_runs_and_their_names(cli: Any, asked: Any) -> None:
    """The latest last; a run is named by its id, the beginning of it, `last` or `all`."""
    first, second = asked("runs")
    ids = [first["parent_run_id"], second["parent_run_id"]]
    assert (first["state"], first["errors"], second["state"], second["errors"]) == ("done", 0, "failed", 2)
    assert asked("logs", ids[1]) == asked("logs", "last") == asked("logs", ids[1][:-1])
    assert asked("logs", "last~1") == asked("logs", ids[0])
    assert len(asked("logs", "all")) == len(asked("logs", ids[0])) + len(asked("logs", ids[1]))
    ran = cli("logs", "local_")
    assert (ran.returncode, ids[0] in ran.stderr, ids[1] in ran.stderr) == (2, True, True)
    ran = cli("logs", "nothing")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "no run or step begins with nothing" in ran.stderr


@pytest.mark.usefixtures("good_run")
def test_a_run_that_is_not_over_is_open(asked: Any, journal: Path) -> None:
    """A step that began and never ended was killed, or goes on."""
    (file,) = journal.glob("*.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(line for line in lines if b"RequestData" not in line))
    assert asked("runs")[0]["state"] == "open"


@pytest.mark.usefixtures("good_run")
def test_torn_lines_are_counted_and_said(cli: Any, journal: Path) -> None:
    """What a kill has left does not keep the rest from being read."""
    (file,) = journal.glob("*.jsonl")
    file.write_bytes(b'{"time":"2026-\n[]\n\xff\n' + file.read_bytes() + b'{"time":"20')
    ran = cli("logs")
    assert "loaded" in ran.stdout
    assert "4 lines could not be read" in ran.stderr


@pytest.mark.usefixtures("good_run")
def test_a_record_in_two_files_counts_once(asked: Any, journal: Path) -> None:
    """A copy of the journal, as of the files that a far side wrote, adds nothing."""
    (file,) = journal.glob("*.jsonl")
    (journal / "copy").mkdir()
    (journal / "copy" / file.name).write_bytes(file.read_bytes())
    assert len(asked("logs")) == 2


def test_no_text_can_pass_for_another_line(cli: Any, child: Any) -> None:
    """Control characters are written out, further lines of a message are indented."""
    child(
        "import amllog; amllog.setup().warning('a\\x1b[2Jb\\n2026-01-01T00:00:00.000Z ERROR x: forged', k='\\r')"
    )
    shown = cli("logs").stdout
    assert "\x1b" not in shown
    assert "\n    2026-01-01T00:00:00.000Z ERROR x: forged" in shown
    assert 'k="\\r"' in shown


def test_no_journal_is_wrong_usage(cli: Any, tmp_path: Path) -> None:
    """It says where it looked, and what to give."""
    for arguments, said in (
        (("logs",), "looked for .amllog and logs/amllog"),
        (("runs", "--dir", "x"), "no such directory or file: x"),
    ):
        ran = cli(*arguments)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert said in ran.stderr
    ran = cli("logs", env={"AMLLOG_APP_ID": "ikey"})
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "app_id='ikey'" in ran.stderr and "AMLLOG_APP_ID" in ran.stderr
    (tmp_path / ".amllog").mkdir()
    ran = cli("logs")
    assert (ran.returncode, "no records of any run yet" in ran.stderr) == (2, True)
    assert cli("runs").returncode == 0


def test_lines_of_one_instant_come_once(cli: Any, tmp_path: Path) -> None:
    """More than are asked for at once, without ids that would order them, some of them the same; of several files."""
    for number in range(4):
        said = [f"line-{number}-{index % 400}" for index in range(500)]
        data = [{"baseType": "MessageData", "baseData": {"message": one}} for one in said]
        lines = [json.dumps({"time": "2026-11-22T10:00:00Z", "data": one}) + "\n" for one in data]
        (tmp_path / f"{number}.jsonl").write_text("".join(lines))
    shown = re.findall(r"line-\d+-\d+", cli("logs", "all", "--dir", tmp_path).stdout)
    assert sorted(shown) == sorted(
        f"line-{number}-{index % 400}" for number in range(4) for index in range(500)
    )


@pytest.mark.usefixtures("good_run")
def test_tail_follows(cli: Any, child: Any) -> None:
    """The last lines, then those to come, until Ctrl-C."""
    assert cli("tail", "-n", "1").stdout.count("\n") == 1
    process = child.start([sys.executable, "-m", "amllog", "tail", "--follow", "all", "--every", "0.1"])
    assert "loaded" in process.stdout.readline()
    child("import amllog; amllog.setup().info('newer')")
    while "newer" not in (line := process.stdout.readline()):
        assert line  # it has not ended
    process.send_signal(2)
    assert process.wait(600) == 0


def test_tail_names_what_it_cannot_read(child: Any, tmp_path: Path) -> None:
    """Also where it follows: it may wait for the lines of a file that it cannot read."""
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


@pytest.mark.usefixtures("good_run")
def test_a_reader_that_has_enough_is_no_error() -> None:
    """`amllog logs | head -1` ends without a traceback."""
    command = f"{sys.executable} -m amllog logs --json | true; exit ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (ran.returncode, "Traceback" in ran.stderr, "Exception" in ran.stderr) == (0, False, False)


@pytest.mark.usefixtures("good_run", "failed_run")
def test_story_and_compare(cli: Any, asked: Any) -> None:
    """In words, and as JSON."""
    ran = cli("story")
    assert ran.returncode == 0
    assert "failure in step train" in ran.stdout and "ValueError: really bad batch" in ran.stdout
    assert asked("story", "last~1")["state"] == "done"
    ran = cli("compare")
    assert "messages only in the second: 1" in ran.stdout and "Uncaught exception" in ran.stdout
    (new,) = asked("compare")["messages"]
    assert (new["change"], new["level"]) == ("new", "CRITICAL")


@pytest.mark.usefixtures("good_run")
def test_kql_is_printed_and_not_asked(cli: Any) -> None:
    """In both dialects; only for `last` must the runs be asked for. An id that nobody knows is no error here."""
    ran = cli("errors", "--kql")
    assert (ran.returncode, ran.stdout.splitlines()[0]) == (0, "union traces, exceptions, requests")
    assert "parent_run_id ==" not in ran.stdout
    shown = cli("logs", "no such", "--kql", "--dialect", "workspace", "--level", "ERROR").stdout
    assert shown.startswith("union AppTraces, AppExceptions\n") and '"no such"' in shown
    component = "/subscriptions/s/resourceGroups/g/providers/microsoft.insights/components/ai"
    assert "https://portal.azure.com/" in cli("errors", "--kql", "--resource-id", component).stderr
    assert '"local_' in cli("metrics", "last", "--kql").stdout
    assert cli("metrics", "local_", "--kql").stdout == cli("metrics", "last", "--kql").stdout
    assert '"local_"' in cli("metrics", "local_", "--kql", "--resource-id", component).stdout


@pytest.mark.usefixtures("good_run")
def test_free_kql(cli: Any, asked: Any) -> None:
    """On journals through duckdb-kql, or it says what to install."""
    text = "traces | where severityLevel == 2 | project message"
    if importlib.util.find_spec("duckdb_kql"):
        assert asked("query", text) == [{"message": "slow fold"}]
    else:
        assert "pip install 'amllog[insights]'" in cli("query", text).stderr


@pytest.mark.usefixtures("failed_run")
def test_without_duckdb(child: Any, cli: Any) -> None:
    """What the base installs is enough, and prints the same."""
    hide = "import sys; sys.modules['duckdb'] = None; sys.argv[0] = 'amllog'\n"
    for command in ("runs", "logs", "errors", "story", "timeline", "metrics"):
        code = f"{hide}import importlib.util as u; f = u.find_spec\n"
        code += "u.find_spec = lambda name, *rest: None if name == 'duckdb' else f(name, *rest)\n"
        code += f"from amllog.cli.main import main; sys.exit(main(['{command}']))"
        ran, usual = child(code), cli(command)
        assert (ran.returncode, ran.stdout) == (usual.returncode, usual.stdout)
        assert ran.stdout


def test_long_logs_come_in_pieces_and_whole(cli: Any, child: Any) -> None:
    """The first lines at once, then the rest: none twice, none lost."""
    child("import amllog\nlog = amllog.setup()\nfor i in range(1100): log.info(f'line {i}')")
    lines = [line.rpartition("line ")[2] for line in cli("logs").stdout.splitlines()]
    assert lines == [str(number) for number in range(1100)]


def on_a_terminal(command: list[str], keys: bytes = b"", env: dict[str, str] | None = None) -> bytes:
    """What a command writes to a terminal of its own."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env={**os.environ, **(env or {})}
    )
    os.close(slave)
    os.write(master, keys)
    found = b""
    with contextlib.suppress(OSError):  # the terminal's end
        while piece := os.read(master, 65536):
            found += piece
    process.wait(600)
    os.close(master)
    return found


@pytest.mark.usefixtures("failed_run")
def test_a_terminal_gets_colour_and_a_pager(tmp_path: Path) -> None:
    """Through $PAGER, in colour unless NO_COLOR says otherwise."""
    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\necho through the pager\nexec cat\n")
    pager.chmod(0o755)
    command = [sys.executable, "-m", "amllog", "logs"]
    shown = on_a_terminal(command, env={"PAGER": str(pager), "TERM": "xterm"})
    assert b"through the pager" in shown and b"\x1b[1;31mCRITICAL\x1b[0m" in shown
    shown = on_a_terminal(command, env={"PAGER": "cat", "NO_COLOR": "1", "TERM": "xterm"})
    assert b"through the pager" not in shown and b"\x1b[" not in shown and b"slow fold" in shown
    assert b"PAGER='\"': a command such as less" in on_a_terminal(command, env={"PAGER": '"'})


@pytest.mark.usefixtures("failed_run")
def test_colour_where_it_is_asked_for(cli: Any) -> None:
    """Not in a pipe by itself; FORCE_COLOR and CLICOLOR_FORCE ask for it, and NO_COLOR has the last word."""
    told = {
        "": {},
        "FORCE_COLOR": {"FORCE_COLOR": "1"},
        "CLICOLOR_FORCE": {"CLICOLOR_FORCE": "1"},
        "0": {"FORCE_COLOR": "0"},
        "NO_COLOR": {"FORCE_COLOR": "1", "NO_COLOR": "1"},
    }
    coloured = {name for name, env in told.items() if "\x1b[" in cli("logs", env=env).stdout}
    assert coloured == {"FORCE_COLOR", "CLICOLOR_FORCE"}
    shown = on_a_terminal([sys.executable, "-m", "amllog", "logs"], env={"PAGER": "", "CLICOLOR": "0"})
    assert b"slow fold" in shown and b"\x1b[" not in shown


@pytest.mark.usefixtures("failed_run")
def test_nothing_is_written_over_a_pager(tmp_path: Path, journal: Path) -> None:
    """Notices wait until it has ended. A reader who has enough ends the command, and the news stays bad."""
    torn = next(journal.glob("*.jsonl"))
    torn.write_bytes(torn.read_bytes() + b'{"time":')
    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\nhead -n 1\nsleep 0.2\necho the pager ends\n")
    pager.chmod(0o755)
    command = [
        sys.executable,
        "-c",
        "import sys; from amllog.cli import main as cli; print('exit', cli.main(['errors']))",
    ]
    shown = on_a_terminal(command, env={"PAGER": str(pager), "TERM": "xterm"})
    assert (
        shown.index(b"amllog: run ")
        < shown.index(b"the pager ends")
        < shown.index(b"1 line could not be read")
    )
    assert shown.endswith(b"exit 1\r\n")


@pytest.mark.usefixtures("failed_run")
def test_bad_news_stay_bad_news_for_a_reader_that_has_enough() -> None:
    """`amllog errors | true`: the pipe is broken, the exit code is that of errors."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "amllog", "errors"], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr.count(b"Traceback")) == (1, 0)


def test_no_id_reaches_the_terminal_as_it_is(cli: Any, child: Any) -> None:
    """Ids of runs and steps are texts of records like all others: in answers, in notices, in errors."""
    code = "import amllog\namllog.setup(step_name='a\x1b[2Jb', dimensions={'parent_run_id': 'run\x1b[2J'})\n"
    assert child(code + "1 / 0", env={"AMLLOG_DRIVER_LOG_LEVEL": "CRITICAL"}).returncode == 1
    for command in (("story",), ("logs",), ("steps",), ("runs",), ("logs", "nosuch"), ("compare",)):
        done = cli(*command)
        assert "\x1b" not in done.stdout + done.stderr and "\\x1b[2J" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "asked",
    [
        "run('SELECT sum(a.range + b.range) FROM range(10000000) a, range(10000000) b')",
        pytest.param(
            "run_kql('range a from 1 to 5000000 step 1 | extend k = 1 | join kind=inner "
            "(range b from 1 to 5000000 step 1 | extend k = 1) on k | summarize sum(a + b)', '', dialects=())",
            marks=pytest.mark.skipif(not importlib.util.find_spec("duckdb_kql"), reason="needs Python 3.11"),
        ),
    ],
)
def test_ctrl_c_while_journals_are_read(asked: str) -> None:
    """On a terminal too it ends the reading, in the middle of a join of DuckDB's: 130, and nobody aborts."""
    script = (
        "import contextlib, sys\nfrom amllog.insights.stores.local.duckdb_engine import Engine\n"
        "from amllog.cli import main as cli, pager, query_commands\nclass Long:\n    def query(self, kql):\n"
        f"        return engine.{asked}\n"
        "engine = Engine()\n"
        "with contextlib.suppress(ImportError):\n    import duckdb_kql\n"  # what is interrupted is the reading
        "pager.PROGRESS_SECONDS = 0.3\n"
        "query_commands.run = lambda options, environ: pager.ProgressStore(Long()).query('')\n"
        "sys.exit(cli.main(['query', 'x']))\n"
    )
    master, slave = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", script], stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    hanging = threading.Timer(600, process.kill)
    hanging.start()
    found = b""
    with contextlib.suppress(OSError):  # the terminal's end
        while piece := os.read(master, 65536):
            if b"reading" in piece and b"reading" not in found:
                process.send_signal(signal.SIGINT)
                process.send_signal(signal.SIGINT)  # somebody in a hurry
            found += piece
    os.close(master)
    code = process.wait(600)
    hanging.cancel()
    assert code == 130, found


def test_answers_for_programs(cli: Any, child: Any) -> None:
    """CSV and JSON give back every character, and neither acts on a terminal."""
    said = 'one\rtwo\nthree, "four" \x1b[2J \x9b2J \u202e \x7f'
    assert child(f"import amllog\namllog.setup().info({said!r})\n").returncode == 0
    done = subprocess.run(
        [sys.executable, "-m", "amllog", "logs", "--csv"], stdout=subprocess.PIPE, check=True
    )
    (row,) = csv.DictReader(io.StringIO(done.stdout.decode(), newline=""))
    assert row["message"] == said
    assert json.loads(cli("logs", "--json").stdout)[0]["message"] == said
    for form in ("--csv", "--json"):
        shown = on_a_terminal([sys.executable, "-m", "amllog", "logs", form], env={"PAGER": "cat"}).decode()
        assert "three" in shown and not set("\x1b\x9b\u202e\x7f") & set(shown)


def test_a_metric_that_was_nan_once(asked: Any, child: Any) -> None:
    """Its least and greatest values are those of its numbers, in whichever order they came."""
    code = "import amllog\nlog = amllog.setup()\nfor value in (float('nan'), 3, 1):\n    log.metric('loss', value)\n"
    assert child(code).returncode == 0
    (row,) = asked("metrics")
    assert (row["values"], row["first"], row["last"], row["min"], row["max"]) == (3, "NaN", 1, 1, 3)


def test_long_reading_is_told_on_a_terminal() -> None:
    """A word on stderr while it takes, wiped away at the end; the answer and its errors come as they are."""
    code = (
        "import sys, threading\nfrom amllog.insights.stores import Unasked\nfrom amllog.cli import pager\n"
        "from amllog.insights.questions import Questions\npager.PROGRESS_SECONDS = 0.05\n"
        "told, write = threading.Event(), sys.stderr.write\n"
        "sys.stderr.write = lambda text: (write(text), 'reading' in text and told.set())\n"
        "class Slow(Unasked):\n    def answer(self, query):\n        told.wait(600)\n"
        "        pager.PROGRESS_SECONDS = 60\n        return super().answer(query)\n"
        "asked = Questions(pager.ProgressStore(Slow()))\nprint(len(asked.logs()))\n"
        "try:\n    asked.store.query('x')\nexcept Exception as error:\n    print(error)\n"
    )
    shown = on_a_terminal([sys.executable, "-c", code])
    assert b"amllog: reading, " in shown
    assert b"\r\x1b[K0\r\nfree KQL needs a store" in shown
