"""Folders of jobs on the disk."""

from __future__ import annotations

from pathlib import Path

from amllog.insights.driver_logs.layouts import LogKind
from amllog.insights.driver_logs.log_folders import MAX_DEPTH, JobFolder, find_jobs, read_json, start_of

from .conftest import write_files, write_json  # isort: skip


def names(jobs: list[JobFolder]) -> dict[str, list[str]]:
    """Return the names of the files of each job."""
    return {job.name: [file.name for file in job.files] for job in jobs}


def test_a_local_run(tmp_path: Path) -> None:
    """The steps of `amllog run` are in the order of the run, and the logs of a working directory belong to its step."""
    write_json(tmp_path / "run.json", run_id="r")
    for number, name in enumerate(("b", "a", "c")):
        step = write_files(
            tmp_path / "steps" / name, user_logs__std_log="x", work__logs__user__stdout__n__p0="y"
        )
        start = {} if name == "c" else {"started": 1_796_078_755.6 + number}
        write_json(step / "step.json", run_id=f"s{number}", name=name, state="failed", **start)
    jobs = find_jobs(tmp_path, [])
    files = ["logs/user/stdout/n/p0.txt", "user_logs/std_log.txt"]
    assert names(jobs) == {"b": files, "a": files, "c": files}
    assert [job.name for job in jobs] == ["b", "a", "c"]
    assert (jobs[0].run_id, jobs[0].state) == ("s0", "failed")


def test_a_distributed_step(tmp_path: Path) -> None:
    """In a local run, the log of a step has the lines of its ranks. In Azure, each rank has a log of its own only."""
    files = {f"user_logs__std_log{end}": "x" for end in ("", "_process_00", "_process_01")}
    local, azure = tmp_path / "steps" / "a", tmp_path / "steps" / "b"
    write_json(write_files(local, **files) / "step.json", name="a", folder=str(local))
    write_json(write_files(azure, **files) / "step.json", name="b")
    jobs = find_jobs(tmp_path, [])
    ranks = ["user_logs/std_log_process_00.txt", "user_logs/std_log_process_01.txt"]
    assert names(jobs) == {name: ["user_logs/std_log.txt", *ranks] for name in "ab"}
    shown = [[file.name for file in job.files if file.kind is LogKind.USER] for job in jobs]
    assert shown == [["user_logs/std_log.txt"], ["user_logs/std_log.txt", *ranks]]


def test_a_download(tmp_path: Path) -> None:
    """`az ml job download --all` puts the files below `artifacts`, and the job has the name of the folder above."""
    folder = write_files(
        tmp_path / "cool_name", artifacts__user_logs__std_log="x", artifacts__outputs__y="no"
    )
    assert names(find_jobs(folder, [])) == {"cool_name": ["user_logs/std_log.txt"]}


def test_several_downloads(tmp_path: Path) -> None:
    """Each folder with a mark of a job is a job, at any depth, also with the legacy layout."""
    write_files(
        tmp_path / "x" / "old", **{"azureml-logs__70_driver_log": "x", "azureml-logs__55_azureml-n": "y"}
    )
    write_files(tmp_path / "y", logs__job_error="x")
    write_files(tmp_path / "no job", logs__mine="x", user__stdout__x="x")
    jobs = find_jobs(tmp_path, [])
    assert sorted(names(jobs)) == ["old", "y"]
    assert [file.kind for file in jobs[0].files] == [LogKind.USER, LogKind.RUNTIME]


def test_links_and_depth(tmp_path: Path) -> None:
    """Links are not followed, and what is too deep is noted."""
    outside = write_files(tmp_path / "outside", user_logs__std_log="secret")
    inside = write_files(tmp_path / "inside", user_logs__std_log="x")
    (inside / "linked").symlink_to(outside)
    (inside / "user_logs" / "std_log_1.txt").symlink_to(outside / "user_logs" / "std_log.txt")
    (inside / "system_logs").symlink_to(outside / "user_logs")
    deep = inside.joinpath(*"d" * (MAX_DEPTH + 1))
    write_files(deep, user_logs__std_log="x")
    notes: list[str] = []
    assert names(find_jobs(inside, notes)) == {"inside": ["user_logs/std_log.txt"]}
    assert [note.endswith("deep are not read") for note in notes] == [True]


def test_a_step_without_a_log(tmp_path: Path) -> None:
    """A step that has not started is listed, so that its missing log is reported."""
    write_json(tmp_path / "steps" / "later" / "step.json", name="later")
    assert names(find_jobs(tmp_path, [])) == {"later": []}


def test_a_reused_step(tmp_path: Path) -> None:
    """The log of a reused step is that of the earlier run, if that is a run beside this one."""
    earlier = write_files(tmp_path / "runs" / "r1" / "steps" / "a", user_logs__std_log="x")
    other = write_files(tmp_path / "other", user_logs__std_log="x")
    for name, folder in (("a", earlier), ("b", other)):
        write_json(tmp_path / "runs" / "r2" / "steps" / name / "step.json", name=name, folder=str(folder))
    jobs = find_jobs(tmp_path / "runs" / "r2", [])
    assert {job.name: [file.path for file in job.files] for job in jobs} == {
        "a": [earlier / "user_logs" / "std_log.txt"],
        "b": [],
    }


def test_times_of_starts() -> None:
    """A start is in seconds or a string. Anything else sorts last."""
    values = ({"started": 0}, {"started": "2026"}, {}, {"started": None}, {"started": -1}, {"started": 1e300})
    assert [start_of(value)[:4] for value in values] == ["1970", "2026", "~", "~", "~", "~"]


def test_files_that_are_no_objects(tmp_path: Path) -> None:
    """A missing file, a damaged one, and one with another value have no members."""
    for number, text in enumerate(("", "{", "[1]", '"x"', "\ud800")):
        path = tmp_path / str(number)
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        assert read_json(path) == {}
    assert read_json(tmp_path / "missing") == {}
