"""The tables of Application Insights and their columns, as data.

Each has a name in an Application Insights resource ("classic") and another in a Log Analytics workspace. Types are
those of Kusto. Source: azure-monitor-docs, app/convert-classic-resource.md and app/data-model-complete.md.
"""

from __future__ import annotations

from typing import NamedTuple


class Field(NamedTuple):
    """A column of a table: its names and types. The name is "" if a workspace has no such column."""

    classic: str
    workspace: str
    type: str = "string"
    workspace_type: str = ""  # if it differs


class ServiceTable(NamedTuple):
    """A table: its names, the `itemType` of its rows, and its columns."""

    classic: str
    workspace: str
    item_type: str
    base_type: str  # of the envelopes that the service stores in it
    fields: tuple[Field, ...]

    def workspace_name(self, field: str) -> str:
        """Return the name of a column in a workspace. KeyError if a workspace does not have it."""
        name = next((known.workspace for known in self.fields if known.classic == field), "")
        if not name:
            raise KeyError(f"{self.workspace} has no column for {field}")
        return name


def _same(*names: str, type: str = "string") -> tuple[Field, ...]:
    """Return columns whose names differ only in the capital letter."""
    return tuple(Field(name, name[0].upper() + name[1:], type) for name in names)


_FIRST = (
    Field("timestamp", "TimeGenerated", "datetime"),
    Field("itemType", "Type"),
)
_DIMENSIONS = Field("customDimensions", "Properties", "dynamic")
_MEASUREMENTS = Field("customMeasurements", "Measurements", "dynamic")
_COMMON = (
    Field("operation_Name", "OperationName"), Field("operation_Id", "OperationId"),
    Field("operation_ParentId", "ParentId"), Field("operation_SyntheticSource", "SyntheticSource"),
    Field("session_Id", "SessionId"), Field("user_Id", "UserId"),
    Field("user_AuthenticatedId", "UserAuthenticatedId"), Field("user_AccountId", "UserAccountId"),
    Field("application_Version", "AppVersion"), Field("client_Type", "ClientType"),
    Field("client_Model", "ClientModel"), Field("client_OS", "ClientOS"), Field("client_IP", "ClientIP"),
    Field("client_City", "ClientCity"), Field("client_StateOrProvince", "ClientStateOrProvince"),
    Field("client_CountryOrRegion", "ClientCountryOrRegion"), Field("client_Browser", "ClientBrowser"),
    Field("cloud_RoleName", "AppRoleName"), Field("cloud_RoleInstance", "AppRoleInstance"),
    Field("appId", "ResourceGUID"), Field("appName", ""), Field("iKey", "IKey"), Field("sdkVersion", "SDKVersion"),
    Field("itemId", ""),
)  # fmt: skip
_COUNT = Field("itemCount", "ItemCount", "int")
_USUAL = (_DIMENSIONS, _MEASUREMENTS, *_COMMON, _COUNT)
_SUCCESS = Field("success", "Success", "string", "bool")
_DURATION = Field("duration", "DurationMs", "real")
_BUCKET = _same("performanceBucket")

_ALL = (
    ServiceTable("traces", "AppTraces", "trace", "MessageData",
                 (*_FIRST, *_same("message"), *_same("severityLevel", type="int"), *_USUAL)),
    ServiceTable("exceptions", "AppExceptions", "exception", "ExceptionData",
                 (*_FIRST, *_same("problemId", "handledAt"), Field("type", "ExceptionType"),
                  *_same("message", "assembly", "method", "outerType", "outerMessage", "outerAssembly",
                         "outerMethod", "innermostType", "innermostMessage", "innermostAssembly", "innermostMethod"),
                  *_same("severityLevel", type="int"), *_same("details", type="dynamic"), *_USUAL)),
    ServiceTable("customEvents", "AppEvents", "customEvent", "EventData", (*_FIRST, *_same("name"), *_USUAL)),
    ServiceTable("customMetrics", "AppMetrics", "customMetric", "MetricData",
                 (*_FIRST, *_same("name"), Field("value", "", "real"), Field("valueCount", "ItemCount", "int"),
                  Field("valueSum", "Sum", "real"), Field("valueMin", "Min", "real"), Field("valueMax", "Max", "real"),
                  Field("valueStdDev", "", "real"), _DIMENSIONS, *_COMMON)),
    ServiceTable("requests", "AppRequests", "request", "RequestData",
                 (*_FIRST, *_same("id", "source", "name", "url"), _SUCCESS, *_same("resultCode"), _DURATION,
                  *_BUCKET, *_USUAL)),
    ServiceTable("dependencies", "AppDependencies", "dependency", "RemoteDependencyData",
                 (*_FIRST, *_same("id", "target"), Field("type", "DependencyType"), *_same("name", "data"), _SUCCESS,
                  *_same("resultCode"), _DURATION, *_BUCKET, *_USUAL)),
    ServiceTable("pageViews", "AppPageViews", "pageView", "PageViewData",
                 (*_FIRST, *_same("id", "name", "url"), _DURATION, *_BUCKET, *_USUAL)),
    ServiceTable("availabilityResults", "AppAvailabilityResults", "availabilityResult", "AvailabilityData",
                 (*_FIRST, *_same("id", "name", "location"), _SUCCESS, *_same("message"), _DURATION, *_BUCKET,
                  *_same("size", type="real"), *_USUAL)),
)  # fmt: skip
TABLES = {table.classic: table for table in _ALL}
