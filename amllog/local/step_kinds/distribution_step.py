"""The processes of a step with `distribution`: their variables, and the program that starts them on this machine.

All instances of the cluster are processes of this machine. Ports are free ports of the loopback interface, so that two
steps can run at the same time.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from amllog.errors import UsageError
from amllog.local.execution.step_values import StepValues
from amllog.local.plan.planned_steps import Distribution, PlannedStep

_LAUNCHER = Path(__file__).with_name("distribution_launcher.py")
_HOST = "127.0.0.1"
_TYPES = ("pytorch", "tensorflow", "mpi")
_SECONDS_TO_STOP = 5.0


def command(step: PlannedStep, values: StepValues, process_command: Sequence[str]) -> tuple[str, ...]:
    """Return the words that start all processes of a step, each with `process_command`."""
    distribution = step.distribution
    if distribution is None or distribution.type not in _TYPES:
        raise UsageError(
            f"{step.position}: distribution.type of {step.name} must be one of {', '.join(_TYPES)}"
        )
    environments = process_variables(distribution)
    task = {
        "command": list(process_command),
        "processes": [
            {"log": str(log_file(values, number)), "environment": environment}
            for number, environment in enumerate(environments)
        ],
        "seconds_to_stop": _SECONDS_TO_STOP,
        "note": _note(distribution, len(environments)),
    }
    # The launcher needs only the standard library. It runs in our interpreter, because a step may have none.
    return (sys.executable, "-I", "-S", os.fspath(_LAUNCHER), json.dumps(task))


def log_file(values: StepValues, number: int) -> Path:
    """Return the file with stdout and stderr of one process, with the name that Azure ML gives it."""
    return values.folder / "user_logs" / f"std_log_process_{number:02d}.txt"


def process_variables(distribution: Distribution) -> list[dict[str, str]]:
    """Return the environment variables of each process, in the order of their ranks."""
    if distribution.type == "tensorflow":
        return _tensorflow(distribution.process_count, distribution.parameter_server_count)
    per_node, nodes = max(1, distribution.process_count), max(1, distribution.instance_count)
    (port,) = _free_ports(1)
    ranks = [(node, local) for node in range(nodes) for local in range(per_node)]
    variables = _pytorch if distribution.type == "pytorch" else _mpi
    return [
        {
            **variables(node * per_node + local, local, node, per_node, len(ranks), port),
            **_common(node * per_node + local, node, nodes),
        }
        for node, local in ranks
    ]


def _common(rank: int, node: int, nodes: int) -> dict[str, str]:
    return {
        "AZUREML_CR_NODE_RANK": str(node),
        "AZUREML_NODE_COUNT": str(nodes),
        "AZUREML_PROCESS_NAME": f"rank_{rank}",
        "AZ_BATCHAI_TASK_INDEX": str(node),
    }


def _pytorch(rank: int, local: int, node: int, per_node: int, size: int, port: int) -> dict[str, str]:
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(local),
        "NODE_RANK": str(node),
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(per_node),
        "MASTER_ADDR": _HOST,
        "MASTER_PORT": str(port),
    }


def _mpi(rank: int, local: int, node: int, per_node: int, size: int, port: int) -> dict[str, str]:
    return {
        "OMPI_COMM_WORLD_RANK": str(rank),
        "OMPI_COMM_WORLD_SIZE": str(size),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(local),
        "OMPI_COMM_WORLD_LOCAL_SIZE": str(per_node),
        # Open MPI counts the processes of a node here. It is not the number of the node.
        "OMPI_COMM_WORLD_NODE_RANK": str(local),
        "AZ_BATCH_MASTER_NODE": f"{_HOST}:{port}",
        "AZ_BATCHAI_MPI_MASTER_NODE": _HOST,
    }


def _tensorflow(workers: int, parameter_servers: int) -> list[dict[str, str]]:
    """Return the variables of the workers, then of the parameter servers."""
    workers = max(1, workers)
    hosts = [f"{_HOST}:{port}" for port in _free_ports(workers + parameter_servers)]
    cluster = {"worker": hosts[:workers]}
    if parameter_servers:
        cluster["ps"] = hosts[workers:]
    tasks = [("worker", number) for number in range(workers)]
    tasks += [("ps", number) for number in range(parameter_servers)]
    return [
        {
            "TF_CONFIG": json.dumps(
                {"cluster": cluster, "task": {"type": kind, "index": number}, "environment": "cloud"}
            ),
            **_common(rank, rank, len(tasks)),
        }
        for rank, (kind, number) in enumerate(tasks)
    ]


def _free_ports(count: int) -> list[int]:
    """Return different ports that no program listens on at this moment."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for open_socket in sockets:
            open_socket.bind((_HOST, 0))
        return [int(open_socket.getsockname()[1]) for open_socket in sockets]


def _note(distribution: Distribution, count: int) -> str:
    if distribution.type != "mpi" or count == 1:
        return ""
    return (
        "The processes have the variables of Open MPI, but no mpirun started them. "
        "Calls of an MPI library see one process."
    )
