"""The variables of the shell that a step gets: all except those of other runs.

The shell may be that of another job, of a compute instance, of `amllog serve` or of a traced program. Its variables
would assign the records of a step to another run, or send them to another service.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from amllog.config import variables

# Variables of the runtimes of jobs, and of MLflow's runs and stores. MLflow's other variables are settings.
_OF_OTHER_RUNS = re.compile(
    r"AZUREML_.*|AZURE_ML_.*|AML_(APP|JOB|RUN|PARAMETER)_.*|AZ_BATCH.*|MLFLOW_(RUN|EXPERIMENT|TRACKING|REGISTRY|ACTIVE_MODEL)_.*|"
    r"OBO_ENDPOINT|JOB_EXECUTION_MODE|OMPI_COMM_.*|PMI_.*|TF_CONFIG|"
    r"(RANK|WORLD_SIZE|LOCAL_RANK|LOCAL_WORLD_SIZE|NODE_RANK|MASTER_ADDR|MASTER_PORT)|"
    r"APPLICATIONINSIGHTS_CONNECTION_STRING|APPINSIGHTS_INSTRUMENTATIONKEY|(?i:traceparent|tracestate|baggage)"
)
_OF_AMLLOG = frozenset(
    (
        variables.CHILD,
        variables.STEP_PROCESS,
        variables.WORKERS,
        variables.LOCAL_RUN,
        variables.LOCAL_RETRY,
        variables.LOCAL_AUTHORITIES,
        *variables.OF_ONE_STEP,
    )
)


STARTUP = Path(__file__).parent.parent / "step_startup"  # the folder of the sitecustomize of steps


def with_startup(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with the folder of our sitecustomize first on PYTHONPATH."""
    others = [entry for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    return {**environ, "PYTHONPATH": os.pathsep.join([str(STARTUP), *others])}


def without_other_runs(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without those that describe another run, its services or its processes."""
    return {
        name: value
        for name, value in environ.items()
        if name not in _OF_AMLLOG and not _OF_OTHER_RUNS.fullmatch(name)
    }
