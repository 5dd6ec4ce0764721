"""Runs of whole plans with real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from amllog.errors import UsageError
from amllog.local.execution.run_options import RunOptions
from amllog.local.execution.runner import run
from amllog.local.execution.step_events import RunResult, RunState, RunStatus, StepStatus
from amllog.local.plan.planned_steps import (
    Distribution,
    LiteralValue,
    LocalData,
    PlannedOutput,
    PlannedPipeline,
    PlannedStep,
    SourceLine,
    StepKind,
    StepOutput,
)

POSITION = SourceLine(Path("pipeline.yml"), 1)
ENVIRONMENT = {"PATH": os.environ["PATH"]}


class Watcher:
    """An observer that keeps all calls."""

    def __init__(self, act: Callable[[str, str], None] | None = None) -> None:
        self.calls: list[str] = []
        self.lines: list[tuple[str, str]] = []
        self._act = act

    def started(self, run: RunStatus) -> None:
        """Keep the call."""
        self.calls.append(f"started {run.state.value}")

    def changed(self, step: StepStatus) -> None:
        """Keep the call."""
        self.calls.append(f"{step.name} {step.state.value}")

    def line(self, step_name: str, text: str) -> None:
        """Keep the line, and act on it."""
        self.lines.append((step_name, text))
        if self._act:
            self._act(step_name, text)

    def ended(self, run: RunStatus) -> None:
        """Keep the call."""
        self.calls.append(f"ended {run.state.value}")


def step(name: str, command: str, **fields: object) -> PlannedStep:
    """Return a command step."""
    return PlannedStep(name, POSITION, command=command, **fields)  # type: ignore[arg-type]  # fields of the step


def plan(*steps: PlannedStep, **fields: object) -> PlannedPipeline:
    """Return a pipeline."""
    return PlannedPipeline("test", POSITION, steps, source=Path("pipeline.yml"), **fields)  # type: ignore[arg-type]  # fields


def reads(name: str, output: str = "out", kind: str = "uri_folder") -> dict[str, StepOutput]:
    """Return the input `data`, from a step."""
    return {"data": StepOutput(name, output, kind)}


OUT = {"out": PlannedOutput()}
FILE = {"out": PlannedOutput("uri_file")}


class Runs:
    """Runs plans in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, plan: PlannedPipeline, watcher: Watcher | None = None, **options: object) -> RunResult:
        """Run a plan."""
        given = RunOptions(directory=self.folder, **options)  # type: ignore[arg-type]  # fields of the options
        return run(plan, given, watcher or Watcher(), ENVIRONMENT)

    def log(self, result: RunResult, name: str) -> str:
        """Return the log of a step."""
        return (result.folder / "steps" / name / "user_logs/std_log.txt").read_text()


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """Runs in an empty folder."""
    return Runs(tmp_path)


def states(result: RunResult) -> dict[str, str]:
    """Return the states of the steps."""
    return {status.name: status.state.value for status in result.steps}


def test_a_pipeline_passes_data_from_step_to_step(runs: Runs) -> None:
    """Folders, files and literals arrive, in the order of the data, and the observer sees all of it."""
    watcher = Watcher()
    result = runs(
        plan(
            step("make", "echo ${{inputs.word}} > ${{outputs.out}}/a; ls -d outputs logs", outputs=OUT,
                 inputs={"word": LiteralValue(True, "boolean")}),
            step("copy", "cat ${{inputs.data}}/a > ${{outputs.out}}", inputs=reads("make"), outputs=FILE),
            step("show", "cat ${{inputs.data}}; python -c 'import sys; print(sys.executable)'",
                 inputs=reads("copy", kind="uri_file"), interpreter=Path(sys.executable)),
            outputs={"text": StepOutput("copy", "out", "uri_file")},
        ),
        watcher,
    )  # fmt: skip
    assert (result.exit_code, result.state) == (0, RunState.COMPLETED)
    assert watcher.lines == [
        ("make", "logs"),
        ("make", "outputs"),
        ("show", "True"),
        ("show", sys.executable),
    ]
    # A step changes more often if it is seen in the middle of a line.
    assert list(dict.fromkeys(watcher.calls)) == [
        "started running", "make running", "make completed", "copy running", "copy completed", "show running",
        "show completed", "ended completed",
    ]  # fmt: skip
    assert result.outputs["text"].read_text() == "True\n"
    assert json.loads((result.folder / "run.json").read_text())["state"] == "completed"
    assert (runs.folder / "amllog-runs/.gitignore").read_text() == "*\n"


