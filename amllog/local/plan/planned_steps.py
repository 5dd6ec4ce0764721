"""A pipeline as it will run on this machine: its steps in order, with their inputs, outputs and commands.

Every source becomes one `PlannedPipeline`: pipeline files, command jobs, components, step objects of SDK v1 and plain
functions. Nested pipelines are flattened. Everything is frozen. Paths are absolute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Union


class SourceLine(NamedTuple):
    """A line of a file. Lines are counted from 1. Line 0 is the whole file."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else str(self.file)


def literal_type(value: object) -> str:
    """Return the type of a value in Azure ML's format: boolean, integer, number or string."""
    return {bool: "boolean", int: "integer", float: "number"}.get(type(value), "string")


class Severity(Enum):
    """The weight of a finding. Only errors prevent the start."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Finding(NamedTuple):
    """One sentence about one line of a file."""

    position: SourceLine
    message: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        prefix = "" if self.severity is Severity.ERROR else f"{self.severity.value}: "
        return f"{self.position}: {prefix}{self.message}"


class StepKind(Enum):
    """The type of a step in Azure ML's format, and the kinds that exist only here."""

    COMMAND = "command"
    PARALLEL = "parallel"
    SWEEP = "sweep"
    SPARK = "spark"
    FUNCTION = "function"  # a Python function of a test or a notebook
    UNSUPPORTED = "unsupported"  # registry components, automl: skipped with a reason


@dataclass(frozen=True)
class LiteralValue:
    """A value of the type `string`, `integer`, `number` or `boolean`. Commands get `str(value)`."""

    value: str | int | float | bool
    type: str = "string"


@dataclass(frozen=True)
class LocalData:
    """A file or a folder of this machine."""

    path: Path
    type: str = "uri_folder"
    position: SourceLine | None = field(default=None, compare=False)  # of the option that gives it


@dataclass(frozen=True)
class NamedData:
    """Data that only a map can find: `azureml:name@latest`, `azureml://datastores/…`, `https://…`, `wasbs://…`."""

    reference: str  # as it is in the file
    type: str
    position: SourceLine


@dataclass(frozen=True)
class StepOutput:
    """The output of another step of the plan."""

    step: str
    output: str
    type: str = "uri_folder"


InputValue = Union[LiteralValue, LocalData, NamedData, StepOutput]


@dataclass(frozen=True)
class PlannedOutput:
    """An output of a step.

    The type `uri_file`: the path is a file in a folder that exists. All others: a folder. SDK v1 does not create the
    folder of PipelineData (`is_created=False`). An output with the name `artifacts` is filled from `./outputs`.
    """

    type: str = "uri_folder"
    path: Path | None = None  # where the user wants it on this machine, otherwise in the folder of the run
    is_created: bool = True


@dataclass(frozen=True)
class EnvironmentReference:
    """The environment of a step as its file names it.

    `name` is the reference (`azureml:train-env@latest`, `azureml://registries/…`) or "" for an inline environment.
    """

    name: str = ""
    image: str = ""
    conda_file: Path | Mapping[str, Any] | None = None
    position: SourceLine | None = None


@dataclass(frozen=True)
class Distribution:
    """`distribution` of a step. `type`: pytorch, tensorflow or mpi."""

    type: str
    process_count: int = 1  # per instance: process_count_per_instance, or worker_count of tensorflow
    instance_count: int = 1
    parameter_server_count: int = 0  # tensorflow


@dataclass(frozen=True)
class ParallelTask:
    """The keys of `type: parallel`, with the defaults of the service (reference-yaml-job-parallel)."""

    entry_script: str
    input_data: str  # the name of the input that is divided
    program_arguments: str = ""
    mini_batch_size: str = ""  # files: a number. Tables: a size such as "10kb". "" is 10 files or 1 MB
    partition_keys: tuple[str, ...] = ()
    mini_batch_error_threshold: int = -1
    logging_level: str = "INFO"
    max_concurrency_per_instance: int | None = None  # None: the number of cores
    instance_count: int = 1
    max_retries: int = 2
    timeout_seconds: float = 60
    append_row_to: str | None = None  # a template such as "${{outputs.x}}"


