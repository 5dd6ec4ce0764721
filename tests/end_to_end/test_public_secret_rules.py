"""Secrets that the public rules of detect-secrets find are masked, also those of new releases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins.base import RegexBasedDetector
from hypothesis import HealthCheck, Phase, assume, given, settings, strategies as st

from amllog.record.redaction import Redactor

ASCII = st.characters(min_codepoint=32, max_codepoint=126)
UNHURRIED: Any = {"suppress_health_check": list(HealthCheck)}
SHORTEST = 16  # characters of a random value: no provider documents a shorter one
# Rules that amllog does not support, with the reason.
EXCLUDED = {
    "IPPublicDetector": "an address is no secret",
    "PrivateKeyDetector": "the rule is the first line of a key, which holds nothing of it",
    "JwtTokenDetector": "it accepts valid tokens only, which no pattern makes; test_redaction has them",
    "KeywordDetector": "a list of names for source code; record/secrets/test_named_secrets.py has ours",
    "Base64HighEntropyString": "by entropy alone, hashes and run ids are secrets",
    "HexHighEntropyString": "by entropy alone, hashes and run ids are secrets",
}
IMPRECISE = re.compile(
    r"\\"  # a backslash, which a rule matches by mistake
    r"|^.?A(?:KC.{0,12}|P.{0,13}).?$"  # shorter than SHORTEST, while an Artifactory key has 73 characters
    r"|^\W*[-_]*[kK][eE][yY]"  # `key` alone is no sign of a secret
    r"|^.?AP[A-Za-z]*.?$"  # an encrypted password without a digit is a word
    r"|^xox.-.{0,15}$"  # tokens of Slack are longer
    r"|services/T[^/]?/"  # identifiers of a workspace are longer
)
# Rules by name that also match prose such as `password  "word"`. Here they need a sign of assignment.
PROSE = {"CloudantDetector", "IbmCloudIamDetector", "IbmCosHmacDetector", "SoftlayerDetector"}
KINDS: dict[str, Any] = {kind.__name__: kind for kind in get_mapping_from_secret_type_to_class().values()}


def rules() -> Iterator[Any]:
    """Yield each rule that is a pattern, with its detector, in the spelling of its provider."""
    for name, kind in sorted(KINDS.items()):
        if name not in EXCLUDED:
            for number, pattern in enumerate(kind.denylist):
                flags = pattern.flags & ~re.IGNORECASE
                strict = pattern.pattern.replace("api.softlayer.com", r"api\.softlayer\.com")
                strict = strict.replace("v3.1", r"v3\.1")  # the intended meaning of the rule
                yield pytest.param(kind(), re.compile(strict, flags), id=f"{name}-{number}")


def test_every_detector_is_a_pattern_or_excluded() -> None:
    """A new release has no detector that is neither a pattern nor excluded."""
    assert {name for name, kind in KINDS.items() if not issubclass(kind, RegexBasedDetector)} <= set(EXCLUDED)
    assert set(EXCLUDED) <= set(KINDS)


@pytest.mark.parametrize(("detector", "pattern"), rules())
def test_secrets_of_a_rule_are_masked(detector: Any, pattern: re.Pattern[str]) -> None:
    """No value that the detector finds in a string of its pattern remains after masking."""
    mask, checked, name = Redactor().mask, [], type(detector).__name__

    @settings(max_examples=30, deadline=None, derandomize=True, phases=[Phase.generate], **UNHURRIED)
    @given(st.from_regex(pattern, fullmatch=True, alphabet=ASCII))
    def check(text: str) -> None:
        secrets = list(detector.analyze_string(text))
        assume(secrets and not IMPRECISE.search(text))
        secrets = [value for value in secrets if len(value) >= SHORTEST] or [
            text
        ]  # some report the prefix only
        assume(name not in PROSE or "=" in text or ":" in text)
        checked.append(text)
        masked = mask(text)
        assert [value for value in secrets if value in masked] == [], masked

    check()
    assert checked
