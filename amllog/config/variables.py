"""The environment variables of amllog that are not settings, and the default directories of the journal.

The settings have a table in `settings_table.py`. The variables here select the service that is queried, or pass state
from a process to its child processes. All other modules import the names, so that `amllog doctor` and docs/settings.md
have every variable that exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

PREFIX = "AMLLOG_"
DIRECTORY = "AMLLOG_DIR"  # the variable of the setting `directory`, which the commands read too
RESOURCE_ID = "AMLLOG_RESOURCE_ID"
WORKSPACE_ID = "AMLLOG_WORKSPACE_ID"
APP_ID = "AMLLOG_APP_ID"
QUERY_ENDPOINT = "AMLLOG_QUERY_ENDPOINT"
LOCAL_RUN = "AMLLOG_LOCAL_RUN"
CHILD = "AMLLOG_CHILD"
STEP_PROCESS = "AMLLOG_STEP_PROCESS"
WORKERS = "AMLLOG_WORKERS"
LOCAL_AUTHORITIES = "AMLLOG_LOCAL_AUTHORITIES"
DEBUG = "AMLLOG_DEBUG"  # the variable of the setting `debug`
DEBUG_SOURCE = "AMLLOG_DEBUG_SOURCE"
DEBUG_PROCESS = "AMLLOG_DEBUG_PROCESS"
LOCAL_AZURE = "AMLLOG_LOCAL_AZURE"
LOCAL_RETRY = "AMLLOG_LOCAL_RETRY"
OF_ONE_STEP = ("AMLLOG_STEP_NAME", "AMLLOG_EXPERIMENT_NAME")  # settings that a pipeline's steps do not share

# Azure ML uploads `logs` of the working directory, also while the job runs.
JOB_DIRECTORY = "logs/amllog"
LOCAL_DIRECTORY = ".amllog"
DEFAULT_DIRECTORY = f"{DIRECTORY}, ./{LOCAL_DIRECTORY} or ./{JOB_DIRECTORY}"  # in help texts


class Variable(NamedTuple):
    """An environment variable that is not a setting."""

    name: str
    set_by: str
    sentence: str


USER, AMLLOG, EITHER = "user", "amllog", "user, amllog"
VARIABLES = (
    Variable(RESOURCE_ID, USER, "Query this Application Insights resource or workspace. Also used in portal links."),
    Variable(WORKSPACE_ID, USER, "Query this Log Analytics workspace."),
    Variable(APP_ID, USER, "Query the Application Insights resource with this application id."),
    Variable(QUERY_ENDPOINT, USER, "The address of the query service. The default is that of the public cloud."),
    Variable(LOCAL_RUN, EITHER, "The name of the run of scripts outside Azure ML. amllog adds the step for workers."),
    Variable(CHILD, AMLLOG, "The step and the span of a child process that is a span of its step."),
    Variable(STEP_PROCESS, AMLLOG, "The step and the process that records its end. Other processes are spans of it."),
    Variable(LOCAL_AUTHORITIES, AMLLOG, "The certificate authorities for uploads to `amllog serve`, which prints it."),
    Variable(LOCAL_AZURE, AMLLOG, "`true` in the steps of a pipeline or job file that run on this machine."),
    Variable(LOCAL_RETRY, AMLLOG, "`true` in an attempt of a local step that is followed by another if it fails."),
    Variable(DEBUG_SOURCE, EITHER, "The folder of which the working directory is a copy, for a debugger."),
    Variable(DEBUG_PROCESS, AMLLOG, "The process that a debugger debugs. Its child processes do not listen."),
    Variable(WORKERS, AMLLOG, "The step that worker processes belong to. Unset it for a process that does not."),
)  # fmt: skip


def candidate_directories(environ: Mapping[str, str]) -> list[str]:
    """Return the directories in which a command looks for the journal: AMLLOG_DIR, otherwise both defaults."""
    directory = environ.get(DIRECTORY, "").strip()
    return [directory] if directory else [LOCAL_DIRECTORY, JOB_DIRECTORY]