def test_a_failed_step_skips_its_dependents_only(runs: Runs) -> None:
    """Independent steps go on. The others are skipped with a reason, and the exit code is 1."""
    result = runs(
        plan(
            step("bad", "echo partial > ${{outputs.out}}/a; exit 3", outputs=OUT),
            step("next", "true", inputs=reads("bad")),
            step("later", "true", after=("next",)),
            step("other", "true"),
        )
    )
    assert states(result) == {"bad": "failed", "next": "skipped", "later": "skipped", "other": "completed"}
    reasons = {status.name: status.reason for status in result.steps}
    assert reasons["bad"] == "exit code 3"
    assert reasons["next"] == "requires bad, which failed"
    assert reasons["later"] == "requires next, which was skipped"
    assert (result.state, result.exit_code) == (RunState.FAILED, 1)
    assert (result.folder / "steps/bad/outputs/out/a").read_text() == "partial\n"


def test_a_failed_step_can_stop_the_run(runs: Runs) -> None:
    """With `continue_on_step_failure: false`, running steps are stopped and no other step starts."""
    result = runs(
        plan(
            step("long", "echo ready > ${{outputs.out}}; exec sleep 1000", outputs=FILE),
            step(
                "bad",
                f"until [ -e {runs.folder}/amllog-runs/*/steps/long/outputs/out ]; do sleep 0.05; done; false",
            ),
            step("next", "true", after=("long",)),
            continue_on_step_failure=False,
        ),
        jobs=2,
    )
    assert states(result) == {"long": "canceled", "bad": "failed", "next": "canceled"}
    assert result.step("next").reason == "bad failed, and continue_on_step_failure is false"


def test_steps_run_in_parallel(runs: Runs) -> None:
    """Two steps that wait for each other complete with two jobs."""
    talk = "mkfifo {0}/a {0}/b 2>/dev/null; {1}"
    result = runs(
        plan(
            step("one", talk.format(runs.folder, f"echo x > {runs.folder}/a; cat {runs.folder}/b")),
            step("two", talk.format(runs.folder, f"cat {runs.folder}/a; echo y > {runs.folder}/b")),
        ),
        jobs=2,
    )
    assert states(result) == {"one": "completed", "two": "completed"}


def test_retries_begin_in_a_fresh_folder(runs: Runs) -> None:
    """A step is tried again up to its limit. The logs of all attempts stay."""
    counter = runs.folder / "count"
    command = f"echo x >> {counter}; ls; touch file; [ $(wc -l < {counter}) = 3 ]"
    result = runs(plan(step("flaky", command, max_retries=2)))
    assert states(result) == {"flaky": "completed"}
    logs = sorted((result.folder / "steps/flaky/user_logs").iterdir())
    note = "amllog: attempt {} failed (exit code 1). Its log is std_log_attempt_{}.txt. Attempt {} begins.\n"
    assert {log.name: log.read_text() for log in logs} == {
        "std_log.txt": f"{note.format(2, 2, 3)}logs\noutputs\n",
        "std_log_attempt_1.txt": "logs\noutputs\n",
        "std_log_attempt_2.txt": f"{note.format(1, 1, 2)}logs\noutputs\n",
    }
    counter.unlink()
    assert states(runs(plan(step("flaky", command, max_retries=1)))) == {"flaky": "failed"}


