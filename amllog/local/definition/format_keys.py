"""The keys of Azure ML's format, as the schemas of azure-ai-ml 1.35 have them."""

from __future__ import annotations

_ALL = {
    "$schema",
    "type",
    "description",
    "display_name",
    "tags",
    "properties",
    "name",
    "version",
    "comment",
    "id",
}
_JOB = _ALL | {
    "compute", "experiment_name", "identity", "inputs", "outputs", "services", "status", "log_files",
    "creation_context", "queue_settings", "notification_setting",
}  # fmt: skip
_COMPONENT = _ALL | {
    "inputs", "outputs", "is_deterministic", "additional_includes", "auto_delete_setting", "latest_version",
    "creation_context", "intellectual_property",
}  # fmt: skip
_STEP = _ALL | {"compute", "component", "identity", "inputs", "outputs", "services", "queue_settings"}
_COMMAND = {
    "code", "command", "environment", "environment_variables", "resources", "distribution", "limits",
    "retry_settings", "parameters", "parent_job_name", "additional_includes", "queue_settings",
}  # fmt: skip
_PARALLEL = {
    "task", "input_data", "mini_batch_size", "partition_keys", "mini_batch_error_threshold", "error_threshold",
    "logging_level", "max_concurrency_per_instance", "retry_settings", "resources", "environment_variables",
    "environment", "limits",
}  # fmt: skip
_SWEEP = {
    "trial", "search_space", "sampling_algorithm", "objective", "limits", "early_termination", "resources",
    "queue_settings",
}  # fmt: skip
_SPARK = {
    "entry", "code", "args", "conf", "py_files", "jars", "files", "archives", "environment", "resources",
    "environment_variables", "dynamic_allocation_enabled", "driver_cores", "driver_memory", "executor_cores",
    "executor_memory", "executor_instances", "dynamic_allocation_min_executors",
    "dynamic_allocation_max_executors",
}  # fmt: skip
# The type `automl`, control flow and others are not here: their keys are not checked.
BODY_KEYS = {
    "command": _COMMAND,
    "parallel": _PARALLEL,
    "sweep": _SWEEP,
    "spark": _SPARK,
    "pipeline": {"jobs"},
}
JOB_KEYS = {
    **{kind: _JOB | keys for kind, keys in BODY_KEYS.items()},
    "pipeline": _JOB | {"jobs", "settings", "component", "continue_on_step_failure", "is_deterministic"},
}
COMPONENT_KEYS = {
    **{kind: _COMPONENT | keys for kind, keys in BODY_KEYS.items()},
    "pipeline": _COMPONENT | {"jobs", "settings"},
}
STEP_KEYS = {kind: _STEP | keys for kind, keys in BODY_KEYS.items()}
JOB_TYPES = ("pipeline", "command", "sweep", "parallel", "spark", "automl")
STEP_TYPES = ("command", "pipeline", "parallel", "sweep", "spark", "automl")
SETTINGS = {
    "default_compute", "default_datastore", "continue_on_step_failure", "force_rerun", "on_init", "on_finalize",
    "continue_run_on_failed_optional_input",
}  # fmt: skip
INPUT_KEYS = {
    "type", "path", "mode", "description", "default", "value", "optional", "enum", "min", "max", "datastore",
    "path_on_compute", "job_input_type", "is_control",
}  # fmt: skip
OUTPUT_KEYS = {
    "type", "path", "mode", "description", "name", "version", "early_available", "is_control", "$schema",
    "job_output_type", "datastore",
}  # fmt: skip
INPUT_MODES = ("ro_mount", "rw_mount", "mount", "download", "direct", "eval_mount", "eval_download")
OUTPUT_MODES = ("rw_mount", "mount", "upload", "direct")
LITERAL_TYPES = ("string", "integer", "number", "boolean")
DATA_TYPES = (
    "uri_file", "uri_folder", "mltable", "mlflow_model", "custom_model", "triton_model", "path",
)  # fmt: skip
LIMIT_KEYS = {
    "command": {"timeout"},
    "sweep": {"timeout", "max_total_trials", "max_concurrent_trials", "trial_timeout"},
}
RESOURCE_KEYS = {
    "instance_count", "instance_type", "shm_size", "docker_args", "locations", "max_instance_count", "properties",
    "runtime_version",
}  # fmt: skip
DISTRIBUTION_KEYS = {
    "pytorch": {"type", "process_count_per_instance"},
    "mpi": {"type", "process_count_per_instance"},
    "tensorflow": {"type", "worker_count", "parameter_server_count"},
}
ENVIRONMENT_KEYS = {
    "$schema", "name", "version", "image", "conda_file", "build", "description", "tags", "properties", "os_type",
    "inference_config", "id", "datastore", "creation_context", "intellectual_property", "auto_delete_setting",
    "latest_version",
}  # fmt: skip
TASK_KEYS = {
    "type", "code", "entry_script", "program_arguments", "append_row_to", "environment", "model",
}  # fmt: skip
RETRY_KEYS = {"max_retries", "timeout"}
OBJECTIVE_KEYS = ("goal", "primary_metric")
TASK_TYPES = ("run_function", "function", "model")
# The parameters of the distributions of a search space. All of them are required.
SEARCH_SPACE_KEYS = {
    "choice": ("values",),
    "randint": ("upper",),
    "uniform": ("min_value", "max_value"),
    "quniform": ("min_value", "max_value", "q"),
    "loguniform": ("min_value", "max_value"),
    "qloguniform": ("min_value", "max_value", "q"),
    "normal": ("mu", "sigma"),
    "qnormal": ("mu", "sigma", "q"),
    "lognormal": ("mu", "sigma"),
    "qlognormal": ("mu", "sigma", "q"),
}
SAMPLING_ALGORITHMS = ("random", "grid", "bayesian")
