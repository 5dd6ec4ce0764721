"""The tables of Application Insights as Microsoft publishes them, copied from its pages and not from amllog's code.

`CLASSIC` and `WORKSPACE` have the columns and types of every table. Sources, read in November 2026, all of
github.com/MicrosoftDocs/azure-monitor-docs, articles/azure-monitor:
app/convert-classic-resource.md, "Table schemas" (both dialects, all ten tables), and reference/tables/apptraces.md,
appexceptions.md, appdependencies.md, appevents.md of 07/27/2026 (columns that only workspaces have).
In these pages, the Name of AppBrowserTimings is a datetime, against every sample query. Here it is a string.
"""

from __future__ import annotations

# Legacy name, name in a workspace ("-" if removed), and the types if they are not both "string".
_EVERYWHERE = """
appId=ResourceGUID application_Version=AppVersion appName=- client_Browser=ClientBrowser client_City=ClientCity
client_CountryOrRegion=ClientCountryOrRegion client_IP=ClientIP client_Model=ClientModel client_OS=ClientOS
client_StateOrProvince=ClientStateOrProvince client_Type=ClientType cloud_RoleInstance=AppRoleInstance
cloud_RoleName=AppRoleName customDimensions=Properties:dynamic iKey=IKey itemId=- itemType=Type operation_Id=OperationId
operation_Name=OperationName operation_ParentId=ParentId operation_SyntheticSource=SyntheticSource sdkVersion=SDKVersion
session_Id=SessionId timestamp=TimeGenerated:datetime user_AccountId=UserAccountId
user_AuthenticatedId=UserAuthenticatedId user_Id=UserId
"""
_COUNTED = "customMeasurements=Measurements:dynamic itemCount=ItemCount:int"
_OWN = {
    (
        "availabilityResults",
        "AppAvailabilityResults",
    ): f"""{_COUNTED} duration=DurationMs:real id=Id location=Location
        message=Message name=Name performanceBucket=PerformanceBucket size=Size:real success=Success:string/bool""",
    ("browserTimings", "AppBrowserTimings"): f"""{_COUNTED} name=Name networkDuration=NetworkDurationMs:real
        performanceBucket=PerformanceBucket processingDuration=ProcessingDurationMs:real
        receiveDuration=ReceiveDurationMs:real sendDuration=SendDurationMs:real totalDuration=TotalDurationMs:real
        url=Url""",
    ("dependencies", "AppDependencies"): f"""{_COUNTED} data=Data duration=DurationMs:real id=Id name=Name
        performanceBucket=PerformanceBucket resultCode=ResultCode success=Success:string/bool target=Target
        type=DependencyType""",
    ("customEvents", "AppEvents"): f"{_COUNTED} name=Name",
    ("customMetrics", "AppMetrics"): """name=Name value=-:real valueCount=ItemCount:int valueMax=Max:real
        valueMin=Min:real valueSum=Sum:real valueStdDev=-:real""",
    ("pageViews", "AppPageViews"): f"""{_COUNTED} duration=DurationMs:real id=Id name=Name
        performanceBucket=PerformanceBucket url=Url""",
    (
        "performanceCounters",
        "AppPerformanceCounters",
    ): """category=Category counter=- instance=Instance name=Name
        value=Value:real""",
    ("requests", "AppRequests"): f"""{_COUNTED} duration=DurationMs:real id=Id name=Name
        performanceBucket=PerformanceBucket resultCode=ResultCode source=Source success=Success:string/bool url=Url""",
    (
        "exceptions",
        "AppExceptions",
    ): f"""{_COUNTED} assembly=Assembly details=Details:dynamic handledAt=HandledAt
        innermostAssembly=InnermostAssembly innermostMessage=InnermostMessage innermostMethod=InnermostMethod
        innermostType=InnermostType message=Message method=Method outerAssembly=OuterAssembly
        outerMessage=OuterMessage outerMethod=OuterMethod outerType=OuterType problemId=ProblemId
        severityLevel=SeverityLevel:int type=ExceptionType""",
    ("traces", "AppTraces"): f"{_COUNTED} message=Message severityLevel=SeverityLevel:int",
}
_ONLY_WORKSPACE = {
    "TenantId": "string", "SourceSystem": "string", "_ResourceId": "string", "_SubscriptionId": "string",
    "_BilledSize": "real", "_IsBillable": "string",
}  # fmt: skip
_REFERENCED = {"AppTraces": ("ReferencedItemId", "ReferencedType"),
               "AppDependencies": ("ReferencedItemId", "ReferencedType"),
               "AppRequests": ("ReferencedItemId", "ReferencedType")}  # fmt: skip
# Columns that only the older page lists. No query uses them.
DOUBTFUL = {"AppDependencies": ("PerformanceBucket",)}

CLASSIC: dict[str, dict[str, str]] = {}
WORKSPACE: dict[str, dict[str, str]] = {}
# By legacy table: the workspace column of each legacy column, "" if it was removed.
RENAMED: dict[str, dict[str, str]] = {}

for (_legacy, _table), _texts in _OWN.items():
    CLASSIC[_legacy], WORKSPACE[_table], RENAMED[_legacy] = {}, dict(_ONLY_WORKSPACE), {}
    for _text in f"{_EVERYWHERE} {_texts}".split():
        _names, _, _kinds = _text.partition(":")
        _old, _new = _names.split("=")
        _kind, _, _new_kind = (_kinds or "string").partition("/")
        CLASSIC[_legacy][_old] = _kind
        RENAMED[_legacy][_old] = "" if _new == "-" else _new
        if _new != "-" and _new not in DOUBTFUL.get(_table, ()):
            WORKSPACE[_table][_new] = _new_kind or _kind
    WORKSPACE[_table].update(dict.fromkeys(_REFERENCED.get(_table, ()), "string"))
