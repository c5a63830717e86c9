"""What a case of the corpus is."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class HostileCase:
    """An archive that must be refused; `rule` is the slug or the setting that is named."""

    name: str
    build: Callable[[], bytes]
    rule: str


@dataclass(frozen=True)
class LegalCase:
    """An archive that must be taken, and the files that must come out of it."""

    name: str
    build: Callable[[], bytes]
    files: dict[str, bytes] = field(default_factory=dict)
