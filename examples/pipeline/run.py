"""A pipeline of three steps on this machine: prepare → train → score, each a process of its own.

Azure's side is `amllog.local` on loopback; the steps speak to it through the real azureml Run and the real
AzureLogHandler. The last step fails, and is meant to. At the end: what arrived, and what the failure was.
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
EXIT_CODES = {"prepare": 0, "train": 0, "score": 1}  # score meets a batch that is really bad
IDENTITY = ("parent_run_id", "step_id", "step_name", "experiment_name", "run_url")
AS_INTENDED = """
As intended: whatever was accepted has arrived, and score was meant to fail. prepare fills its last batch up with
empty images and divides each image by its brightest pixel: 0/0 is NaN. Its warning above is the line to look for."""
COLOURS = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def main():
    sys.stdout.reconfigure(errors="replace")  # arrows on a terminal that has none
    pipeline = str(uuid.uuid4())
    folder = Path(".amllog", "demo", pipeline[:8]).absolute()
    say(f"pipeline run {pipeline}: {' → '.join(STEPS)}", "1")
    with AzureOnThisMachine(folder / "azure") as azure:
        steps = run_steps(azure, pipeline, folder)
    accounts = {name: account_of(step["journal"]) for name, step in steps.items()}
    arrived = {name: what_arrived(azure, step["run_id"]) for name, step in steps.items()}
    tell_accounts(steps, accounts, arrived)
    tell_arrivals(arrived)
    for name, step in steps.items():
        if step["code"]:
            tell_failure(name, arrived)
    tell_more(pipeline[:8])
    wrong = list(problems(steps, accounts, arrived))
    for problem in wrong:
        say(f"not as intended: {problem}", "31")
    if not wrong:
        say(AS_INTENDED, "32")
    return int(bool(wrong))


def run_steps(azure, pipeline, folder):
    """Run one step after the other, as long as they end well."""
    steps = {}
    for name in STEPS:
        steps[name] = run_step(name, azure, pipeline, folder)
        if steps[name]["code"]:
            break
    return steps


def run_step(name, azure, pipeline, folder):
    """Run one step as Azure ML would: in a folder of its own, with a job's variables; show its driver log."""
    run_id = f"{pipeline[:8]}_{name}"
    working = folder / name
    working.mkdir(parents=True)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AMLLOG_", "AZUREML_"))}
    # azureml keeps addresses it found in the home folder: not in the user's
    kept.update(HOME=str(folder / "home"), PYTHONUSERBASE=site.getuserbase())
    job = azure.job_environment(
        run_id=run_id, step_name=name, experiment_name="digits", parent_run_id=pipeline
    )
    process = subprocess.Popen(
        [sys.executable, str(HERE / f"{name}.py"), *in_folder(STEPS[name], folder / "data")],
        cwd=working,
        env={**kept, **job},
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
    return [one if one.startswith("--") else str(folder / one) for one in arguments]


def account_of(journal):
    """The account of a step, as `amllog status` reads it from the step's journal."""
    command = [sys.executable, "-m", "amllog", "status", str(journal), "--json"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout)


def what_arrived(azure, run_id):
    """What the far side has of a step: its envelopes, and what run history knows of its run."""
    return {
        "envelopes": [one for one in azure.envelopes if properties(one).get("step_id") == run_id],
        "metrics": azure.metrics(run_id),
        "values": azure.values(run_id),
        "files": sorted(azure.artifacts(run_id)),
        "tags": azure.tags(run_id),
    }


def in_run_history(there):
    """How many records those are: the file of a confusion matrix belongs to its metric."""
    files = [file for file in there["files"] if file not in there["values"]]
    return len(there["metrics"]) + len(files) + len(there["tags"])


def tell_accounts(steps, accounts, arrived):
    say("\nthe account of each step, from its journal (and what is there at the far side)", "1")
    print("  step     exit    time  accepted  Application Insights     run history  waiting  refused")
    for name, step in steps.items():
        account, there = accounts[name], arrived[name]
        insights = f"{delivered(account, 'app_insights')} ({len(there['envelopes'])} there)"
        history = f"{delivered(account, 'run_metrics')} ({in_run_history(there)} there)"
        print(
            f"  {name:<8} {step['code']:>4} {step['seconds']:>5.1f} s {account['accepted']:>9}"
            f"  {insights:>20}  {history:>14} {account['waiting']:>8} {account['refused']:>8}"
        )


def delivered(account, outlet):
    return account["outlets"][outlet]["delivered"]


def tell_arrivals(arrived):
    tables = Counter(table_of(envelope) for step in arrived.values() for envelope in step["envelopes"])
    say(f"\nwhat arrived, each record with {', '.join(IDENTITY)}", "1")
    found = ", ".join(f"{count} {table}" for table, count in sorted(tables.items()))
    print(f"  {'Application Insights':<22} {found}")
    for name, there in arrived.items():
        metrics = [f"{metric} ×{len(values)}" for metric, values in there["values"].items()]
        files = [f"file {file}" for file in there["files"] if file not in there["values"]]
        tags = [f"tag {key}={value}" for key, value in there["tags"].items()]
        print(f"  {f'run history, {name}':<22} {', '.join(metrics + files + tags)}")


def tell_failure(name, arrived):
    """The failed step: its error, what it was doing, its metrics before; and what was odd in the steps before it."""
    say(f"\nwhy step {name} failed", "1")
    there = arrived[name]
    for error in of_table(there["envelopes"], "exceptions"):
        first = error["exceptions"][0]
        say(f"  {first['typeName']}: {shortened(first['message'].splitlines()[0], 110)}", "31")
        for frame in first["parsedStack"]:  # the innermost first
            print(f"    {short_path(frame['fileName'])}:{frame['line']} in {frame['method']}")
    for span in of_table(there["envelopes"], "dependencies"):
        if not span["success"]:
            print(f"  while in span        {span['name']}, file = {span['properties'].get('file', 'none')}")
    last = ", ".join(f"{metric} = {values[-1]:g}" for metric, values in there["values"].items())
    print(f"  metrics before it    {last}")
    for step in arrived:
        for warning in of_table(arrived[step]["envelopes"], "traces"):
            if warning["severityLevel"] == 2:
                where = "{module}.py:{lineNumber}".format(**warning["properties"])
                print(f"  warning in {step:<9} {warning['message']} ({where})")


def tell_more(run):
    beside = Path(sys.executable).with_name("amllog")
    amllog = "amllog" if shutil.which("amllog") or not beside.exists() else os.path.relpath(beside)
    say("\nsee more", "1")
    print(f"  {amllog} story {run}       all of this and more, from what arrived")
    print(f"  {amllog} errors {run}      the error with its whole stack")
    print(f"  {amllog} logs {run}        every line of the three steps, in order")
    print(f"  {amllog} timeline {run}    steps, spans, warnings and errors, one within the other")
    print(f"  {amllog} metrics {run}     the metrics of all steps")


def problems(steps, accounts, arrived):
    """What is not as it should be: nothing, we hope."""
    for name, step in steps.items():
        account, there = accounts[name], arrived[name]
        if step["code"] != EXIT_CODES[name]:
            yield f"{name} ended with {step['code']}, not {EXIT_CODES[name]}"
        if account["waiting"] or account["refused"]:
            yield f"{name}: {account['waiting']} records wait, {account['refused']} were refused"
        if not len(there["envelopes"]) == delivered(account, "app_insights") == account["accepted"]:
            yield f"{name}: {account['accepted']} accepted, {len(there['envelopes'])} at Application Insights"
        if in_run_history(there) != delivered(account, "run_metrics"):
            yield f"{name}: {delivered(account, 'run_metrics')} delivered, {in_run_history(there)} in run history"
        bare = [one for one in there["envelopes"] if not all(map(properties(one).get, IDENTITY))]
        if bare:
            yield f"{name}: {len(bare)} records do not say whose they are"
    if "score" not in arrived or not of_table(arrived["score"]["envelopes"], "exceptions"):
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
    """A path as far as it tells: from the package on."""
    return path.rpartition("site-packages/")[2] if "site-packages/" in path else Path(path).name


def shortened(text, length):
    return text if len(text) <= length else f"{text[: length - 1]}…"


def paint(text, colour):
    return f"\x1b[{colour}m{text}\x1b[0m" if COLOURS else text


def say(text, colour):
    print(paint(text, colour), flush=True)


if __name__ == "__main__":
    sys.exit(main())
