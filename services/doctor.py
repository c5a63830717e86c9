"""What could keep an installation from working, looked at from its own host."""

import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from core import serve_lock
from core.clock import utc_now
from core.extensions import site_store
from core.settings import Settings, current_settings
from services import health
from services.health import CheckState
from storage.errors import SplitDeviceError

MIN_FREE_BYTES = 1024 * 1024 * 1024
MIN_FREE_INODES = 50_000
MAX_CLOCK_LAG_SECONDS = 300
OLDEST_SANE_TIME = datetime(2026, 1, 1, tzinfo=UTC)
PRIVATE_BITS = 0o077


class Verdict(StrEnum):
    """How serious a finding is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """One thing that was looked at; `advice` says what to do about it."""

    name: str
    verdict: Verdict
    detail: str
    advice: str | None = None


def examine() -> list[Diagnosis]:
    """Look at everything, and change nothing."""
    settings = current_settings()
    own: list[Callable[[Settings], Diagnosis]] = [
        _python,
        _data_dir,
        _secrets_file,
        _clock,
        _disk,
        _device,
        _proxy,
    ]
    ports = [
        _port(settings, "PORT", settings.port),
        _port(settings, "SITES_PORT", settings.sites_port),
    ]
    return [*(check(settings) for check in own), *ports, *_health()]


def _python(_settings: Settings) -> Diagnosis:
    return _fine("python", sys.version.split()[0])


def _data_dir(settings: Settings) -> Diagnosis:
    state = settings.data_dir.stat()
    if state.st_mode & PRIVATE_BITS:
        return Diagnosis(
            name="data_dir",
            verdict=Verdict.PROBLEM,
            detail=f"{settings.data_dir} can be entered by other users.",
            advice=f"chmod 700 {settings.data_dir}",
        )
    return _fine("data_dir", str(settings.data_dir))


def _secrets_file(settings: Settings) -> Diagnosis:
    path = settings.data_dir / "secrets.env"
    if not path.exists():
        return Diagnosis(
            name="secrets",
            verdict=Verdict.WARNING,
            detail="There is no secrets.env; the keys come from the environment.",
        )
    if path.stat().st_mode & PRIVATE_BITS:
        return Diagnosis(
            name="secrets",
            verdict=Verdict.PROBLEM,
            detail=f"{path} can be read by other users.",
            advice=f"chmod 600 {path}, and make new keys if somebody may have read them",
        )
    return _fine("secrets", str(path))


def _clock(settings: Settings) -> Diagnosis:
    """Compare the clock with the newest file this installation wrote."""
    now = utc_now()
    newest = max(
        (path.stat().st_mtime for path in settings.data_dir.iterdir()), default=now.timestamp()
    )
    if now < OLDEST_SANE_TIME or newest - now.timestamp() > MAX_CLOCK_LAG_SECONDS:
        return Diagnosis(
            name="clock",
            verdict=Verdict.PROBLEM,
            detail=f"It says {now:%Y-%m-%d %H:%M} UTC, which lies before what was written here.",
            advice="Set the clock and let a time service keep it.",
        )
    return _fine("clock", f"{now:%Y-%m-%d %H:%M:%S} UTC")


def _disk(settings: Settings) -> Diagnosis:
    free = os.statvfs(_existing(settings.sites_root))
    free_bytes, free_inodes = free.f_bavail * free.f_frsize, free.f_favail
    few_inodes = free.f_files > 0 and free_inodes < MIN_FREE_INODES
    if free_bytes < MIN_FREE_BYTES or few_inodes:
        return Diagnosis(
            name="disk",
            verdict=Verdict.WARNING,
            detail=f"{free_bytes // 1024**2} MiB and {free_inodes} inodes are free.",
            advice="relevo sites prune, or a larger disk",
        )
    return _fine("disk", f"{free_bytes // 1024**3} GiB free")


def _device(settings: Settings) -> Diagnosis:
    store = site_store()
    store.prepare()
    try:
        store.check_device()
    except SplitDeviceError as error:
        return Diagnosis(
            name="device",
            verdict=Verdict.PROBLEM,
            detail=str(error),
            advice="SITES_ROOT must be one file system without mounts inside.",
        )
    return _fine("device", f"{settings.sites_root} is one file system")


def _proxy(settings: Settings) -> Diagnosis:
    if settings.is_https and not settings.trusted_proxies:
        return Diagnosis(
            name="proxy",
            verdict=Verdict.PROBLEM,
            detail="PUBLIC_URL is https, but TRUSTED_PROXIES is 0.",
            advice="Set TRUSTED_PROXIES to the number of proxies, or all clients share an address.",
        )
    if not settings.is_https and settings.host not in ("127.0.0.1", "::1", "localhost"):
        return Diagnosis(
            name="proxy",
            verdict=Verdict.WARNING,
            detail="The API answers other hosts without TLS; tokens can be read on the way.",
            advice="Put nginx in front: relevo sites nginx-config",
        )
    return _fine("proxy", f"{settings.trusted_proxies} trusted")


def _port(settings: Settings, name: str, port: int) -> Diagnosis:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, port))
        except OSError as error:
            return _taken_port(settings, name, port, error)
    return _fine(name.lower(), f"{port} is free")


def _taken_port(settings: Settings, name: str, port: int, error: OSError) -> Diagnosis:
    if serve_lock.is_taken(settings.data_dir):
        return _fine(name.lower(), f"{port} is used by this installation")
    return Diagnosis(
        name=name.lower(),
        verdict=Verdict.PROBLEM,
        detail=f"{settings.host}:{port} cannot be used: {error.strerror}.",
        advice=f"Set {name} to another port.",
    )


def _health() -> list[Diagnosis]:
    verdicts = {
        CheckState.OK: Verdict.OK,
        CheckState.DEGRADED: Verdict.WARNING,
        CheckState.FAILED: Verdict.PROBLEM,
    }
    return [
        Diagnosis(name=name, verdict=verdicts[check.state], detail=check.detail or "fine")
        for name, check in health.readiness().checks.items()
    ]


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _fine(name: str, detail: str) -> Diagnosis:
    return Diagnosis(name=name, verdict=Verdict.OK, detail=detail)
