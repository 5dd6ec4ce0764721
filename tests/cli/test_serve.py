"""`amllog serve`: the printed variables, and the received records."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from amllog.local.serving import pipeline_of

JOB = "import amllog; log = amllog.setup(); log.info('hello'); log.metric('loss', 1)"


# The dimensions of Microsoft's guide: a run without a pipeline has no `parent`.
GUIDE = """
from azureml.core import Run
run = Run.get_context(allow_offline=False)
print("PARENT", run.parent.id, run.parent.get_portal_url() != "", run.experiment.name)
"""


@pytest.fixture
def serve(child: Any) -> Any:
    """A function that starts `amllog serve` with these arguments and returns the process and the variables."""

    def start(*arguments: str) -> tuple[Any, dict[str, str]]:
        process = child.start([sys.executable, "-m", "amllog", "serve", "--directory", "azure", *arguments])
        environment = {}
        for line in process.stdout:
            if line.startswith("export "):
                name, _, value = line[len("export ") :].strip().partition("=")
                environment[name] = value.strip("'")
            if line.startswith("# stop"):
                break
        return process, environment

    return start


def test_serve_and_read(child: Any, serve: Any, read_json: Any) -> None:
    """A script with the printed variables is a step of a pipeline run, and `amllog logs` reads its records."""
    process, environment = serve("--run-id", "run_1", "--step-name", "train")
    ran = child(GUIDE + JOB, env=environment)
    assert ran.returncode == 0, ran.stderr
    process.send_signal(signal.SIGINT)
    assert process.wait(600) == 0
    (row,) = read_json("logs", pipeline_of("run_1"), "--dir", "azure/received")
    assert (row["message"], row["step_name"], row["parent_run_id"]) == (
        "hello",
        "train",
        pipeline_of("run_1"),
    )
    assert f"PARENT {pipeline_of('run_1')} True local" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "parent"),
    [
        (["--pipeline", "pipe_1"], "pipe_1"),
        (["--parent-run-id", "pipe_1"], "pipe_1"),
        (["--no-parent"], "run_1"),
    ],
)
def test_the_pipeline_run(serve: Any, child: Any, arguments: list[str], parent: str) -> None:
    """The pipeline run can be chosen, also as a job of its own. MLflow has its address."""
    process, environment = serve("--run-id", "run_1", "--root-run-id", parent, *arguments)
    ran = child("import amllog; amllog.setup(); print(amllog.identity().parent_run_id)", env=environment)
    assert ran.stdout.splitlines()[-1] == parent, ran.stderr
    assert environment["MLFLOW_TRACKING_URI"] == f"{environment['AZUREML_SERVICE_ENDPOINT']}/mlflow"
    process.send_signal(signal.SIGINT)
    assert process.wait(600) == 0


def test_a_port_in_use(cli: Any, azure: Any) -> None:
    """A port in use is wrong usage, with the reason."""
    ran = cli("serve", "--port", azure.url.rpartition(":")[2])
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "cannot serve on port" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert Path("amllog-azure").exists()


UPLOAD = """
import amllog, os
from azureml.core import Run
log = amllog.setup()
open("of_amllog.txt", "w").write("of amllog")
log.run.upload_file("of_amllog.txt", "of_amllog.txt")
if os.environ.get("UPLOAD") == "azureml":
    open("of_azureml.txt", "w").write("of azureml")
    Run.get_context().upload_file("of_azureml.txt", "of_azureml.txt")
print(os.environ["REQUESTS_CA_BUNDLE"])
amllog.shutdown(200)
"""


def test_the_authorities_of_the_shell_stay(child: Any, tmp_path: Path) -> None:
    """A shell keeps its authorities, which the file of the server contains. amllog and `amllog run` upload."""
    import certifi

    first = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----")
    (tmp_path / "corporate.pem").write_text(first[0] + first[1] + "\n")
    (tmp_path / "script.py").write_text(UPLOAD)
    corporate = {"REQUESTS_CA_BUNDLE": str(tmp_path / "corporate.pem")}
    arguments = ["serve", "--directory", "azure", "--run-id", "run_1", "--step-name", "train"]
    process = child.start([sys.executable, "-m", "amllog", *arguments], env=corporate)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("# stop"):
            break
    assert [line for line in lines if line.startswith("export REQUESTS_CA_BUNDLE")] == []
    bundle = (tmp_path / "azure" / "ca-bundle.pem").read_text()
    assert first[0] in bundle
    assert bundle.count("BEGIN CERTIFICATE") == 2
    shell = "".join(lines)
    plain = child(["/bin/sh", "-c", f'{shell}\n"{sys.executable}" script.py'], env=corporate)
    assert plain.returncode == 0, plain.stderr
    assert plain.stdout.splitlines()[-1] == corporate["REQUESTS_CA_BUNDLE"]
    stored = tmp_path / "azure" / "artifacts"
    assert b"of amllog" in [file.read_bytes() for file in stored.rglob("*") if file.is_file()]
    code = f'{shell}\nUPLOAD=azureml "{sys.executable}" -m amllog run script.py'
    wrapped = child(["/bin/sh", "-c", code], env=corporate)
    assert wrapped.returncode == 0, wrapped.stderr
    assert b"of azureml" in [file.read_bytes() for file in stored.rglob("*") if file.is_file()]
    names = 'echo "NAMES ${NO_PROXY-} ${no_proxy-}"'
    for proxy, expected in (
        ("http://proxy.example:1", "mine.example,127.0.0.1,localhost"),
        ("", "mine.example"),
    ):
        variables = dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"), "")
        variables.update(HTTP_PROXY=proxy, NO_PROXY="mine.example", no_proxy="")
        echoed = child(["/bin/sh", "-c", f"set -eu\n{shell}\n{names}"], env=variables).stdout.split()
        assert echoed == ["NAMES", expected, *([expected] if proxy else [])]
    process.send_signal(signal.SIGTERM)
    assert process.wait(600) == 0
