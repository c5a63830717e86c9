"""One number from which every random choice of a campaign follows."""

import random
import secrets

_seed = {"value": secrets.randbelow(1_000_000)}


def set_seed(value: int) -> None:
    """Repeat an earlier campaign."""
    _seed["value"] = value


def seed() -> int:
    """Return the number of this run."""
    return _seed["value"]


def generator(purpose: str) -> random.Random:
    """Return a generator for one purpose, independent of how others are used."""
    return random.Random(f"{seed()}/{purpose}")
