"""`connect()`: which store to ask, from arguments and the environment.

In: directories, or ids of the service, or neither. Out: `Insights` over that store.
"""

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
from amllog.insights.stores.local.python_store import PythonStore
from amllog.insights.stores.service.client import SERVER_TIMEOUT_SECONDS, QueryClient
from amllog.insights.stores.service.scope import VARIABLES, Scope, parse_scope
from amllog.insights.stores.service.service_store import ServiceStore

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Service(TypedDict, total=False):
    """What `connect()` takes for the service. One of `resource_id` (of an Application Insights resource, or of a
    workspace), `workspace_id` and `app_id`; else AMLLOG_RESOURCE_ID, AMLLOG_WORKSPACE_ID or AMLLOG_APP_ID.

    `credential`: any of azure-identity's (default: DefaultAzureCredential, made at the first question; none for a
    service on this machine). `endpoint`: of another cloud, or of `amllog.local` (default: AMLLOG_QUERY_ENDPOINT, else
    the public cloud's). `dialect`: "classic" (traces) or "workspace" (AppTraces), where the service does not take the
    usual one. `server_timeout_seconds`: how long it may work on a query, 1 to 600 (default 180).
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
    """The questions, over journals or over the service.

    Journals: in and below `paths`. The service: `Service` says what it takes. With neither: the id that an environment
    variable names, else the journals of AMLLOG_DIR, else where `setup()` puts them.
    A path may be a journal directory, a folder of downloaded runs (`logs/amllog` somewhere in it), or one file.
    `environ` stands in for the process's environment. UsageError if there is no such place, or for an id that is none.
    """
    variables = os.environ if environ is None else environ
    asked = find_scope(service, variables if not paths else {})
    if asked is None:
        store = local_store(journal_paths(paths, variables))
        return Insights(store, portal_of(variables.get(RESOURCE_ID, ""), variables), store.journals)
    if paths:
        raise UsageError(f"{asked} and {', '.join(map(str, paths))}: journals or the service, not both")
    seconds = service.get("server_timeout_seconds", SERVER_TIMEOUT_SECONDS)
    portal = portal_of(asked.id if asked.argument == "resource_id" else "", {QUERY_ENDPOINT: asked.endpoint})
    return Insights(
        ServiceStore(QueryClient(asked, service.get("credential"), server_timeout_seconds=seconds)), portal
    )


def portal_of(resource_id: str, environ: Mapping[str, str]) -> Portal | None:
    """Where links into the portal lead; None where no resource is known. UsageError for an id that is none."""
    return Portal.of(resource_id, environ.get(QUERY_ENDPOINT, "")) if resource_id.strip() else None


def local_store(places: Sequence[Path]) -> DuckDBStore | PythonStore:
    """The store over journals: DuckDB's where it is installed, else the one that needs nothing."""
    return DuckDBStore(places) if importlib.util.find_spec("duckdb") else PythonStore(places)


def find_scope(service: Service, environ: Mapping[str, str]) -> Scope | None:
    """Whom to ask, by the arguments, else by the environment; None where neither names anybody."""
    unknown = sorted(service.keys() - Service.__annotations__.keys())
    if unknown:
        raise UsageError(f"{', '.join(unknown)}: connect() takes {', '.join(Service.__annotations__)}")
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
        raise UsageError(f"{', '.join(service)}: for the service; give one of {', '.join(VARIABLES)} with it")
    return None


def journal_paths(paths: Iterable[str | PathLike[str]], environ: Mapping[str, str]) -> list[Path]:
    """The directories and files to read; UsageError names what is missing."""
    given = [user_path.expand_path(path) for path in paths]
    missing = [str(path) for path in given if not user_path.exists(path)]
    if missing:
        raise UsageError(f"no such directory or file: {', '.join(missing)}")
    if given:
        return given
    usual = [user_path.expand_path(name) for name in candidate_directories(environ)]
    found = [path for path in usual if user_path.is_directory(path)]
    if not found:
        looked = " and ".join(map(str, usual))
        raise UsageError(f"no journal here (looked for {looked}): set AMLLOG_DIR, or name a directory")
    return found
