"""Tests of virtual environments that are built from conda files."""

from __future__ import annotations

from pathlib import Path

from amllog.local.plan.virtual_environments import cache_directory


def test_the_cache_is_in_the_users_cache(tmp_path: Path) -> None:
    """The cache is below XDG_CACHE_HOME if it is an absolute path, otherwise below the home directory."""
    home = {"HOME": "/home/u"}
    assert cache_directory({**home, "XDG_CACHE_HOME": "/c"}) == Path("/c/amllog/environments")
    assert cache_directory({**home, "XDG_CACHE_HOME": "c"}) == Path("/home/u/.cache/amllog/environments")
