"""The texts and paths with which one attempt of a step runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StepValues:
    """The values of one attempt of one step. All paths are absolute.

    `inputs` and `outputs` contain what `${{inputs.x}}` and `${{outputs.x}}` become in the command: a literal or a path.
    Optional inputs without a value are not in `inputs`.
    """

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    work: Path  # the working directory: a copy of the code, with ./outputs and ./logs of the job
    folder: Path  # the folder of the step in the run, with user_logs/
    python: Path  # the interpreter of the step itself, not the shim