def test_a_command_longer_than_an_argument(runs: Runs) -> None:
    """A command that Linux does not take as an argument runs all the same, also in the launcher of ranks."""
    command = f"echo {'é' * 40_000} '\"' {'x' * 100_000} | wc -c"
    two = Distribution("pytorch", 2)
    result = runs(plan(step("a", command), step("b", command, distribution=two)))
    assert states(result) == {"a": "completed", "b": "completed"}
    size = str(2 * 40_000 + 100_000 + len(' " \n'))
    assert runs.log(result, "a").strip() == size
    assert sorted(runs.log(result, "b").splitlines()) == [f"[0] {size}", f"[1] {size}"]


def test_a_step_has_one_reason(runs: Runs) -> None:
    """A step that is not selected, behind another one, is skipped once and for its own reason."""
    watcher = Watcher()
    steps = [
        step("one", "exit 0", outputs=OUT),
        step("two", "exit 0", inputs=reads("one"), outputs=OUT),
        step("three", "exit 0", inputs=reads("two")),
    ]
    result = runs(plan(*steps), watcher, only=("one",))
    assert [status.reason for status in result.steps[1:]] == ["not selected by --only one"] * 2
    assert [call for call in watcher.calls if "skipped" in call] == ["two skipped", "three skipped"]


def test_attempts_know_whether_another_follows(runs: Runs) -> None:
    """All attempts but the last one have a variable, so that their failure is not recorded as the end of the step."""
    command = "echo ${AMLLOG_LOCAL_RETRY-last}; exit 3"
    result = runs(plan(step("a", command, max_retries=1)))
    logs = [
        log.read_text().splitlines()[-1] for log in sorted((result.folder / "steps/a/user_logs").iterdir())
    ]
    assert logs == ["last", "true"]


def test_a_timeout_is_tried_again(runs: Runs) -> None:
    """An attempt that the timeout stopped has failed, also if it ends with 0 then."""
    counter = runs.folder / "count"
    wait = "trap 'exit 0' TERM; sleep 1000 & wait"
    command = f"echo x >> {counter}; [ $(wc -l < {counter}) = 2 ] || {{ {wait}; }}"
    result = runs(plan(step("a", command, max_retries=1, timeout_seconds=0.5)))
    assert (states(result), counter.read_text()) == ({"a": "completed"}, "x\nx\n")
    assert runs.log(result, "a").startswith("amllog: attempt 1 failed (timeout).")


def test_retries_never_follow_a_link(runs: Runs) -> None:
    """A link in the place of a folder of the attempt before is deleted, and not what it leads to."""
    (runs.folder / "mine").mkdir(0o500)
    (runs.folder / "mine/file").touch()
    counter = runs.folder / "count"
    command = (
        f"echo x >> {counter}; ln -s {runs.folder}/mine outputs/link; cd ..; mv work old; ln -s ../../../../mine work;"
        f"rm -r bin; touch bin; chmod 100 outputs; [ $(wc -l < {counter}) = 2 ]"
    )
    assert states(runs(plan(step("a", command, max_retries=1)))) == {"a": "completed"}
    assert (runs.folder / "mine/file").exists()
    assert (runs.folder / "mine").stat().st_mode & 0o777 == 0o500


READ_ONLY = """
import os
from pathlib import Path
from amllog.local.execution.step_folders import remove_folder
if os.geteuid() == 0:
    os.chown(".", 65534, 65534)
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
os.makedirs("work/a/b")
open("work/a/b/file", "w").close()
for folder in ("work/a/b", "work/a", "work"):
    os.chmod(folder, 0o100)
remove_folder(Path("work"))
print(os.listdir("."))
"""


