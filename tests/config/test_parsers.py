"""The parsers of settings."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from amllog.config import parsers

KEY = "00000000-0000-0000-0000-0000000010ca"
HOST = "https://westeurope-5.in.applicationinsights.azure.com"


@pytest.mark.parametrize(
    ("value", "endpoint"),
    [
        (f"InstrumentationKey={KEY};IngestionEndpoint={HOST}/;LiveEndpoint=https://x/;ApplicationId={KEY}", HOST),
        (f"InstrumentationKey={KEY};IngestionEndpoint={HOST}/;", HOST),
        (f" instrumentationkey = {KEY.upper()} ;; INGESTIONENDPOINT = {HOST} ", HOST),
        (f"InstrumentationKey={KEY}", "https://dc.services.visualstudio.com"),
        (KEY.upper(), "https://dc.services.visualstudio.com"),
        (f"InstrumentationKey={KEY};EndpointSuffix=applicationinsights.azure.cn", "https://dc.applicationinsights.azure.cn"),
        (f"InstrumentationKey={KEY};EndpointSuffix=ai.azure.us;Location=x", "https://x.dc.ai.azure.us"),
        (f"Authorization=ikey;InstrumentationKey={KEY};IngestionEndpoint=http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        (f"InstrumentationKey={KEY};Other=a=b==", "https://dc.services.visualstudio.com"),
    ],
)  # fmt: skip
def test_connection_string(value: str, endpoint: str) -> None:
    """Connection strings from the portal, the docs and old scripts are accepted."""
    target = parsers.parse_connection_string(value)
    assert (target.instrumentation_key, target.endpoint) == (KEY, endpoint)
    assert parsers.parse_connection_string(target) is target


@pytest.mark.parametrize("endpoint", ["nohost", "https://", "https:///v2", "ftp://host"])
def test_an_endpoint_without_a_host(endpoint: str) -> None:
    """An address without a host is an error of setup(), so that records do not wait for ever."""
    with pytest.raises(ValueError, match="endpoint"):
        parsers.parse_connection_string(f"InstrumentationKey={KEY};IngestionEndpoint={endpoint}")


@pytest.mark.parametrize(
    "endpoint",
    ["https://:80", "https://h:99999", "https://h:abc", "https://h:0", "https://[::1", "https://h/?x=1", "https://h#f",
     "https://h o", "https://h\n.org", "https://h\0", f"https://{'a' * 64}.org", "https://h..org"],
)  # fmt: skip
def test_an_endpoint_that_no_request_can_have(endpoint: str) -> None:
    """An invalid port, a query, a blank or an invalid host name is an error of setup() as well."""
    with pytest.raises(ValueError):
        parsers.parse_connection_string(f"InstrumentationKey={KEY};IngestionEndpoint={endpoint}")


@pytest.mark.parametrize(
    "endpoint", ["https://host.", "http://[::1]:8080/a/b", "https://münchen.example", "HTTP://h:1"]
)
def test_an_endpoint_of_any_host(endpoint: str) -> None:
    """Any valid host, port and path is accepted unchanged."""
    target = parsers.parse_connection_string(f"InstrumentationKey={KEY};IngestionEndpoint={endpoint}")
    assert target.endpoint == endpoint


def test_an_empty_expression() -> None:
    """An empty expression for keys is rejected, because it would mask every value."""
    with pytest.raises(ValueError):
        parsers.parse_patterns(["team", ""])


@given(st.text())
def test_invalid_connection_strings(value: str) -> None:
    """Any other string raises ValueError."""
    with pytest.raises(ValueError):
        parsers.parse_connection_string(value)


@pytest.mark.parametrize(
    ("value", "count"),
    [("1048576", 2**20), ("1 MiB", 2**20), ("1mb", 2**20), ("1.5g", 3 * 2**29), (" 2 TiB ", 2**41), (2**20, 2**20),
     ("1024k", 2**20), (1048576.5, 2**20)],
)  # fmt: skip
def test_size(value: object, count: int) -> None:
    """Sizes are bytes, or have a unit of 1024."""
    assert parsers.parse_size(value) == count


@pytest.mark.parametrize(("value", "level"), [("info", 20), ("WARN", 30), ("25", 25), (7, 7), ("NotSet", 0)])
def test_level(value: object, level: int) -> None:
    """Levels are names in any case, or numbers."""
    assert parsers.parse_level(value) == level


def test_a_connection_string_shows_no_token() -> None:
    """The token in the endpoint of `amllog serve` is masked where the setting is shown."""
    token = "YLCUSDmAM7094Ne091OWtdHt31KCT99HWxBPgOHJZco"
    target = parsers.parse_connection_string(
        f"InstrumentationKey={KEY};IngestionEndpoint=http://127.0.0.1:9/{token}/"
    )
    assert repr(target) == "<ConnectionString: http://127.0.0.1:9/***>"
