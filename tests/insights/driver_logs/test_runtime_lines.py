"""The lines of Azure ML's wrapper, in the forms of both generations."""

from __future__ import annotations

import pytest

from amllog.insights.driver_logs.runtime_lines import is_runtime_line

SCRIPT = """\
[2020-08-21T10:02:15.046085] Entering context manager injector.
[context_manager_injector.py] Command line Options: Namespace(inject=['ProjectPythonPath'], invocation=['a.py'])
Starting the daemon thread to refresh tokens in background for process with pid = 113
Entering Run History Context Manager.
Current directory:  /mnt/work/azureml/run_1
Preparing to call script [ a.py ] with arguments: ['--epochs', '3']
After variable expansion, calling script [ a.py ] with arguments: ['--epochs', '3']
The experiment completed successfully. Finalizing run...
The experiment failed. Finalizing run...
Logging experiment finalizing status in history service.
[2020-08-21T10:02:19.123456] TimeoutHandler __init__
[2020-08-21T10:02:19.123499] TimeoutHandler __enter__
Cleaning up all outstanding Run operations, waiting 300.0 seconds
2 items cleaning up...
Cleanup took 0.1267080307006836 seconds
[2020-08-21T10:02:19.3] TimeoutHandler __exit__"""
COMMAND = """\
[2022-02-01T09:14:37.031514] Entering context manager injector.
Script type = COMMAND
[2022-02-01T09:14:37.501010] Command=python a.py
[2022-02-01T09:14:37.501121] Command Working Directory=/mnt/work/azureml/run_1
[2022-02-01T09:14:37.501200] Starting Linux command : python a.py
[2022-02-01T09:14:40.901200] Command finished with return code 1
[2022-02-01T09:14:40.999999] The experiment completed successfully. Finalizing run..."""
USER = """\
Hello world!

Traceback (most recent call last):
  File "a.py", line 3, in <module>
ValueError: Cleanup took too long
2020-08-21T10:02:15.046Z INFO     train: Cleanup took 3 seconds
[2020-08-21T10:02:15.046085] epoch 3
Current directory: /data
Starting training
Command=train
Preparing to call the model
Processing 5 files of Dataset train
Cleanup took long
SDK version: azureml-core==1.61"""


@pytest.mark.parametrize("line", [*SCRIPT.splitlines(), *COMMAND.splitlines()])
def test_lines_of_the_wrapper(line: str) -> None:
    """Each line that the wrapper of a script or of a command writes is recognized."""
    assert is_runtime_line(line)


@pytest.mark.parametrize("line", USER.splitlines())
def test_lines_of_users(line: str) -> None:
    """A line of a script is not taken for one of the wrapper because it uses the same words."""
    assert not is_runtime_line(line)
