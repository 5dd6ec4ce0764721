"""A pipeline of three steps on this machine: prepare → train → score, each in a separate process.

`amllog.local` replaces Azure on loopback. The steps use the real azureml Run and the real AzureLogHandler.
The last step fails intentionally. At the end, the script prints the received records and the cause of the failure.
"""

import json
import os
import shutil
import site
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

from amllog.local import AzureOnThisMachine

HERE = Path(__file__).resolve().parent
STEPS = {
    "prepare": ["--training_data", "training_data", "--batches", "batches"],
    "train": ["--training_data", "training_data", "--model", "model"],
    "score": ["--model", "model", "--batches", "batches", "--scores", "scores"],
}
EXIT_CODES = {"prepare": 0, "train": 0, "score": 1}  # score reads an invalid batch
IDENTITY = ("parent_run_id", "step_id", "step_name", "experiment_name", "run_url")
AS_INTENDED = """
As intended: all accepted records have arrived, and score failed. prepare pads its last batch with
empty images and divides each image by its brightest pixel, and 0/0 is NaN. Its warning above shows the cause."""
COLOURS = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def main():
    sys.stdout.reconfigure(errors="replace")  # for terminals without arrows
    pipeline = str(uuid.uuid4())
    folder = Path(".amllog", "demo", pipeline[:8]).absolute()
    print_coloured(f"pipeline run {pipeline}: {' → '.join(STEPS)}", "1")
    with AzureOnThisMachine(folder / "azure") as azure:
        steps = run_steps(azure, pipeline, folder)
    accounts = {name: account_of(step["journal"]) for name, step in steps.items()}
    received = {name: received_records(azure, step["run_id"]) for name, step in steps.items()}
    print_accounts(steps, accounts, received)
    print_received(received)
    for name, step in steps.items():
        if step["code"]:
            print_failure(name, received)
    print_commands(pipeline[:8])
    differences = list(problems(steps, accounts, received))
    for problem in differences:
        print_coloured(f"not as intended: {problem}", "31")
    if not differences:
        print_coloured(AS_INTENDED, "32")
    return int(bool(differences))


def run_steps(azure, pipeline, folder):
    """Run the steps in order, until one of them fails."""
    steps = {}
    for name in STEPS:
        steps[name] = run_step(name, azure, pipeline, folder)
        if steps[name]["code"]:
            break
    return steps


