"""`connect()`: choose the store from arguments and the environment."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from amllog.config import user_path
from amllog.config.variables import QUERY_ENDPOINT, RESOURCE_ID, candidate_directories
from amllog.errors import UsageError
from amllog.insights.insights import Insights
from amllog.insights.links import Portal
from amllog.insights.stores.local.duckdb_store import DuckDBStore
from amllog.insights.stores.local.local_runs import with_journals
from amllog.insights.stores.local.python_store import PythonStore
from amllog.insights.stores.service.client import SERVER_TIMEOUT_SECONDS, QueryClient
from amllog.insights.stores.service.scope import VARIABLES, Scope, parse_scope
from amllog.insights.stores.service.service_store import ServiceStore

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Service(TypedDict, total=False):
    """The arguments of `connect()` for the service.

    * `resource_id`, `workspace_id`, `app_id`: one of them. `resource_id` is that of an Application Insights resource or
      of a workspace. The default is AMLLOG_RESOURCE_ID, AMLLOG_WORKSPACE_ID or AMLLOG_APP_ID.
    * `credential`: a credential of azure-identity. The default is a DefaultAzureCredential, created at the first
      question, and none for a service on this machine.
    * `endpoint`: the address of another cloud or of `amllog.local`. The default is AMLLOG_QUERY_ENDPOINT, else that of
      the public cloud.
    * `dialect`: "classic" (traces) or "workspace" (AppTraces), if the service rejects the usual one.
    * `server_timeout_seconds`: the time limit of the service for one query, 1 to 600 (default 180).
    """

    resource_id: str
    workspace_id: str
    app_id: str
    credential: Any
    endpoint: str
    dialect: str
    server_timeout_seconds: int


def connect(
    *paths: str | PathLike[str], environ: Mapping[str, str] | None = None, **service: Unpack[Service]
) -> Insights:
    """Return the questions over journals or over the service.

    With `paths`, the journals in and below them. A path is a journal directory, a folder with downloaded runs
    (`logs/amllog` at any depth), the folder of a local run, or one file. With an argument of `Service`, the service.
    With neither, the id in an environment variable, else the journals in AMLLOG_DIR, else those in the default
    directories of `setup()`.

    `environ` replaces the environment of the process. Raises UsageError if a path does not exist or an id is invalid.
    """
    variables = os.environ if environ is None else environ
    scope = find_scope(service, variables if not paths else {})
    if scope is None:
        store = local_store(journal_paths(paths, variables))
        return Insights(store, portal_of(variables.get(RESOURCE_ID, ""), variables), store.journals)
    if paths:
        raise UsageError(f"{scope} and {', '.join(map(str, paths))}: use journals or the service, not both")
    seconds = service.get("server_timeout_seconds", SERVER_TIMEOUT_SECONDS)
    portal = portal_of(scope.id if scope.argument == "resource_id" else "", {QUERY_ENDPOINT: scope.endpoint})
    return Insights(
        ServiceStore(QueryClient(scope, service.get("credential"), server_timeout_seconds=seconds)), portal
    )


def portal_of(resource_id: str, environ: Mapping[str, str]) -> Portal | None:
    """Return the resource that links lead to. None for an empty id, UsageError for an invalid one."""
    return Portal.of(resource_id, environ.get(QUERY_ENDPOINT, "")) if resource_id.strip() else None


def local_store(places: Sequence[Path]) -> DuckDBStore | PythonStore:
    """Return the store over journals: the one of DuckDB if it is installed, else the one in Python."""
    return DuckDBStore(places) if importlib.util.find_spec("duckdb") else PythonStore(places)


def find_scope(service: Service, environ: Mapping[str, str]) -> Scope | None:
    """Return the scope that the arguments name, else the environment. None if neither names one."""
    unknown = sorted(service.keys() - Service.__annotations__.keys())
    if unknown:
        raise UsageError(f"{', '.join(unknown)}: no such argument; use {', '.join(Service.__annotations__)}")
    named = {name: str(service.get(name) or "") for name in VARIABLES}
    if not any(named.values()):
        named = {name: environ.get(variable, "").strip() for name, variable in VARIABLES.items()}
    given = {name: value for name, value in named.items() if value}
    if len(given) > 1:
        both = ", ".join(f"{name} ({VARIABLES[name]})" for name in given)
        raise UsageError(f"{both}: use only one of them")
    endpoint = service.get("endpoint") or environ.get(QUERY_ENDPOINT, "")
    for name, value in given.items():
        return parse_scope(name, value, endpoint=endpoint, dialect=service.get("dialect", ""))
    if service:
        raise UsageError(
            f"{', '.join(service)}: applies to the service only; also pass one of {', '.join(VARIABLES)}"
        )
    return None


def journal_paths(paths: Iterable[str | PathLike[str]], environ: Mapping[str, str]) -> list[Path]:
    """Return the directories and files to read, with the journals of local runs. UsageError names missing ones."""
    given = [user_path.expand_path(path) for path in paths]
    missing = [str(path) for path in given if not user_path.exists(path)]
    if missing:
        raise UsageError(f"no such directory or file: {', '.join(missing)}")
    if given:
        return with_journals(given)
    candidates = [user_path.expand_path(name) for name in candidate_directories(environ)]
    directories = [path for path in candidates if user_path.is_directory(path)]
    if not directories:
        names = " and ".join(map(str, candidates))
        raise UsageError(f"no journal here (looked for {names}): set AMLLOG_DIR, or name a directory")
    return directories
