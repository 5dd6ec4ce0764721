"""The command of a parallel step, and the errors of invalid ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from amllog.errors import UsageError

if TYPE_CHECKING:
    from .conftest import ParallelFolder


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"entry_script": "none.py"}, "entry_script 'none.py' does not exist in the code of the step"),
        ({"input_data": "model"}, "input_data is 'model', which must be an input with files or a table"),
        ({"input_data": "none"}, "input_data is 'none', which must be an input"),
        (
            {"mini_batch_size": "10kb"},
            "mini_batch_size is '10kb', which must be a number of files, such as 10",
        ),
        ({"mini_batch_size": "0"}, "mini_batch_size is '0', which must be a number of files"),
        ({"partition_keys": ("x",)}, "partition_keys need a table, and the input 'data' is a list of files"),
        ({"logging_level": "LOUD"}, "logging_level is 'LOUD', which must be one of DEBUG, INFO"),
        (
            {"program_arguments": "--error_threshold many"},
            "--error_threshold is 'many', which must be a number",
        ),
        ({"program_arguments": "--x 'y"}, "No closing quotation"),
        ({"program_arguments": "${{inputs.none}}"}, "${{inputs.none}} has no value"),
    ],
)
def test_an_invalid_task_is_an_error_with_the_line_of_the_step(
    parallel: ParallelFolder, task: dict[str, Any], message: str
) -> None:
    """Nothing starts, and the error says what is allowed."""
    parallel.files(1)
    with pytest.raises(UsageError) as caught:
        parallel.command("", **task)
    assert str(caught.value).startswith("job.yml:5: score: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "size"),
    [("", 1 << 20), ("10kb", 10240), ("1.5 MB", 1572864), ("100", 100), ("0", None), ("x", None)],
)
def test_the_size_of_a_table_has_a_unit(parallel: ParallelFolder, text: str, size: int | None) -> None:
    """The default is 1 MB, as in the service."""
    parallel.table("x\n1\n")
    if size is None:
        with pytest.raises(UsageError, match="which must be a size, such as 10kb or 1MB"):
            parallel.command("", mini_batch_size=text)
    else:
        assert json.loads(parallel.command("", mini_batch_size=text)[-1])["input"]["size"] == size


def test_rows_go_into_a_folder_under_the_name_of_the_service(parallel: ParallelFolder) -> None:
    """An output that is a folder gets the file `parallel_run_step.txt`. Without append_row_to there is none."""
    parallel.files(1)
    parallel.output.mkdir()
    assert json.loads(parallel.command("")[-1])["append_to"] == str(parallel.output / "parallel_run_step.txt")
    assert json.loads(parallel.command("", append_row_to=None)[-1])["append_to"] == ""


def test_words_of_the_user_take_precedence_over_those_of_the_service(parallel: ParallelFolder) -> None:
    """A word that the file has is not added again."""
    parallel.files(1)
    task = json.loads(parallel.command("", program_arguments="--error_threshold 5 '${{inputs.model}}'")[-1])
    words = task["worker"]["arguments"]
    assert (words[:3], words.count("--error_threshold")) == (["--error_threshold", "5", "a b"], 1)
    assert task["error_threshold"] == 5
