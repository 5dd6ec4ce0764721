"""The task of a ParallelRunStep of SDK v1, from its arguments.

The step has the options of its ParallelRunConfig and the user's own arguments in one list. The options have reserved
names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from amllog.local.plan.planned_steps import ParallelTask
from amllog.local.step_objects.sdk_ports import is_parameter

APPENDED = "parallel_run_step.txt"  # the file in the output folder of `append_row`
_RESERVED = re.compile(
    r"--(client_sdk_version|scoring_module_name|mini_batch_size|error_threshold|output_action|logging_level"
    r"|run_invocation_timeout|run_max_try|create_snapshot_at_runtime|allowed_failed_count|allowed_failed_percent"
    r"|append_row_file_name|output|process_count_per_node|partition_keys|input(_ds_|_fds_|_pipeline_param_)?\d+)\Z"
)


def task(
    step: Any, input_name: str, output_name: str, parameters: Mapping[str, Any]
) -> tuple[ParallelTask, list[Any]]:
    """Return the task without its program arguments, and the user's own arguments.

    Raises ValueError if the step has no entry script, or an option is no number.
    """
    options, rest = _split(list(step._arguments or ()), parameters)
    script = options.get("scoring_module_name") or getattr(step, "_script_name", None)
    if not script:
        raise ValueError("its ParallelRunConfig has no entry_script")
    processes = options.get("process_count_per_node")
    is_appended = options.get("output_action") == "append_row" and bool(output_name)
    file = options.get("append_row_file_name") or APPENDED
    keys = json.loads(str(options.get("partition_keys") or "[]"))
    planned = ParallelTask(
        entry_script=str(script),
        input_data=input_name,
        mini_batch_size=str(options.get("mini_batch_size") or ""),
        partition_keys=tuple(map(str, keys)),
        mini_batch_error_threshold=int(options.get("error_threshold", -1)),
        logging_level=str(options.get("logging_level") or "INFO"),
        max_concurrency_per_instance=None if processes is None else int(processes),
        instance_count=int(getattr(step, "_node_count", None) or 1),
        max_retries=max(0, int(options.get("run_max_try", 3)) - 1),
        timeout_seconds=float(options.get("run_invocation_timeout", 60)),
        append_row_to=f"${{{{outputs.{output_name}}}}}/{file}" if is_appended else None,
    )
    return planned, rest


def _split(arguments: list[Any], parameters: Mapping[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """Return the values of reserved options by their names, and all other arguments."""
    options: dict[str, Any] = {}
    rest: list[Any] = []
    index = 0
    while index < len(arguments):
        word = arguments[index]
        if isinstance(word, str) and _RESERVED.match(word) and index + 1 < len(arguments):
            value = arguments[index + 1]
            if is_parameter(value):
                value = parameters.get(value.name, value.default_value)
            options.setdefault(word[2:], value)
            index += 2
        else:
            rest.append(word)
            index += 1
    return options, rest