def test_read_only_folders_are_removed(tmp_path: Path) -> None:
    """A folder that a step has made read-only is no reason against another attempt."""
    ran = subprocess.run(
        [sys.executable, "-c", READ_ONLY], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (ran.stdout, ran.stderr) == ("[]\n", "")


def test_others_cannot_read_a_run(runs: Runs) -> None:
    """The folder of a run is for its user only, because logs and data are in it."""
    assert runs(plan(step("a", "true"))).folder.stat().st_mode & 0o777 == 0o700


def test_timeouts_have_a_reason(runs: Runs) -> None:
    """The timeout of a step and that of the run are failures with a reason."""
    result = runs(plan(step("slow", "exec sleep 1000", timeout_seconds=0.1)))
    assert (states(result), result.step("slow").reason) == ({"slow": "failed"}, "timeout after 0.1 s")
    result = runs(
        plan(step("slow", "exec sleep 1000"), step("next", "true", after=("slow",))), timeout_seconds=0.1
    )
    assert states(result) == {"slow": "canceled", "next": "canceled"}
    assert (result.state, result.exit_code) == (RunState.FAILED, 1)
    assert result.step("next").reason == "timeout of the run after 0.1 s"


def test_skipped_steps_are_no_success(runs: Runs) -> None:
    """A step that cannot run here is skipped with its dependents. The exit code is 1 unless an option asks for it."""
    steps = (
        step("registry", "", kind=StepKind.UNSUPPORTED, outputs=OUT, skip_reason="a component of a registry"),
        step("next", "true", inputs=reads("registry")),
        step("order", "true", after=("registry",)),
    )
    result = runs(plan(*steps))
    assert states(result) == {"registry": "skipped", "next": "skipped", "order": "completed"}
    assert (result.step("registry").reason, result.exit_code) == ("a component of a registry", 1)
    assert result.state is RunState.INCOMPLETE
    assert runs(plan(*steps), skip=("registry",)).exit_code == 0


def test_a_stub_replaces_the_outputs_of_a_step(runs: Runs) -> None:
    """The outputs of a stub are those in a folder, or the folder itself if there is only one output."""
    steps = (step("a", "exit 1", outputs=OUT), step("b", "cat ${{inputs.data}}/x", inputs=reads("a")))
    (runs.folder / "stub/out").mkdir(parents=True)
    for name in ("stub/out/x", "stub/x"):
        (runs.folder / name).write_text(name)
    for folder, text in (("stub", "stub/out/x"), ("stub/out", "stub/out/x")):
        result = runs(plan(*steps), stubs={"a": runs.folder / folder})
        assert (states(result), runs.log(result, "b")) == ({"a": "reused", "b": "completed"}, text)
    with pytest.raises(UsageError, match=r"--stub a=.*nowhere: no such file or folder"):
        runs(plan(*steps), stubs={"a": Path("nowhere")})


def test_from_and_only_use_the_last_run(runs: Runs) -> None:
    """`--from` runs a step and its dependents, `--only` one step, on the outputs of the last run."""
    counter = runs.folder / "count"
    steps = (
        step("a", f"echo a >> {counter}; echo 1 > ${{{{outputs.out}}}}/x", outputs=OUT),
        step("b", f"echo b >> {counter}; cat ${{{{inputs.data}}}}/x", inputs=reads("a")),
        step("c", f"echo c >> {counter}", after=("b",)),
    )
    with pytest.raises(
        UsageError, match="--from b needs the outputs of a, but no earlier run has completed a"
    ):
        runs(plan(*steps), start_from="b")
    runs(plan(*steps))
    assert states(runs(plan(*steps), start_from="b")) == {"a": "reused", "b": "completed", "c": "completed"}
    result = runs(plan(*steps), only=("b",))
    assert states(result) == {"a": "reused", "b": "completed", "c": "skipped"}
    assert (runs.log(result, "b"), result.exit_code) == ("1\n", 0)
    assert counter.read_text().split() == ["a", "b", "c", "b", "c", "b"]
    with pytest.raises(UsageError, match=r"--from d: the pipeline has no such step. Its steps are a, b, c"):
        runs(plan(*steps), start_from="d")


def test_from_does_not_use_a_step_that_failed_since(runs: Runs) -> None:
    """If a step failed in the last run, its outputs of an older run are not used silently."""
    steps = (step("a", f"[ ! -e {runs.folder}/fail ]", outputs=OUT), step("b", "true", inputs=reads("a")))
    runs(plan(*steps))
    (runs.folder / "fail").touch()
    runs(plan(*steps))
    with pytest.raises(UsageError, match="--from b needs the outputs of a, but a is failed in the last run"):
        runs(plan(*steps), start_from="b")


def test_unchanged_steps_are_reused(runs: Runs) -> None:
    """`--reuse` runs a step again if its code, command, data or a producer has changed, and not otherwise."""
    code, data = runs.folder / "code", runs.folder / "data.csv"
    code.mkdir()
    (code / "a.txt").write_text("1")
    data.write_text("1")
    pipeline = plan(
        step("a", "cp a.txt ${{outputs.out}}/x", code=code, outputs=OUT),
        step("b", "cat ${{inputs.data}}/x > ${{outputs.out}}", inputs=reads("a"), outputs=FILE),
        step("c", "cat ${{inputs.data}}", inputs={"data": LocalData(data, "uri_file")}),
        step("d", "true", is_reuse_allowed=False),
    )
    assert set(states(runs(pipeline, reuse=True)).values()) == {"completed"}
    reused = {"a": "reused", "b": "reused", "c": "reused", "d": "completed"}
    result = runs(pipeline, reuse=True)
    assert states(result) == reused
    assert result.step("a").reason.startswith("unchanged since run ")
    (code / "a.txt").write_text("2")
    assert states(runs(pipeline, reuse=True)) == {**reused, "a": "completed", "b": "completed"}
    data.write_text("12")
    assert states(runs(pipeline, reuse=True)) == {**reused, "c": "completed"}
    changed = plan(*(replace(pipeline.step("a"), command="cp  a.txt ${{outputs.out}}/x"), pipeline.step("c")))
    assert states(runs(changed, reuse=True)) == {"a": "completed", "c": "reused"}


def test_outputs_are_copied_to_the_paths_of_the_user(runs: Runs) -> None:
    """Outputs replace files of their name only. The output `artifacts` has the run's ./outputs."""
    wanted = runs.folder / "wanted"
    wanted.mkdir()
    for name in ("mine", "x"):
        (wanted / name).write_text("old")
    result = runs(
        plan(
            step("a", "echo new > ${{outputs.out}}/x; echo w > outputs/w; echo f > ${{outputs.f}}",
                 outputs={**OUT, "artifacts": PlannedOutput(), "f": PlannedOutput("uri_file", runs.folder / "f")}),
            step("b", "cat ${{inputs.data}}/outputs/w", inputs=reads("a", "artifacts")),
            outputs={"result": StepOutput("a", "out")},
            output_paths={"result": wanted},
        )
    )  # fmt: skip
    assert runs.log(result, "b") == "w\n"
    assert {path.name: path.read_text() for path in wanted.iterdir()} == {"mine": "old", "x": "new\n"}
    assert (runs.folder / "f").read_text() == "f\n"


def test_special_files_are_no_outputs(runs: Runs) -> None:
    """Pipes are not copied, links stay links, also in the second run, and `./outputs` may be gone."""
    make = "cd {}; mkdir -p d; ln -s nowhere d/link; mkfifo pipe; chmod 700 d; echo x > d/x;"
    artifacts = {"artifacts": PlannedOutput()}
    steps = (
        step(
            "a", make.format("${{outputs.out}}"), outputs={"out": PlannedOutput(path=runs.folder / "wanted")}
        ),
        step("b", make.format("outputs"), outputs=artifacts),
        step("c", "rm -r outputs", outputs=artifacts),
    )
    for _ in range(2):
        result = runs(plan(*steps))
        assert states(result) == dict.fromkeys("abc", "completed"), result.steps
    for folder in (runs.folder / "wanted", result.folder / "steps/b/outputs/artifacts/outputs"):
        assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) == [
            "d",
            "d/link",
            "d/x",
        ]
        assert os.readlink(folder / "d/link") == "nowhere"


