"""Where everything lies below the sites folder, and which names may appear in a path."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Concatenate, ParamSpec, cast

from storage.locks import LOCKS_FOLDER

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(_LABEL)
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_KEPT = re.compile(r"kept-[0-9a-f]{16}")
_RESERVED = {"releases", "manifests"}


def checked_slug(slug: str) -> str:
    """Return `slug`, or raise ValueError when it could not be a site's folder."""
    return _checked(_NAME, slug, "slug")


def checked_environment(environment: str) -> str:
    """Return `environment`, or raise ValueError when it could not be a pointer's name."""
    if environment in _RESERVED:
        raise ValueError(f"reserved environment name: {environment}")
    return _checked(_NAME, environment, "environment")


def checked_digest(digest: str) -> str:
    """Return `digest`, or raise ValueError when it is not 64 lower-case hex digits."""
    return _checked(_DIGEST, digest, "digest")


def is_digest(text: str) -> bool:
    """Tell whether `text` has the form of a digest."""
    return _DIGEST.fullmatch(text) is not None


def checked_host(host: str) -> str:
    """Return `host`, or raise ValueError when it is not a lower-case host name."""
    return _checked(_HOST, host, "host")


def _checked(pattern: re.Pattern[str], value: str, kind: str) -> str:
    if not pattern.fullmatch(value):
        raise ValueError(f"not a valid {kind}: {value!r}")
    return value


P = ParamSpec("P")
REMEMBERED_PATHS = 1_024


def _remembered(
    made: Callable[Concatenate["Layout", P], Path],
) -> Callable[Concatenate["Layout", P], Path]:
    """Remember paths that every promotion asks for; what was refused is checked again."""
    remembered = lru_cache(maxsize=REMEMBERED_PATHS)(made)
    return cast(Callable[Concatenate["Layout", P], Path], remembered)


@dataclass(frozen=True)
class Layout:
    """Paths below one sites folder. Every name is checked before it becomes part of one."""

    root: Path

    @cached_property
    def blobs(self) -> Path:
        return self.root / ".blobs"

    @cached_property
    def blobs_lock(self) -> Path:
        return self.blobs / ".lock"

    @cached_property
    def hosts(self) -> Path:
        return self.root / ".hosts"

    @cached_property
    def staging(self) -> Path:
        return self.root / ".staging"

    @cached_property
    def kept(self) -> Path:
        """Uploads that a job will finish."""
        return self.root / ".kept"

    def kept_upload(self, name: str) -> Path:
        return self.kept / _checked(_KEPT, name, "name of an upload")

    @cached_property
    def staging_lock(self) -> Path:
        return self.root / LOCKS_FOLDER / ".staging"

    @_remembered
    def site(self, slug: str) -> Path:
        return self.root / checked_slug(slug)

    @_remembered
    def site_lock(self, slug: str) -> Path:
        """Lies outside of the site, so that it stays one lock when the site is removed."""
        return self.root / LOCKS_FOLDER / f".{checked_slug(slug)}.lock"

    def releases(self, slug: str) -> Path:
        return self.site(slug) / "releases"

    @_remembered
    def release(self, slug: str, digest: str) -> Path:
        return self.releases(slug) / checked_digest(digest)

    def manifests(self, slug: str) -> Path:
        return self.site(slug) / "manifests"

    @_remembered
    def manifest(self, slug: str, digest: str) -> Path:
        return self.manifests(slug) / f"{checked_digest(digest)}.json"

    @_remembered
    def pointer(self, slug: str, environment: str) -> Path:
        return self.site(slug) / checked_environment(environment)

    @_remembered
    def state(self, slug: str) -> Path:
        return self.site(slug) / ".state"

    @_remembered
    def journal(self, slug: str, environment: str) -> Path:
        return self.state(slug) / f"{checked_environment(environment)}.json"

    def variants(self, slug: str) -> Path:
        return self.site(slug) / ".variants"

    def variant(self, slug: str, sha256: str, suffix: str) -> Path:
        return self.variants(slug) / checked_digest(sha256)[:2] / f"{sha256}.{suffix}"

    def host(self, host: str) -> Path:
        return self.hosts / checked_host(host)

    def slugs(self) -> list[str]:
        """Return the sites that have a folder, sorted."""
        found = (entry.name for entry in self.root.iterdir() if entry.is_dir())
        return sorted(name for name in found if _NAME.fullmatch(name))
