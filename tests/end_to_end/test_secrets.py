"""A script that logs every kind of secret in every place, with all outlets: none is written anywhere."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from amllog.local import AzureOnThisMachine

# Each kind: the secret, and a string that contains it. Secrets are letters and digits, so no encoding changes them.
SECRETS = {
    "jwtPart0aB1": "token eyJhbGciOiJSUzI1NiJ9jwtPart0aB1.eyJzdWIiOiJqd3RQYXJ0MGFCMSJ9.c2lnbmF0dXJl",
    "bearer0aB1cD2eF3": "Authorization: Bearer bearer0aB1cD2eF3",
    "signature0aB1": "https://x.blob.invalid/c/b?sv=2020&sig=signature0aB1%3D",
    "account0aB1cD2": "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=account0aB1cD2==;",
    "bus0aB1cD2eF3": "Endpoint=sb://x/;SharedAccessKeyName=r;SharedAccessKey=bus0aB1cD2eF3",
    "11111111-2222-3333-4444-0000deadbeef": "InstrumentationKey=11111111-2222-3333-4444-0000deadbeef;",
    "word0aB1": "password=word0aB1",
    "quoted0aB1": "{'client_secret': 'quoted0aB1'}",
    "user0aB1cD2eF3gH4": "https://user0aB1cD2eF3gH4@git.invalid/a",
    "ghp_0aB1cD2eF3gH4iJ5kL6mN7": "cloned with ghp_0aB1cD2eF3gH4iJ5kL6mN7",
    "pem0aB1": "-----BEGIN PRIVATE KEY-----\npem0aB1\n-----END PRIVATE KEY-----",
    "sshpass0aB1": "it ran sshpass -p sshpass0aB1 ssh h;",
    "nested0aB1": "{'password': {'value': 'nested0aB1'}}",
    "correct0horse0battery": "the environment's correct0horse0battery",
    "bare0aB1": "",  # secret by its key only
    "Ada0Lovelace": "",  # secret by the script's own pattern
}

SCRIPT = """
import json, logging, os, sys, warnings
import amllog
from amllog.session import api

texts = json.loads(sys.argv[1])
early = amllog.get_logger("early")
for text in texts:
    early.info(text, value=text)
    early.metric("early", 1, note=text)
    early.run.tag("early", text)

log = amllog.setup(
    level="DEBUG", redact=["^patient"], build_url="https://me:word0aB1@build.invalid",
    dimensions={"password": "bare0aB1", "everywhere": texts[0]},
)
library = logging.getLogger("library")
hidden = {"password": "bare0aB1", "patient_name": "Ada0Lovelace", "in": [{"api_key": "bare0aB1"}]}
log.info("hidden", hidden)
hidden.update({"db_pass": "bare0aB1", "argv": ["mysql", "-pbare0aB1"], "headers": [("x-api-key", "bare0aB1")]})
log.info("hidden", environment=dict(os.environ))
log.info("url: /%s/v2.1/track", os.environ["AZUREML_DISCOVERY_SERVICE_ENDPOINT"].split("/")[3])
log.info("hidden", nested=hidden, cookie="bare0aB1", patient=["Ada0Lovelace"])
library.info("hidden", extra={"custom_dimensions": hidden, "sas": "bare0aB1"})
log.event("hidden", **hidden)
log.metric("hidden", 1, **hidden)
log.run.set_tags({"password": "bare0aB1", "patient": "Ada0Lovelace"})
log.run.add_properties({"jwt": "bare0aB1"})
log.run.log_row("hidden", password="bare0aB1", patient="Ada0Lovelace")
log.run.log_table("hidden table", {"api_key": ["bare0aB1"] * 3, "n": [1, 2, 3]})
log.run.log_list("credentials", ["bare0aB1"])

class Holder:
    def __init__(self, text): self.text = text
    def __repr__(self): return f"Holder({self.text!r})"

def fail(text):
    local_variable = "bare0aB1" + text
    raise RuntimeError(text) from KeyError(text)

for text in texts:
    log.info(text)
    log.info("%s and %r", text, Holder(text))
    log.debug({text: [text]})
    log.warning("m", {text: text})
    log.warning("m", value=text, more=Holder(text), file=open.__class__, **{text: 1})
    library.error(text, extra={"x": text, "custom_dimensions": {text: text}})
    library.error("%s", text, stack_info=True)
    log.bind(bound=text).event(text, value=[text])
    with amllog.bound(around=text):
        log.info("inside")
    try:
        with log.span(text, of=text):
            fail(text)
    except RuntimeError as error:
        if hasattr(error, "add_note"):
            error.add_note(text)
        log.exception(text, note=text)
        library.exception("m %s", text)
        if sys.version_info >= (3, 11):
            log.error("group", exc_info=ExceptionGroup(text, [error, ValueError(text)]))
        child = log.run.child_run("kid")
        child.fail(error)
    for _ in log.progress([1], text):
        pass
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are too long
        log.metric(text, 0.5, step=1, note=text)
        log.metric(text, float("nan"))
        log.run.log(text, text)
        log.run.log_list(text, [text, "x"])
        log.run.log_row("row", **{text: text})
        log.run.log_table("table", {"note": [text, text]})
    log.run.tag("note", text)
    log.run.set_tags({text[:100]: text * 30})
    log.run.add_properties({"property " + str(texts.index(text)): text})
    log.run.upload_file(f"outputs/{text}", __import__("io").BytesIO(b"content"))
    child = log.run.child_run(text)
    child.display_name = child.description = text
    log.run.description = text
    session = api.session()
    redactor = session.recorder.emitter.redactor
    for one in (log.bind(password="bare0aB1", x=text), session.settings, session.identity, redactor):
        log.info("%r", one)
