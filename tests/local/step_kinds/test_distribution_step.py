"""The variables and the processes of distributed steps."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from amllog.errors import UsageError
from amllog.local.execution.step_values import StepValues
from amllog.local.plan.planned_steps import Distribution, PlannedStep, SourceLine
from amllog.local.step_kinds.distribution_step import command, log_file, process_variables

PYTORCH = Distribution("pytorch", process_count=2, instance_count=2)


def planned(distribution: Distribution) -> PlannedStep:
    """Return a distributed step."""
    return PlannedStep("train", SourceLine(Path("job.yml"), 1), distribution=distribution)


def values_in(folder: Path) -> StepValues:
    """Return the values of a step in a folder."""
    return StepValues({}, {}, folder, folder, Path(sys.executable))


def run(folder: Path, distribution: Distribution, text: str) -> "subprocess.CompletedProcess[str]":
    """Run a shell text as a distributed step, in a process group of its own as the keeper does."""
    words = command(planned(distribution), values_in(folder), ["sh", "-c", text])
    return subprocess.run(words, stdout=subprocess.PIPE, text=True, timeout=600, start_new_session=True)


def test_pytorch_variables_number_all_processes_of_all_instances() -> None:
    """RANK counts all processes, LOCAL_RANK those of an instance, NODE_RANK the instances."""
    ranks = [
        [variables[name] for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE")]
        for variables in process_variables(PYTORCH)
    ]
    assert ranks == [["0", "0", "0", "4"], ["1", "1", "0", "4"], ["2", "0", "1", "4"], ["3", "1", "1", "4"]]
    assert {(v["MASTER_ADDR"], v["MASTER_PORT"]) for v in process_variables(PYTORCH)[:1]} != {
        ("127.0.0.1", "0")
    }
    assert len({variables["MASTER_PORT"] for variables in process_variables(PYTORCH)}) == 1


def test_mpi_variables_are_those_of_open_mpi() -> None:
    """The node is the rank divided by the processes of a node, as azure-ml scripts compute it."""
    variables = process_variables(Distribution("mpi", process_count=2, instance_count=2))
    assert [v["OMPI_COMM_WORLD_RANK"] for v in variables] == ["0", "1", "2", "3"]
    assert [v["OMPI_COMM_WORLD_LOCAL_RANK"] for v in variables] == ["0", "1", "0", "1"]
    assert {(v["OMPI_COMM_WORLD_SIZE"], v["OMPI_COMM_WORLD_LOCAL_SIZE"]) for v in variables} == {("4", "2")}
    assert [v["AZUREML_CR_NODE_RANK"] for v in variables] == ["0", "0", "1", "1"]


def test_tensorflow_has_one_cluster_with_workers_and_parameter_servers() -> None:
    """All processes have the same cluster in TF_CONFIG, and each its own task and port."""
    variables = process_variables(Distribution("tensorflow", process_count=2, parameter_server_count=1))
    configs = [json.loads(v["TF_CONFIG"]) for v in variables]
    assert [(c["task"]["type"], c["task"]["index"]) for c in configs] == [
        ("worker", 0),
        ("worker", 1),
        ("ps", 0),
    ]
    assert all(c["cluster"] == configs[0]["cluster"] for c in configs)
    hosts = configs[0]["cluster"]["worker"] + configs[0]["cluster"]["ps"]
    assert len(set(hosts)) == 3


def test_an_unknown_type_is_an_error_with_the_allowed_ones() -> None:
    """A step with a type of distribution that does not exist is not started."""
    with pytest.raises(UsageError, match=r"job.yml:1: .* of train must be one of pytorch, tensorflow, mpi"):
        command(planned(Distribution("ray")), values_in(Path("/")), ["true"])


def test_each_process_has_a_log_file_and_all_lines_are_on_stdout(tmp_path: Path) -> None:
    """The file of a process has its own lines unchanged. On stdout each line has the number of its process."""
    done = run(tmp_path, PYTORCH, 'echo "rank $RANK of $WORLD_SIZE"; printf end >&2')
    assert done.returncode == 0
    assert sorted(done.stdout.splitlines()) == sorted(
        line for n in range(4) for line in (f"[{n}] rank {n} of 4", f"[{n}] end")
    )
    values = values_in(tmp_path)
    assert [log_file(values, n).name for n in (0, 3)] == ["std_log_process_00.txt", "std_log_process_03.txt"]
    assert log_file(values, 3).read_text() == "rank 3 of 4\nend"


def test_one_process_has_lines_without_a_number(tmp_path: Path) -> None:
    """The log of a step with one process is not changed."""
    done = run(tmp_path, Distribution("tensorflow"), "echo text")
    assert (done.stdout, done.returncode) == ("text\n", 0)


def test_mpi_states_that_no_mpirun_started_the_processes(tmp_path: Path) -> None:
    """A script that calls an MPI library finds the reason for its one process in the log."""
    done = run(tmp_path, Distribution("mpi", process_count=2), "true")
    assert "no mpirun started them" in done.stdout