@dataclass(frozen=True)
class SweepTask:
    """The keys of `type: sweep`. The command contains `${{search_space.x}}`."""

    search_space: Mapping[str, Mapping[str, Any]]  # as in the file: {"type": "uniform", "min_value": …}
    sampling_algorithm: str = "random"
    seed: int | None = None
    goal: str = "minimize"
    primary_metric: str = ""
    max_total_trials: int = 10
    max_concurrent_trials: int | None = None
    trial_timeout_seconds: float | None = None
    early_termination: str = ""  # the type of the policy, which is ignored with a note


@dataclass(frozen=True)
class SparkTask:
    """The keys of `type: spark`."""

    entry: str
    args: str = ""
    conf: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    py_files: tuple[str, ...] = ()
    jars: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlannedStep:
    """One step.

    `name` is unique in the plan. A step of a nested pipeline is `outer.inner`, and `group` is `outer`. `command` is a
    template for a shell with `${{inputs.x}}`, `${{outputs.x}}`, `${{search_space.x}}` and `$[[ … ]]`. Optional inputs
    without a value are not in `inputs`. `code` is a folder, a file, or None for an empty working directory.
    """

    name: str
    position: SourceLine
    kind: StepKind = StepKind.COMMAND
    group: str = ""
    display_name: str = ""
    command: str = ""
    code: Path | None = None
    inputs: Mapping[str, InputValue] = field(default_factory=lambda: MappingProxyType({}))
    outputs: Mapping[str, PlannedOutput] = field(default_factory=lambda: MappingProxyType({}))
    after: tuple[str, ...] = ()  # steps that must end first although no data connects them
    environment: EnvironmentReference | None = None
    interpreter: Path | None = None  # set by the resolution. None: the current one
    environment_variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    timeout_seconds: float | None = None
    max_retries: int = 0
    distribution: Distribution | None = None
    parallel: ParallelTask | None = None
    sweep: SweepTask | None = None
    spark: SparkTask | None = None
    function: Callable[..., Any] | None = None
    arguments: tuple[str, ...] | None = None  # SDK v1: templates of words, without a shell, not `command`
    is_reuse_allowed: bool = True
    skip_reason: str = ""  # UNSUPPORTED: why
    code_includes: tuple[Path, ...] = ()  # files and folders that are copied beside the code
    input_positions: Mapping[str, SourceLine] = field(default_factory=lambda: MappingProxyType({}))
    # The lines of other keys, for findings: "command", "code", "entry_script" (parallel), "entry" (spark)
    key_positions: Mapping[str, SourceLine] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def requires(self) -> tuple[str, ...]:
        """The names of the steps that must end before this one, each once."""
        sources = [value.step for value in self.inputs.values() if isinstance(value, StepOutput)]
        return tuple(dict.fromkeys((*sources, *self.after)))

    def is_named(self, names: Iterable[str]) -> bool:
        """Return whether one of the names is that of the step, or of a nested pipeline around it."""
        return any(self.name == name or self.name.startswith(f"{name}.") for name in names)


def literals_of(step: PlannedStep) -> set[str]:
    """Return the names of the inputs that are no paths."""
    return {name for name, value in step.inputs.items() if isinstance(value, LiteralValue)}


@dataclass(frozen=True)
class PlannedPipeline:
    """All steps in an order in which they can run, each after the steps that it requires.

    `outputs` maps outputs of the pipeline to those of steps. `groups` are the nested pipelines (`outer`,
    `outer.inner`), each before those inside. `source` is the file, or None for objects and functions. A job that is no
    pipeline (a command job, a component, a script) has one step and `is_single`: its run has no parent.
    """

    name: str
    position: SourceLine
    steps: tuple[PlannedStep, ...]
    display_name: str = ""
    experiment_name: str = "local"
    continue_on_step_failure: bool = True
    inputs: Mapping[str, InputValue] = field(default_factory=lambda: MappingProxyType({}))
    outputs: Mapping[str, StepOutput] = field(default_factory=lambda: MappingProxyType({}))
    output_paths: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}))
    groups: tuple[str, ...] = ()
    source: Path | None = None
    is_single: bool = False

    def step(self, name: str) -> PlannedStep:
        """Return a step. Raises KeyError if the plan has no step with this name."""
        return {step.name: step for step in self.steps}[name]
