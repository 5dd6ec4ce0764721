"""The log files of a job by their names."""

from __future__ import annotations

import pytest

from amllog.insights.driver_logs.layouts import LogKind, has_wrapper_lines, kind_of_file, sort_key

NAMES = {
    "azureml-logs/70_driver_log.txt": LogKind.USER,
    "azureml-logs/70_driver_log_3.txt": LogKind.USER,
    "azureml-logs/70_driver_log-worker-1.txt": LogKind.USER,
    "azureml-logs/70_mpi_log.txt": LogKind.RUNTIME,
    "azureml-logs/20_image_build_log.txt": LogKind.RUNTIME,
    "azureml-logs/55_azureml-execution-tvmps_1_d.txt": LogKind.RUNTIME,
    "azureml-logs/65_job_prep-tvmps_1_d.txt": LogKind.RUNTIME,
    "azureml-logs/75_job_post-tvmps_1_d.txt": LogKind.RUNTIME,
    "azureml-logs/hyperdrive.txt": LogKind.RUNTIME,
    "user_logs/std_log.txt": LogKind.USER,
    "user_logs/std_log_process_01.txt": LogKind.USER,
    "user_logs/retry_001/std_log.txt": LogKind.USER,
    "system_logs/lifecycler/execution-wrapper.log": LogKind.RUNTIME,
    "system_logs/lifecycler/retry_001/lifecycler.log": LogKind.RUNTIME,
    "logs/azureml/executionlogs.txt": LogKind.RUNTIME,
    "logs/user/stdout/node0/process000.stdout.txt": LogKind.USER,
    "logs/user/entry_script_log/node0/process000.log.txt": LogKind.USER,
    "logs/job_error.txt": LogKind.ERROR,
    "logs/job_error.1.txt": LogKind.ERROR,
    "logs/user/error.txt": LogKind.ERROR,
    "logs/user/error/node0/process000.txt": LogKind.ERROR,
    "logs/sys/error/node0/process000.txt": LogKind.ERROR,
    "logs/sys/node/node0/_main.txt": LogKind.RUNTIME,
    "logs/job_progress_overview.20261130.txt": LogKind.RUNTIME,
    "logs/amllog/20261130T101112-node-7-abc123.jsonl": None,
    "logs/mine.txt": None,
    "outputs/std_log.txt": None,
    "azureml-logs/process_info.json": None,
}


@pytest.mark.parametrize("name", NAMES)
def test_kinds(name: str) -> None:
    """The name of a file decides who wrote it, and files that are no logs of a job have no kind."""
    assert kind_of_file(name) is NAMES[name]


def test_the_wrapper_writes_to_the_legacy_driver_log_only() -> None:
    """Only the driver log of the legacy runtime has lines of the wrapper."""
    assert [name for name in NAMES if has_wrapper_lines(name)] == [
        name for name in NAMES if "/70_driver_log" in name
    ]


def test_the_order_of_files() -> None:
    """Logs of the user come first, and process 10 comes after process 9."""
    names = [f"user_logs/std_log_process_{number:02}.txt" for number in (10, 9, 0)]
    ordered = sorted([*names, "azureml-logs/55_x.txt", "azureml-logs/70_driver_log.txt"], key=sort_key)
    assert ordered == ["azureml-logs/70_driver_log.txt", *reversed(names), "azureml-logs/55_x.txt"]
