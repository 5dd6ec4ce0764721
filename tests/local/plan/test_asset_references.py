"""Tests of references to assets and addresses."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from amllog.local.plan.asset_references import Fit, fitting_key, name_of, normalize

STORE = "azureml://datastores/blobs/paths"
LONG = "azureml://subscriptions/s/resourcegroups/g/workspaces/w/datastores/blobs/paths"


@pytest.mark.parametrize(
    ("reference", "normal", "name"),
    [
        ("azureml:credit@latest", "credit@latest", "credit"),
        ("azureml:credit:3", "credit:3", "credit"),
        ("credit", "credit", "credit"),
        ("azureml://registries/azureml/environments/sklearn-1.5/labels/latest", "sklearn-1.5@latest", "sklearn-1.5"),
        ("azureml://registries/r/data/d/versions/4", "d:4", "d"),
        ("azureml://locations/l/workspaces/w/data/d/versions/4", "d:4", "d"),
        (f"{LONG}/a/b.csv", f"{STORE}/a/b.csv", f"{STORE}/a/b.csv"),
        ("https://h/a.csv?sig=secret", "https://h/a.csv", "https://h/a.csv"),
        ("wasbs://c@a.blob.core.windows.net/x", "wasbs://c@a.blob.core.windows.net/x", "wasbs://c@a.blob.core.windows.net/x"),
    ],
)  # fmt: skip
def test_normal_form(reference: str, normal: str, name: str) -> None:
    """References to the same data have the same form, and their key has neither a version nor a signature."""
    assert (normalize(reference), name_of(reference)) == (normal, name)


@pytest.mark.parametrize(
    ("reference", "keys", "fit"),
    [
        ("azureml:credit@latest", ["credit"], Fit("credit")),
        ("azureml:credit:2", ["azureml:credit"], Fit("azureml:credit")),
        ("azureml:credit:2", ["credit", "credit:2"], Fit("credit:2")),
        ("azureml:credit@latest", ["azureml:credit@latest", "credit"], Fit("azureml:credit@latest")),
        ("azureml:credit:2", ["credit:1", "credit@latest", "cred"], None),
        ("azureml://registries/r/data/d/versions/4", ["d"], Fit("d")),
        (f"{STORE}/a/b%20c.csv", [STORE, f"{STORE}/a/"], Fit(f"{STORE}/a/", "b c.csv")),
        (f"{LONG}/a/b.csv", [f"{STORE}/"], Fit(f"{STORE}/", "a/b.csv")),
        (f"{STORE}/ab.csv", [f"{STORE}/a"], None),
        (f"{STORE}/a/", [f"{STORE}/a"], Fit(f"{STORE}/a")),
        ("https://h/data/x.csv?sig=s", ["https://h/data/"], Fit("https://h/data/", "x.csv")),
        ("https://h/data/x.csv", ["h", "data", "https://other/"], None),
    ],
)
def test_most_specific_key(reference: str, keys: list[str], fit: Fit | None) -> None:
    """The most specific key fits: the reference, the name with its version, the name, or the longest beginning."""
    assert fitting_key(reference, keys) == fit


@settings(max_examples=50, deadline=None)
@given(st.text(), st.lists(st.text(), max_size=3))
def test_any_text(reference: str, keys: list[str]) -> None:
    """Any strings give a fit or None, and a reference fits itself."""
    fit = fitting_key(reference, keys)
    assert fit is None or fit.key in keys
    assert fitting_key(reference, [reference]) is not None
