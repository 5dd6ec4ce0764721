"""Run metrics through the real MLflow client: the data that arrives, the verdicts of errors, and the time limits."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from amllog.exporters.run_metrics.mlflow_exporter import MLflowExporter

from ...conftest import wait_until  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Its import configures logging, so it is not imported in this process.
needs_mlflow = pytest.mark.skipif(
    not importlib.util.find_spec("mlflow"), reason="mlflow-skinny is not installed"
)
STEP = {"AMLLOG_STEP_NAME": "train", "AMLLOG_EXPERIMENT_NAME": "digits", "AMLLOG_METRICS": "mlflow"}
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ALLOW_FILE_STORE": "true"}


@pytest.fixture
def environment(tracking: Any) -> dict[str, str]:
    """Return the environment of a script that uses the tracking server."""
    return {
        **STEP,
        **QUIET,
        "MLFLOW_TRACKING_URI": tracking.url,
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    }


def account(stdout: str) -> dict[str, Any]:
    """Return the account of run metrics, which a script with `END` prints on its last line."""
    counts: dict[str, Any] = json.loads(stdout.splitlines()[-1])
    return counts


END = """
account = amllog.shutdown(200).outlets["run_metrics"]
import json
print(json.dumps({"delivered": account.delivered, "waiting": account.waiting, "refused": account.refused}))
"""
ALL = """
import amllog
log = amllog.setup()
log.metric("loss", 0.5, step=3)
log.metric("odd (name)", float("nan"))
log.run.log("flag", True); log.run.log("text", "hello"); log.run.log("infinite", float("-inf"))
log.run.log_list("list", [1, 2.5])
log.run.log_row("row", x=1, s="a"); log.run.log_row("row", x=2, s="b")
log.run.log_table("table", {"n": [1, 2], "m": [0.5, None]})
log.run.tag("colour", "red"); log.run.tag("gone", "soon"); log.run.remove_tags(["gone"])
log.run.add_properties({"owner": "me"}); log.run.description = "a try"
kid = log.run.child_run("kid"); kid.log("of kid", 7); kid.complete()
"""


@needs_mlflow
def test_everything_arrives(child: Any, tracking: Any, environment: dict[str, str]) -> None:
    """Metrics, lists, rows, tables, strings, tags and child runs arrive as in Microsoft's guide."""
    ran = child(ALL.replace('s="a"', "y=1").replace('s="b"', "y=2") + END, env=environment)
    assert account(ran.stdout)["waiting"] == 0 and account(ran.stdout)["refused"] == {}, ran
    step, kid = tracking.named("train"), tracking.named("kid")
    assert [name for name, _, _ in step["metrics"] if name == "odd _name_"] == ["odd _name_"]
    assert [metric for metric in step["metrics"] if metric[0] not in ("odd _name_", "table.m")] == [
        ("loss", 0.5, 3), ("flag", 1, 0), ("infinite", float("-inf"), 0), ("list", 1, 0), ("list", 2.5, 1),
        ("row.x", 1, 0), ("row.y", 1, 0), ("row.x", 2, 1), ("row.y", 2, 1), ("table.n", 1, 0), ("table.n", 2, 1),
    ]  # fmt: skip
    tags = {key: step["tags"].get(key) for key in ("text", "colour", "gone", "owner", "mlflow.note.content")}
    assert tags == {
        "text": "hello", "colour": "red", "gone": None, "owner": "me", "mlflow.note.content": "a try"
    }  # fmt: skip
    assert kid["metrics"] == [("of kid", 7, 0)]
    assert kid["tags"]["mlflow.parentRunId"] == step["info"]["run_id"]
    assert [run["info"]["status"] for run in (step, kid)] == ["FINISHED", "FINISHED"]
    assert set(tracking.experiments) == {"digits"}