def test_an_output_that_cannot_be_copied(runs: Runs) -> None:
    """The reason names the file, and the exit of the process comes before it."""
    command = "cd ${{outputs.artifacts}}/..; rm -r artifacts; touch artifacts; exit 3"
    result = runs(plan(step("a", command, outputs={"artifacts": PlannedOutput()})))
    (status,) = result.steps
    assert status.reason.startswith("exit code 3; Not a directory: ") and status.exit_code == 3


def test_a_copy_that_fails_leaves_no_file(runs: Runs) -> None:
    """If a folder of the user is in the place of an output, nothing remains beside it."""
    (runs.folder / "wanted/x").mkdir(parents=True)
    output = PlannedOutput(path=runs.folder / "wanted")
    result = runs(plan(step("a", "touch ${{outputs.out}}/x", outputs={"out": output})))
    assert states(result) == {"a": "failed"}
    assert [path.name for path in (runs.folder / "wanted").iterdir()] == ["x"]


def test_folders_of_v1_are_not_created(runs: Runs) -> None:
    """The output folder of PipelineData does not exist before the step creates it. Words need no shell."""
    result = runs(
        plan(
            step("a", "", arguments=("python", "-c", "import os, sys; print([os.path.exists(p) for p in sys.argv[1:]])",
                 "${{outputs.out}}", "${{outputs.made}}"),
                 outputs={"out": PlannedOutput(is_created=False), "made": PlannedOutput()}),
        )
    )  # fmt: skip
    assert runs.log(result, "a") == "[False, True]\n"


