"""Find the route of a request, check its token, and list it in the log of requests."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import NamedTuple

from amllog.local.app_insights import query_service
from amllog.local.azureml.runs import RunStore
from amllog.local.http.access import Access, check_scope
from amllog.local.http.request import Refusal, Request, unauthorized
from amllog.local.http.routes import Credential, Route, find_route
from amllog.local.http.server import Handler

REQUESTS_LOGGED = 10_000
TRACKS = ("/v2/track", "/v2.1/track")


class Served(NamedTuple):
    """One answered request. Its path contains no token."""

    time: datetime
    service: str
    method: str
    path: str
    status: int
    seconds: float


class Gateway:
    """Admit requests to `routes`, which are set before the server starts."""

    def __init__(self, access: Access) -> None:
        self.routes: Sequence[Route] = ()
        self.requests_log: deque[Served] = deque(maxlen=REQUESTS_LOGGED)
        self._access = access
        self._runs: RunStore | None = None

    def open(self, routes: Sequence[Route], runs: RunStore) -> None:
        """Admit requests to these routes. `runs` contains which runs belong together."""
        self.routes, self._runs = routes, runs

    def admit(self, request: Request) -> tuple[Request, Handler]:
        """Return the request with the run that sent it, and its handler. Raises `Refusal` without the right token."""
        try:
            route, names = find_route(self.routes, request)
        except Refusal as refusal:
            if self._access.has_valid_token(request):
                raise
            raise unauthorized(401, service_of_path(request.path), "A token is required") from refusal
        admitted = replace(request, run_id=self._access.authenticate(route.needs, request))
        if route.needs is Credential.RUN and self._runs:
            check_scope(self._runs, admitted.run_id, names)
        return admitted, lambda complete: route.handle(complete, names)

    def log_request(self, request: Request, status: int, seconds: float) -> None:
        """Add an answered request to the log."""
        now, service = datetime.now(timezone.utc), service_of_path(request.path)
        self.requests_log.append(Served(now, service, request.method, request.path, status, seconds))


def service_of_path(path: str) -> str:
    """Return the service of a path, by the name that faults have for it."""
    if path == "/faults":
        return "faults"
    if path in TRACKS:
        return "ingestion"
    if path.startswith("/mlflow/"):
        return "mlflow"
    return "query" if query_service.is_query_path(path) else "run_history"