@needs_mlflow
def test_files_arrive(child: Any, tmp_path: Path) -> None:
    """Files, documents and tables with strings become artifacts of the run, under their names."""
    script = (
        ALL
        + """
log.run.upload_file("outputs/model.txt", "given.txt")
log.run.log_confusion_matrix("matrix", {"schema_type": "confusion_matrix", "data": {"matrix": [[1]]}})
"""
    )
    Path("given.txt").write_text("model")
    ran = child(script + END, env={**STEP, **QUIET, "MLFLOW_TRACKING_URI": (tmp_path / "mlruns").as_uri()})
    assert account(ran.stdout)["waiting"] == 0 and account(ran.stdout)["refused"] == {}, ran
    [artifacts] = [path.parent.parent for path in tmp_path.rglob("artifacts/outputs/model.txt")]
    assert (artifacts / "outputs" / "model.txt").read_text() == "model"
    assert json.loads((artifacts / "matrix.json").read_text())["data"] == {"matrix": [[1]]}
    rows = [json.loads(path.read_text())["rows"] for path in (artifacts / "row").glob("*.json")]
    assert sorted(rows) == [[[1, "a"]], [[2, "b"]]]
    copies = [
        path for path in tmp_path.rglob("*") if path.is_file() and {".amllog", "artifacts"} <= {*path.parts}
    ]
    assert copies == []


@needs_mlflow
def test_failing_artifact_store_delays_no_metric(child: Any, tmp_path: Path) -> None:
    """An artifact store that rejects everything delays no metric, and no number is logged twice."""
    Path("given.txt").write_text("in the way of a directory")
    script = """
import mlflow
experiment = mlflow.create_experiment("e", artifact_location="file://" + os.path.abspath("given.txt") + "/x")
os.environ["MLFLOW_EXPERIMENT_ID"] = experiment
import amllog
log = amllog.setup()
log.run.log_table("table", {"n": [1, 2], "text": ["a", "b"]})
log.run.upload_file("outputs/model.txt", "given.txt")
log.metric("loss", 0.5)
for _ in range(3):
    amllog.flush(60)
client = mlflow.MlflowClient()
[run] = client.search_runs([experiment])
counts = {name: len(client.get_metric_history(run.info.run_id, name)) for name in ("loss", "table.n")}
print(json.dumps([counts, amllog.status().outlets["run_metrics"].waiting]), flush=True)
os._exit(0)
"""
    environ = {**STEP, **QUIET, "MLFLOW_TRACKING_URI": (tmp_path / "mlruns").as_uri()}
    ran = child("import json, os\n" + script, env=environ)
    assert json.loads(ran.stdout.splitlines()[-1]) == [{"loss": 1, "table.n": 2}, 2], ran


@needs_mlflow
def test_hostile_lines_are_refused(child: Any, tmp_path: Path) -> None:
    """Lines that name a file of the user, a FIFO or a link are refused, and the others arrive once."""
    first = """
import amllog, json, os, pathlib
log = amllog.setup()
log.run.upload_file("good.txt", "given.txt")
log.metric("loss", 0.5)
[journal] = pathlib.Path(".amllog").glob("*.jsonl")
[good] = [line for line in journal.read_text().splitlines() if "upload_file" in line]
copies = pathlib.Path(".amllog/artifacts")
os.mkfifo(copies / "000000000001-fifo")
os.symlink("../../given.txt", copies / "000000000002-link")
names = ["../given.txt", os.path.abspath("given.txt"), ""]
names += [f"artifacts/{path.name}" for path in copies.glob("00000000000*")]
def changed(number, **data):
    envelope = json.loads(good)
    properties = envelope["data"]["baseData"]["properties"]
    properties["record_id"] = f"bad-{number}"
    old = json.loads(properties["run_metric_data"])
    properties["run_metric_data"] = json.dumps(old | data if data else -1)
    return json.dumps(envelope, separators=(",", ":")) + "\\n"
bad = [changed(number, file=name, artifact="stolen.txt") for number, name in enumerate(names)] + [changed(9)]
journal.with_name("20260101T000000-gone-999999-0a0b0c.jsonl").write_text("".join(bad))
os._exit(0)
"""
    Path("given.txt").write_text("mine")
    env = {**STEP, **QUIET, "MLFLOW_TRACKING_URI": (tmp_path / "mlruns").as_uri()}
    assert child(first, env=env).returncode == 0
    for _ in range(2):
        ran = child([sys.executable, "-m", "amllog", "deliver", "--json", "--timeout", "500"], env=env)
        account = json.loads(ran.stdout)["after"]["outlets"]["run_metrics"]
        assert (account["delivered"], account["waiting"]) == (2, 0), ran
        assert sum(account["refused"].values()) == 6
    assert Path("given.txt").read_text() == "mine"
    uploaded = [path for path in (tmp_path / "mlruns").rglob("*.txt") if path.is_file()]
    assert [(path.name, path.read_text()) for path in uploaded] == [("good.txt", "mine")]
    remaining = sorted(path.name for path in Path(".amllog/artifacts").iterdir())
    assert remaining == ["000000000001-fifo", "000000000002-link"]


