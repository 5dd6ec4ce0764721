"""A query as KQL, as SQL and as a link into the portal, each generated when it is first read.

Most tables are read for their rows only. `amllog errors last` makes 1,100 calls of amllog, and made 2,700 when each
answer generated them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

from amllog.insights.links import Portal
from amllog.insights.query import kql, sql
from amllog.insights.query.query import Query


class QueryTexts:
    """The KQL, the SQL and the link of one query. Without a query, `kql` is KQL of a user."""

    def __init__(
        self,
        query: Query | None = None,
        *,
        kql: str = "",
        sql_time: datetime | None = None,
        portal: Portal | None = None,
    ) -> None:
        """Store the query, or KQL of a user.

        `sql_time` is the time of an answer of DuckDB, None for other stores. `portal` is the resource that links lead
        to.
        """
        self._query, self._kql, self._sql_time, self._portal = query, kql, sql_time, portal
        self._created = datetime.now(timezone.utc)
        self._generated: dict[str, str] = {}

    @property
    def kql(self) -> str:
        """The query for the tables of an Application Insights resource."""
        query = self._query
        return self._kql if query is None else self._once("kql", lambda: kql.classic(query))

    @property
    def kql_workspace(self) -> str:
        """The query for the tables of a Log Analytics workspace. "" for free KQL."""
        query = self._query
        return "" if query is None else self._once("kql_workspace", lambda: kql.workspace(query))

    def fuzzy_kql(self, *, workspace: bool) -> str:
        """Return the query for a workbook, in which tables that do not exist yet have no rows. "" for free KQL."""
        write = kql.workspace if workspace else kql.classic
        return "" if self._query is None else write(self._query, is_fuzzy=True)

    @property
    def sql(self) -> str:
        """The query for DuckDB. "" for free KQL and for answers of other stores."""
        query, time = self._query, self._sql_time
        if query is None or time is None:
            return ""
        return self._once("sql", lambda: sql.statement(query, time).text)

    @property
    def portal_link(self) -> str | None:
        """A link to the portal's Logs with the KQL. None if no resource is known."""
        portal = self._portal
        return None if portal is None else self._once("link", lambda: self._link(portal))

    def linked_to(self, portal: Portal | None) -> QueryTexts:
        """Return the same query with links to another resource."""
        return QueryTexts(self._query, kql=self._kql, sql_time=self._sql_time, portal=portal)

    def _link(self, portal: Portal) -> str:
        query = self._query
        if query is None:
            return portal.logs(self._kql)
        text = self.kql_workspace if portal.resource.is_workspace else self.kql
        # A time range from a fixed start ends at the time of the answer, whenever the link is read.
        until = query.until or (self._created if isinstance(query.since, datetime) else None)
        return portal.logs(text, query.since, until)

    def _once(self, name: str, generate: Callable[[], str]) -> str:
        if name not in self._generated:
            self._generated[name] = generate()
        return self._generated[name]