def run_step(name, azure, pipeline, folder):
    """Run one step like Azure ML, in a separate folder with a job's variables, and print its driver log."""
    run_id = f"{pipeline[:8]}_{name}"
    working = folder / name
    working.mkdir(parents=True)
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("AMLLOG_", "AZUREML_"))
    }
    # azureml stores addresses in the home folder, which must not be the user's
    environment.update(HOME=str(folder / "home"), PYTHONUSERBASE=site.getuserbase())
    job = azure.job_environment(
        run_id=run_id, step_name=name, experiment_name="digits", parent_run_id=pipeline
    )
    process = subprocess.Popen(
        [sys.executable, str(HERE / f"{name}.py"), *in_folder(STEPS[name], folder / "data")],
        cwd=working,
        env={**environment, **job},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    began = time.monotonic()
    for line in process.stdout:
        print(f"{paint(f'{name:<7} |', '90')} {shortened(line.rstrip(), 150)}", flush=True)
    code = process.wait()
    seconds = time.monotonic() - began
    return {"run_id": run_id, "code": code, "seconds": seconds, "journal": working / "logs" / "amllog"}


def in_folder(arguments, folder):
    """Return the arguments of a step, with its files in `folder`."""
    return [name if name.startswith("--") else str(folder / name) for name in arguments]


def account_of(journal):
    """Return the account that `amllog status` reads from a step's journal."""
    command = [sys.executable, "-m", "amllog", "status", str(journal), "--json"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout)


def received_records(azure, run_id):
    """Return the records of a step at the local Azure: its envelopes, and the content of its run."""
    return {
        "envelopes": [
            envelope for envelope in azure.envelopes if properties(envelope).get("step_id") == run_id
        ],
        "metrics": azure.metrics(run_id),
        "values": azure.values(run_id),
        "files": sorted(azure.artifacts(run_id)),
        "tags": azure.tags(run_id),
    }


def in_run_history(records):
    """Count the records in run history. The file of a confusion matrix belongs to its metric."""
    files = [file for file in records["files"] if file not in records["values"]]
    return len(records["metrics"]) + len(files) + len(records["tags"])


def print_accounts(steps, accounts, received):
    print_coloured("\nthe account of each step, from its journal (and the records that Azure received)", "1")
    print("  step     exit    time  accepted  Application Insights       run history  waiting  refused")
    for name, step in steps.items():
        account, records = accounts[name], received[name]
        insights = f"{delivered(account, 'app_insights')} ({len(records['envelopes'])} received)"
        history = f"{delivered(account, 'run_metrics')} ({in_run_history(records)} received)"
        print(
            f"  {name:<8} {step['code']:>4} {step['seconds']:>5.1f} s {account['accepted']:>9}"
            f"  {insights:>20}  {history:>16} {account['waiting']:>8} {account['refused']:>8}"
        )


def delivered(account, outlet):
    return account["outlets"][outlet]["delivered"]


def print_received(received):
    tables = Counter(table_of(envelope) for step in received.values() for envelope in step["envelopes"])
    print_coloured(f"\nreceived records, each with {', '.join(IDENTITY)}", "1")
    counts = ", ".join(f"{count} {table}" for table, count in sorted(tables.items()))
    print(f"  {'Application Insights':<22} {counts}")
    for name, records in received.items():
        metrics = [f"{metric} ×{len(values)}" for metric, values in records["values"].items()]
        files = [f"file {file}" for file in records["files"] if file not in records["values"]]
        tags = [f"tag {key}={value}" for key, value in records["tags"].items()]
        print(f"  {f'run history, {name}':<22} {', '.join(metrics + files + tags)}")


def print_failure(name, received):
    """Print the error of the failed step, its span, its last metrics, and the warnings of the steps before it."""
    print_coloured(f"\nwhy step {name} failed", "1")
    records = received[name]
    for error in of_table(records["envelopes"], "exceptions"):
        first = error["exceptions"][0]
        print_coloured(f"  {first['typeName']}: {shortened(first['message'].splitlines()[0], 110)}", "31")
        for frame in first["parsedStack"]:  # the innermost first
            print(f"    {short_path(frame['fileName'])}:{frame['line']} in {frame['method']}")
    for span in of_table(records["envelopes"], "dependencies"):
        if not span["success"]:
            print(f"  while in span        {span['name']}, file = {span['properties'].get('file', 'none')}")
    last = ", ".join(f"{metric} = {values[-1]:g}" for metric, values in records["values"].items())
    print(f"  metrics before it    {last}")
    for step in received:
        for warning in of_table(received[step]["envelopes"], "traces"):
            if warning["severityLevel"] == 2:
                where = "{module}.py:{lineNumber}".format(**warning["properties"])
                print(f"  warning in {step:<9} {warning['message']} ({where})")


def print_commands(run):
    beside = Path(sys.executable).with_name("amllog")
    amllog = "amllog" if shutil.which("amllog") or not beside.exists() else os.path.relpath(beside)
    print_coloured("\nsee more", "1")
    print(f"  {amllog} story {run}       all of this and more, from the received records")
    print(f"  {amllog} errors {run}      the error with its whole stack")
    print(f"  {amllog} logs {run}        every line of the three steps, in order")
    print(f"  {amllog} timeline {run}    steps with their spans, warnings and errors")
    print(f"  {amllog} metrics {run}     the metrics of all steps")


def problems(steps, accounts, received):
    """Yield each difference from the intended result."""
    for name, step in steps.items():
        account, records = accounts[name], received[name]
        if step["code"] != EXIT_CODES[name]:
            yield f"{name} ended with {step['code']}, not {EXIT_CODES[name]}"
        if account["waiting"] or account["refused"]:
            yield f"{name}: {account['waiting']} records wait, {account['refused']} were refused"
        if not len(records["envelopes"]) == delivered(account, "app_insights") == account["accepted"]:
            yield f"{name}: {account['accepted']} accepted, {len(records['envelopes'])} at Application Insights"
        if in_run_history(records) != delivered(account, "run_metrics"):
            yield f"{name}: {delivered(account, 'run_metrics')} delivered, {in_run_history(records)} in run history"
        bare = [
            envelope for envelope in records["envelopes"] if not all(map(properties(envelope).get, IDENTITY))
        ]
        if bare:
            yield f"{name}: {len(bare)} records have no identity"
    if "score" not in received or not of_table(received["score"]["envelopes"], "exceptions"):
        yield "the error of score is not in Application Insights"


TABLES = {
    "MessageData": "traces",
    "ExceptionData": "exceptions",
    "MetricData": "customMetrics",
    "EventData": "customEvents",
    "RemoteDependencyData": "dependencies",
    "RequestData": "requests",
}


def table_of(envelope):
    return TABLES[envelope["data"]["baseType"]]


def of_table(envelopes, table):
    return [envelope["data"]["baseData"] for envelope in envelopes if table_of(envelope) == table]


def properties(envelope):
    return envelope["data"]["baseData"]["properties"]


def short_path(path):
    """Return the path from the package on, or the file name."""
    return path.rpartition("site-packages/")[2] if "site-packages/" in path else Path(path).name


def shortened(text, length):
    return text if len(text) <= length else f"{text[: length - 1]}…"


def paint(text, colour):
    return f"\x1b[{colour}m{text}\x1b[0m" if COLOURS else text


def print_coloured(text, colour):
    print(paint(text, colour), flush=True)


if __name__ == "__main__":
    sys.exit(main())