@needs_mlflow
@pytest.mark.parametrize("how", ["variable", "active", "ended"])
def test_run_of_the_script(child: Any, tracking: Any, environment: dict[str, str], how: str) -> None:
    """The run is that of MLFLOW_RUN_ID, or else the one that the script started, even if it has ended."""
    given = tracking.answer("runs/create", {"experiment_id": "0", "run_name": "given"})[1]["run"]["info"][
        "run_id"
    ]
    inside = {"variable": "log.metric('loss', 1)"}.get(how) or (
        "import mlflow\nwith mlflow.start_run(run_name='mine'): log.metric('loss', 1)"
        + ("; amllog.flush(200)" if how == "active" else "")
    )
    settings = {"MLFLOW_RUN_ID": given} if how == "variable" else {}
    ran = child(f"import amllog\nlog = amllog.setup()\n{inside}\n{END}", env={**environment, **settings})
    assert account(ran.stdout)["delivered"] == 2, ran
    assert tracking.named("given" if how == "variable" else "mine")["metrics"] == [("loss", 1, 0)]
    assert len(tracking.runs) == (1 if how == "variable" else 2)
    assert tracking.named("given")["info"]["status"] == "RUNNING"


@needs_mlflow
@pytest.mark.parametrize(("end", "status"), [("", "FINISHED"), ("1/0", "FAILED"), ("os._exit(3)", "RUNNING")])
def test_created_run_ends_with_the_step(
    child: Any, tracking: Any, environment: dict[str, str], end: str, status: str
) -> None:
    """A run that amllog created ends as the step does, and still runs after its process was killed."""
    child(
        f"import amllog, os\nlog = amllog.setup()\nlog.metric('loss', 1); amllog.flush(200)\n{end}",
        env=environment,
    )
    assert tracking.named("train")["info"]["status"] == status


@needs_mlflow
def test_orphans_go_to_the_same_run(child: Any, tracking: Any, environment: dict[str, str]) -> None:
    """The lines of a killed process are sent by the next one, to the run of the first."""
    first = "import amllog, os\nlog = amllog.setup()\nlog.metric('loss', 1, step=1); amllog.flush(200)\n"
    child(first + "log.metric('loss', 2, step=2); os._exit(1)", env=environment)
    child(
        "import amllog\nlog = amllog.setup(step_name='next')\nlog.metric('x', 1)\namllog.shutdown(200)",
        env=environment,
    )
    assert tracking.named("train")["metrics"] == [("loss", 1, 1), ("loss", 2, 2)]
    assert tracking.named("next")["metrics"] == [("x", 1, 0)]


@needs_mlflow
def test_invalid_metric_is_refused_alone(child: Any, tracking: Any, environment: dict[str, str]) -> None:
    """If the server rejects a batch because of one metric, this one is refused and the others arrive."""

    def fault(path: str, body: Any) -> tuple[int, Any] | None:
        bad = any(metric["key"] == "bad" for metric in body.get("metrics", []))
        return (400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "bad"}) if bad else None

    tracking.fault = fault
    logs = "for i in range(9): log.metric('good', i, step=i)\nlog.metric('bad', 1)\nlog.metric('good', 9, step=9)\n"
    ran = child("import amllog\nlog = amllog.setup()\n" + logs + END, env=environment)
    assert account(ran.stdout) == {
        "delivered": 11, "waiting": 0, "refused": {"mlflow: INVALID_PARAMETER_VALUE": 1}
    }, ran  # fmt: skip
    assert sorted(step for _, _, step in tracking.named("train")["metrics"]) == list(range(10))


