"""The views of the service's tables over the records of local files, for KQL of users."""

from __future__ import annotations

from amllog.insights.query.sql import literal, quote_name
from amllog.insights.query.tables import TABLES, Field, ServiceTable


def schema(*, workspace: bool) -> dict[str, dict[str, str]]:
    """Return the columns of each table of a dialect, with their types."""
    return {
        (table.workspace if workspace else table.classic): _types(table, workspace=workspace)
        for table in TABLES.values()
    }


def _types(table: ServiceTable, *, workspace: bool) -> dict[str, str]:
    if not workspace:
        return {field.classic: field.type for field in table.fields}
    types = {field.workspace: field.workspace_type or field.type for field in table.fields if field.workspace}
    return {**types, "_ResourceId": "string"}


def view(table: ServiceTable, records: str, *, workspace: bool) -> str:
    """Return the SELECT for one of the service's tables, over `records`."""
    selected = []
    for field in table.fields:
        name = field.workspace if workspace else field.classic
        if name:
            selected.append(f"{_view_column(table, field, workspace=workspace)} AS {quote_name(name)}")
    if workspace:
        selected.append("'' AS _ResourceId")  # many of Microsoft's queries group by it
    return f"SELECT {', '.join(selected)} FROM {records} WHERE itemType = {literal(table.item_type)}"


def _view_column(table: ServiceTable, field: Field, *, workspace: bool) -> str:
    if workspace and field.classic == "itemType":
        return literal(table.workspace)
    if workspace and field.classic == "success":
        return "CAST(success AS BOOLEAN)"
    # A string is never null in KQL.
    return f"coalesce({field.classic}, '')" if field.type == "string" else field.classic
