"""From a Host header to the one release it shows at this moment."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from storage.layout import Layout

MAIN_ENVIRONMENT = "main"

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_PORT = re.compile(r":[0-9]{0,5}\Z")
_NAME = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DIGEST = r"[0-9a-f]{64}"
_HOST_TARGET = re.compile(
    rf"\.\./(?P<slug>{_NAME})/(?:releases/(?P<digest>{_DIGEST})|(?P<environment>{_NAME}))"
)
_POINTER_TARGET = re.compile(rf"releases/(?P<digest>{_DIGEST})")


@dataclass(frozen=True, slots=True)
class Pointed:
    """The release a host shows; `environment` is None when the host names the release itself."""

    slug: str
    digest: str
    environment: str | None

    @property
    def is_listed(self) -> bool:
        """True when search engines may know the host: only main is public on purpose."""
        return self.environment == MAIN_ENVIRONMENT

    @property
    def short_digest(self) -> str:
        """The sixteen digits that `X-Release` and the hosts of releases carry."""
        return self.digest[:16]


def host_name(header: str) -> str | None:
    """Return the lower-case name in a Host header, or None when it cannot be one.

    International names arrive in their ASCII form (`xn--`), as browsers send them.
    """
    name = _PORT.sub("", header.strip().lower()).removesuffix(".")
    return name if _HOST.fullmatch(name) and ".." not in name else None


def find_release(layout: Layout, host: str) -> Pointed | None:
    """Read which release `host` shows; nothing is remembered between two calls.

    A link that does not have exactly the form that storage writes counts as absent, so that a
    planted one leads nowhere.

    Args:
        host: a name that `host_name` returned.
    """
    match = _HOST_TARGET.fullmatch(_read_link(layout.hosts / host))
    if match is None:
        return None
    slug, digest, environment = match.group("slug", "digest", "environment")
    if environment is None:
        return Pointed(slug, digest, None)
    pointer = _POINTER_TARGET.fullmatch(_read_link(layout.root / slug / environment))
    return Pointed(slug, pointer["digest"], environment) if pointer else None


def _read_link(path: Path) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - pathlib tidies up what it returns
    except OSError:
        return ""