@needs_mlflow
@pytest.mark.slow
@pytest.mark.parametrize("fault", ["server error", "no permission", "a page", "hang", "no server"])
def test_failing_service_never_delays_the_script(
    child: Any, tracking: Any, environment: dict[str, str], fault: str
) -> None:
    """With any failure of the service, the script does not wait for mlflow's retries, and metrics arrive later."""
    responses: Mapping[str, Any] = {
        "server error": (500, {"error_code": "INTERNAL_ERROR", "message": "oh"}),
        "no permission": (403, {"error_code": "PERMISSION_DENIED", "message": "no"}),
        "a page": (200, "<html>a proxy</html>"),
    }

    def fail(path: str, body: Any) -> tuple[int, Any] | None:
        if fault == "hang":
            time.sleep(600)
        return responses.get(fault)

    tracking.fault = fail
    endpoint = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"} if fault == "no server" else {}
    script = """
import amllog, time
log = amllog.setup(grace_seconds=2)
log.metric("loss", 1)
began = time.monotonic()
print(amllog.shutdown(timeout=3).outlets["run_metrics"].waiting, time.monotonic() - began)
"""
    began = time.monotonic()
    ran = child(script, env={**environment, **endpoint})
    waiting, took = ran.stdout.splitlines()[-1].split()
    assert int(waiting) == 2 and float(took) < 200, ran
    assert time.monotonic() - began < 500
    tracking.fault = lambda path, body: None
    child(
        "import amllog\nlog = amllog.setup(step_name='next')\nlog.metric('x', 1)\namllog.shutdown(200)",
        env=environment,
    )
    assert tracking.named("train")["metrics"] == [("loss", 1, 0)]


def delay_responses(tracking: Any) -> threading.Event:
    """Return an event. The responses to batches of metrics wait for it."""
    ready = threading.Event()

    def slow(path: str, body: Any) -> None:
        if path == "runs/log-batch":
            ready.wait(600)

    tracking.fault = slow
    return ready


@needs_mlflow
def test_late_response_settles_its_lines(child: Any, tracking: Any, environment: dict[str, str]) -> None:
    """A response after the time limit settles its lines, and they are not sent again."""
    ready = delay_responses(tracking)
    script = """
import time
from amllog.record import envelope
from amllog.exporters.run_metrics.mlflow_exporter import MLflowExporter
exporter = MLflowExporter(".", step_id="s1")
properties = {"run_metric": "scalar", "step_id": "s1", "record_id": "r1", "experiment_name": "digits", "step_name": "s"}
data = {"metrics": [{"name": "loss", "value": 1}], "properties": properties}
line = envelope.encode_record(time.time(), "", {}, "MetricData", data)
import mlflow
print(exporter.export([line], 1.5).exceptions[0].reason, flush=True)
while True:
    result = exporter.export([line], 0.5)
    verdict = result.exceptions.get(0, result.default)
    print(verdict.reason or verdict.state, flush=True)
    if verdict.state == "delivered":
        break
"""
    process = child.start(script, env=environment)
    lines = [process.stdout.readline(), process.stdout.readline()]  # before the response
    ready.set()
    rest, stderr = process.communicate(timeout=600)
    assert lines == ["mlflow: no answer in time\n", "mlflow: no answer yet\n"], stderr
    *others, last = rest.splitlines()
    assert set(others) <= {"mlflow: no answer yet"} and last == "delivered"
    assert tracking.named("s")["metrics"] == [("loss", 1, 0)]
    assert tracking.requests.count("runs/log-batch") == 1