print(amllog.flush(200), file=sys.stderr)
"""

SHOWN_BY_PYTHON = """
import json, sys, threading, warnings
import amllog
amllog.setup(capture="logging,warnings,exceptions,prints")
for text in json.loads(sys.argv[1]):
    print(text)
    warnings.warn(text)
    thread = threading.Thread(target=lambda: exec("raise ValueError(text)", {"text": text}), name=text)
    thread.start()
    thread.join()
amllog.flush(200)
raise RuntimeError(" ".join(json.loads(sys.argv[1])))
"""


@pytest.fixture
def job(azure: AzureOnThisMachine) -> dict[str, str]:
    """Return the environment of a step's job, with a password."""
    made = azure.job_environment(run_id="run_1", step_name="train", parent_run_id="pipe_1")
    return {**made, "MY_PASSWORD": "correct0horse0battery"}


def written(*folders: Path) -> dict[str, str]:
    """Return the names and contents of all files below the folders."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {str(path): path.name + path.read_bytes().decode("utf-8", "replace") for path in files}


def leaks(places: dict[str, str], *more: str) -> list[tuple[str, str, str]]:
    """Return the secret, the place and the surrounding text of each leak."""
    leaked = []
    for secret in (*SECRETS, *more):
        for place, text in places.items():
            at = text.find(secret)
            if at >= 0:
                leaked.append((secret, place, text[max(0, at - 80) : at + 40]))
    return leaked


def received_by_azure(azure: AzureOnThisMachine) -> dict[str, str]:
    """Return everything that Azure received: files, run history and requested addresses."""
    history = {
        run: [azure.values(run), azure.tags(run), list(azure.artifacts(run)), azure.runs[run]]
        for run in azure.runs
    }
    paths = " ".join(request.path for request in azure.requests_log)
    return {**written(azure.directory), "run history": json.dumps(history, default=str), "paths": paths}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["plain", "json", "console"])
def test_no_secret_is_written(
    child: Any, azure: AzureOnThisMachine, job: Any, tmp_path: Path, form: str
) -> None:
    """No secret in any part of a record is on stdout, in the journal, in Azure or in the commands' output."""
    texts = [text for text in SECRETS.values() if text]
    env = {**job, "AMLLOG_DRIVER_FORMAT": form}
    ran = child(SCRIPT, json.dumps(texts), env=env, timeout=900)
    assert ran.returncode == 0, ran.stderr[-3000:]
    outputs = {
        command: child([sys.executable, "-m", "amllog", *command.split()], env=env)
        for command in ("runs", "logs", "errors", "metrics", "timeline", "status", "doctor", "logs --json")
    }
    assert "0 waiting" in ran.stderr and len(azure.envelopes) > 30 * len(texts)
    assert (
        azure.tags("run_1")["password"] == "***"
        and azure.values("run_1")["hidden table"][0]["api_key"] == "***"
    )
    places = {**written(tmp_path), **received_by_azure(azure), "stdout": ran.stdout, "stderr": ran.stderr}
    places.update((command, output.stdout + output.stderr) for command, output in outputs.items())
    discovery = job["AZUREML_DISCOVERY_SERVICE_ENDPOINT"].split("/")[3]
    assert leaks(places, job["AZUREML_RUN_TOKEN"], discovery) == [] and len(discovery) == 43
    assert "build.invalid" in places["stdout"] or form != "json"


def test_output_of_python_itself(child: Any, azure: AzureOnThisMachine, job: Any, tmp_path: Path) -> None:
    """Python shows prints, warnings and uncaught exceptions, but their records contain no secret."""
    texts = [text for text in SECRETS.values() if text]
    ran = child(SHOWN_BY_PYTHON, json.dumps(texts), env=job)
    assert ran.returncode == 1 and "word0aB1" in ran.stdout and "word0aB1" in ran.stderr
    kinds = [envelope["data"]["baseType"] for envelope in azure.envelopes]
    assert kinds.count("ExceptionData") == len(texts) + 1 and kinds.count("MessageData") >= 2 * len(texts)
    assert leaks({**written(tmp_path), **received_by_azure(azure)}) == []


def test_private_files(child: Any, azure: AzureOnThisMachine, job: Any, tmp_path: Path) -> None:
    """With any umask, our directories and files are private, also in an existing or a temporary directory."""
    code = "import os; os.umask(0)\nimport amllog; log = amllog.setup(); log.info('m'); log.run.upload_file('a', b'b')"
    wide = tmp_path / "wide"
    wide.mkdir(mode=0o777)
    wide.chmod(0o777)
    taken = tmp_path / "taken"
    taken.write_text("no directory")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    for directory in ("fresh", "wide", "taken"):
        env = {**job, "AMLLOG_DIR": str(tmp_path / directory), "TMPDIR": str(temporary)}
        assert child(code + "\namllog.flush(200)", env=env).returncode == 0
    fresh = tmp_path / "fresh"
    files = [path for folder in (fresh, wide, temporary) for path in folder.rglob("*") if path.is_file()]
    suffixes = {path.suffix for path in files}
    assert {".jsonl", ".ack"} <= suffixes and len(files) >= 6
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    ours = [
        fresh,
        *(path for folder in (fresh, wide, temporary) for path in folder.rglob("*") if path.is_dir()),
    ]
    assert {
        path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in ours if path.stat().st_mode & 0o077
    } == {}
    assert stat.S_IMODE(wide.stat().st_mode) == 0o777  # directories that we did not create are not changed
