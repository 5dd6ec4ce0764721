"""The cache of azureml's service addresses.

azureml caches the addresses in a file below HOME. If it cannot write that file, it requests them ten times.
"""

from __future__ import annotations

import os
from typing import Any


def cache_addresses() -> None:
    """Cache the addresses in memory if azureml cannot write its file. Nothing is written to the disk."""
    from azureml._base_sdk_common.service_discovery import CachedServiceDiscovery as Discovery

    (path,) = getattr(Discovery.__init__, "__defaults__", None) or ("",)
    folder = os.path.dirname(path)
    parent = folder if os.path.exists(folder) else os.path.dirname(folder)
    is_writable = os.path.isdir(parent) and os.access(parent, os.W_OK)
    if path and not is_writable and Discovery.get_cached_services_uris.__module__ != __name__:
        Discovery.get_cached_services_uris = _cached_method()


def _cached_method() -> Any:
    cache: dict[tuple[object, ...], Any] = {}

    def addresses(
        self: Any, arm_scope: str, service_name: str, unique_id: Any = None, discovery_url: Any = None
    ) -> Any:
        key = (arm_scope, unique_id, discovery_url)
        if service_name not in cache.get(key, ()):
            cache[key] = self.discover_services_uris_from_arm_scope(arm_scope, discovery_url)
        return cache[key]

    return addresses