def test_a_step_that_cannot_start_fails_with_its_reason(runs: Runs) -> None:
    """Code that is gone, an expression without a value and a missing output are failures of the step."""
    result = runs(
        plan(
            step("code", "true", code=runs.folder / "gone"),
            step("value", "echo ${{inputs.x}}"),
            step("output", "true", inputs=reads("ok", "other")),
            step("ok", "true"),
        )
    )
    assert states(result) == {"code": "failed", "value": "failed", "output": "failed", "ok": "completed"}
    assert "No such file or directory" in result.step("code").reason
    assert result.step("value").reason == "${{inputs.x}} has no value. Those with a value: none"


def test_all_processes_stop_when_the_observer_fails(runs: Runs) -> None:
    """An observer that raises, for example because its pipe is closed, stops the run and the exception arrives."""

    def fail(_name: str, text: str) -> None:
        raise BrokenPipeError(text)

    with pytest.raises(BrokenPipeError):
        runs(plan(step("a", "echo $$; exec sleep 1000")), Watcher(fail))
    (folder,) = (file.parent for file in runs.folder.glob("amllog-runs/*/run.json"))
    assert not Path("/proc", (folder / "steps/a/user_logs/std_log.txt").read_text().strip()).exists()
    assert json.loads((folder / "run.json").read_text())["state"] == "failed"


def test_jobs_must_be_positive(runs: Runs) -> None:
    """An invalid number of jobs is an error before anything starts."""
    with pytest.raises(UsageError, match="--jobs 0: allowed is a number from 1"):
        runs(plan(step("a", "true")), jobs=0)
    assert not (runs.folder / "amllog-runs").exists()


def test_additional_includes_are_beside_the_code(runs: Runs, tmp_path: Path) -> None:
    """Files and folders of `additional_includes` are in the working directory, and a change of them is a change."""
    (tmp_path / "common").mkdir()
    for name in ("common/a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    step_of = plan(
        step("s", "cat common/a.txt b.txt", code_includes=(tmp_path / "common", tmp_path / "b.txt"))
    )
    assert "common/a.txtb.txt" in runs.log(runs(step_of), "s")
    (tmp_path / "b.txt").write_text("changed")
    assert states(runs(step_of, reuse=True)) == {"s": "completed"}
    assert states(runs(step_of, reuse=True)) == {"s": "reused"}


def test_the_journal_directory_may_begin_with_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AMLLOG_DIR is read as all other commands read it, so that they find the records."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    environment = {**ENVIRONMENT, "AMLLOG_DIR": "~/journal"}
    result = run(plan(step("a", "true")), RunOptions(directory=tmp_path), Watcher(), environment)
    assert result.journal_directory == tmp_path / "home/journal"


def test_a_path_that_cannot_be_in_path(tmp_path: Path) -> None:
    """In a folder with a colon, steps would get another Python than theirs. Nothing is run."""
    folder = tmp_path / "a:b"
    folder.mkdir()
    with pytest.raises(UsageError, match=r"a:b/amllog-runs: the path contains ':'"):
        Runs(folder)(plan(step("a", "true")))
    assert list(folder.iterdir()) == []
