"""New run ids in the formats of the service.

Jobs of SDK v2 have names of two words and ten characters. Their steps, and all runs of SDK v1, have GUIDs. The id of a
sweep in a pipeline is `HD_<guid>`. A trial has the id of its sweep and a number.
"""

from __future__ import annotations

import secrets
import uuid

_CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
_ADJECTIVES = (
    "amber", "bold", "brave", "bright", "calm", "clever", "cool", "coral", "crisp", "dapper", "eager", "fair", "frosty",
    "gentle", "golden", "green", "happy", "honest", "jolly", "keen", "kind", "lively", "lucid", "mellow", "modest",
    "neat", "nimble", "noble", "olive", "patient", "plain", "polite", "quick", "quiet", "red", "salty", "silver",
    "smart", "steady", "sunny", "teal", "tender", "tidy", "upbeat", "warm", "wise", "witty", "yellow",
)  # fmt: skip
_NOUNS = (
    "anchor", "apple", "arch", "barley", "basket", "beacon", "bell", "bridge", "brush", "candle", "carrot", "cart",
    "cherry", "cloud", "comet", "drum", "fern", "fig", "garden", "glove", "hill", "island", "jacket", "kettle", "lamp",
    "leaf", "lemon", "map", "melon", "moon", "nest", "oven", "pear", "pencil", "pipe", "plum", "pond", "queen",
    "rain", "river", "sail", "seed", "spoon", "stone", "tent", "tree", "vase", "wheel",
)  # fmt: skip


def new_job_id() -> str:
    """Return a new id of a job of SDK v2: `<adjective>_<noun>_<ten characters>`."""
    random = "".join(secrets.choice(_CHARACTERS) for _ in range(10))
    return f"{secrets.choice(_ADJECTIVES)}_{secrets.choice(_NOUNS)}_{random}"


def new_run_name() -> str:
    """Return a name for a run of MLflow without a name: `<adjective>-<noun>-<number>`, as MLflow makes it."""
    return f"{secrets.choice(_ADJECTIVES)}-{secrets.choice(_NOUNS)}-{secrets.randbelow(1000)}"


def new_guid() -> str:
    """Return a new id of a step, or of a run of SDK v1."""
    return str(uuid.uuid4())


def new_sweep_id() -> str:
    """Return a new id of a sweep that is a step of a pipeline."""
    return f"HD_{uuid.uuid4()}"


def trial_id(sweep_run_id: str, number: int) -> str:
    """Return the id of a trial. Trials are counted from 0."""
    return f"{sweep_run_id}_{number}"
