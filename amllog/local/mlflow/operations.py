"""Routes of operations of MLflow's REST API, with errors in MLflow's format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from amllog.local.http.request import Refusal, Request, Response
from amllog.local.http.routes import Credential, Names, Route
from amllog.local.mlflow.conversion import body_of, refusal

PREFIX = "/mlflow/api/2.0"
Body = Mapping[str, Any]
# Gets the run of the token, and the members of the body or of the query with the names in the path. Returns the body of
# the response.
Operation = Callable[[str, Body], object]


def operation_routes(operations: Mapping[tuple[str, str], Operation]) -> list[Route]:
    """Return the routes of operations by method and path below `mlflow/`."""
    return [
        Route(method, f"{PREFIX}/mlflow/{path}", Credential.RUN, _handler(operation))
        for (method, path), operation in operations.items()
    ]


def _handler(operation: Operation) -> Callable[[Request, Names], Response]:
    def handle(request: Request, names: Names) -> Response:
        try:
            return Response.from_value(operation(request.run_id, {**body_of(request), **names}))
        except Refusal as error:
            if error.body is not None:
                raise
            raise refusal(error.status, "INVALID_PARAMETER_VALUE", error.message) from error

    return handle