@needs_mlflow
def test_late_response_after_a_second_setup(child: Any, tracking: Any, environment: dict[str, str]) -> None:
    """A second setup() before the response does not send the batch again."""
    ready = delay_responses(tracking)
    script = """
import time
from amllog.record import envelope
from amllog.exporters.run_metrics.mlflow_exporter import MLflowExporter
properties = {"run_metric": "scalar", "step_id": "s1", "record_id": "r1", "experiment_name": "digits", "step_name": "s"}
data = {"metrics": [{"name": "loss", "value": 1}], "properties": properties}
line = envelope.encode_record(time.time(), "", {}, "MetricData", data)
import mlflow
def export(seconds):
    result = MLflowExporter(".", step_id="s1").export([line], seconds)
    return result.exceptions.get(0, result.default)
reasons = [export(1.5).reason for _ in range(4)]
print(reasons[-1], flush=True)
while export(0.5).state != "delivered":
    pass
"""
    process = child.start(script, env=environment)
    reason = process.stdout.readline()
    ready.set()
    _, stderr = process.communicate(timeout=600)
    assert (reason, process.returncode) == ("mlflow: no answer yet\n", 0), stderr
    assert tracking.named("s")["metrics"] == [("loss", 1, 0)]
    assert tracking.requests.count("runs/log-batch") == 1


@needs_mlflow
def test_connections_of_mlflow_leave_the_script_descriptors(
    child: Any, tracking: Any, environment: dict[str, str]
) -> None:
    """A file that replaces the descriptor of a kept connection of mlflow is neither written nor closed."""
    script = """
import os, stat
import amllog
log = amllog.setup()
import mlflow
from mlflow.utils import request_utils
given = request_utils._get_request_session
log.metric("loss", 1); amllog.flush(200)
amllog.setup()
log.metric("loss", 2); amllog.flush(200)
file = os.open("mine", os.O_RDWR | os.O_CREAT)
sockets = [int(name) for name in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + name)
           and stat.S_ISSOCK(os.stat(int(name)).st_mode)]
assert sockets
for number in sockets:
    os.dup2(file, number)
log.metric("loss", 3); account = amllog.flush(200).outlets["run_metrics"]
assert account.waiting == 0, account
amllog.shutdown(200)
assert request_utils._get_request_session is given
assert os.stat("mine").st_size == 0
assert all(os.path.sameopenfile(file, number) for number in sockets)
"""
    ran = child(script, env=environment)
    assert ran.returncode == 0, ran.stderr
    assert [value for _, value, _ in tracking.named("train")["metrics"]] == [1, 2, 3]


@needs_mlflow
def test_import_of_mlflow_loses_no_line(child: Any, environment: dict[str, str]) -> None:
    """mlflow configures logging when it is imported, and each line is still recorded once."""
    script = """
import amllog, logging, sys, time
log = amllog.setup(connection_string="00000000-0000-0000-0000-0000000010ca", exporter="none")
logging.getLogger("mine").info("before")
assert "mlflow" not in sys.modules
log.metric("loss", 1); amllog.flush(200)
assert "mlflow" in sys.modules
logging.getLogger("mine").info("after"); log.info("ours")
amllog.shutdown()
"""
    ran = child(script, env=environment)
    assert ran.returncode == 0, ran
    written = [json.loads(line) for path in Path(".amllog").glob("*.jsonl") for line in path.open()]
    messages = [line["data"]["baseData"].get("message") for line in written]
    assert [messages.count(text) for text in ("before", "after", "ours")] == [1, 1, 1]
    assert [ran.stdout.count(f": {text}") for text in ("before", "after", "ours")] == [1, 1, 1], ran.stdout


class Faulty(MLflowExporter):
    """An exporter whose background thread ends with an exception."""

    def __init__(self, directory: Path, fault: BaseException) -> None:
        super().__init__(directory)
        self.fault, self.calls = fault, 0

    def _send(self, lines: Sequence[bytes], deadline: float) -> None:
        self.calls += 1
        raise self.fault


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("fault", [SystemExit(1), ValueError()])
def test_failed_call_does_not_block_the_next_one(tmp_path: Path, fault: BaseException) -> None:
    """After a background call that ended with an exception, a later export starts another one."""
    exporter = Faulty(tmp_path, fault)

    def has_called_again() -> bool:
        with contextlib.suppress(ValueError):
            exporter.export([b"{}"], 600)
        return exporter.calls > 1

    wait_until(has_called_again)
