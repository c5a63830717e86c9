"""The settings of one process, read once and never changed.

`config.py` fills this from the environment; `docs/configuration.md` describes every entry.
"""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from flask import current_app

from core.mail import SmtpServer


class SettingError(Exception):
    """A setting has a value that cannot be used; the message begins with its name."""


class RunMode(StrEnum):
    """What kind of installation this is."""

    PRODUCTION = "production"
    DEVELOPMENT = "development"


class DocsAccess(StrEnum):
    """Who may read `/swagger`, `/redoc` and the documents behind them."""

    PUBLIC = "public"
    LOGIN = "login"
    OFF = "off"


class LogFormat(StrEnum):
    """How log lines are written."""

    JSON = "json"
    CONSOLE = "console"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be configured; units are in the names."""

    environment: RunMode
    host: str
    port: int
    sites_port: int
    sites_domain: str
    public_url: str
    trusted_proxies: int
    data_dir: Path
    database_url: str
    redis_url: str | None
    celery_broker_url: str | None
    sites_root: Path
    backups_root: Path
    root_dir: Path
    """Where the program itself lies: migrations and the starter site are below it."""
    secret_key: str
    jwt_keys: tuple[str, ...]
    """Signing keys, `kid:secret`; the first one signs, all of them verify."""
    field_keys: tuple[str, ...]
    """Fernet keys for fields and stored answers; the first one encrypts, all of them decrypt."""
    admin_username: str
    admin_password: str | None
    admin_email: str
    cors_origins: tuple[str, ...]
    docs_access: DocsAccess
    metrics_token: str | None
    api_rate_limit: str
    login_rate_limit: str
    max_json_bytes: int
    max_upload_bytes: int
    max_release_bytes: int
    max_release_files: int
    max_file_bytes: int
    max_path_depth: int
    inline_release_files: int
    inline_release_bytes: int
    inline_prune_files: int
    max_wait_seconds: int
    max_listeners_per_user: int
    access_token_minutes: int
    refresh_token_days: int
    session_max_days: int
    token_max_days: int
    web_workers: int
    web_threads: int
    client_seconds: int
    """How long a client may be silent while it sends a request or takes an answer."""
    client_bytes_per_second: int
    worker_threads: int
    job_lease_seconds: int
    webhook_allowed_cidrs: tuple[IPv4Network | IPv6Network, ...]
    """Networks that webhooks may call although they are not public."""
    smtp: SmtpServer | None
    """Where mail is handed in; None sends none."""
    mail_from: str
    shutdown_seconds: int
    log_format: LogFormat
    log_level: str
    failpoint: str | None
    """Name of the point at which this process kills itself; for crash tests only."""

    @property
    def is_production(self) -> bool:
        """True unless ENVIRONMENT says development."""
        return self.environment is RunMode.PRODUCTION

    @property
    def is_https(self) -> bool:
        """True when clients reach the server by https, as PUBLIC_URL says."""
        return self.public_url.startswith("https://")

    def site_url(self, host: str) -> str:
        """Return the address at which visitors reach `host`.

        Behind TLS the proxy owns the port; without it visitors talk to SITES_PORT.
        """
        return f"https://{host}/" if self.is_https else f"http://{host}:{self.sites_port}/"


def current_settings() -> Settings:
    """Return the settings of the running application."""
    settings = current_app.extensions["relevo.settings"]
    if not isinstance(settings, Settings):
        raise TypeError("the application was made without settings")
    return settings
