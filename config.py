"""Fill the frozen Settings: the only module that reads the environment.

A value comes from the process environment, then from `DATA_DIR/secrets.env`. A bad value stops
the process with the name of its variable. `docs/configuration.md` describes every entry of
VARIABLES; a test compares the two.
"""

import os
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from importlib import import_module
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from dotenv import dotenv_values
from limits import parse as parse_rate

from core.keys_file import KEY_NAMES, SECRETS_FILE, KeysFile
from core.mail import SmtpServer, is_mail_address
from core.settings import DocsAccess, LogFormat, RunMode, SettingError, Settings

T = TypeVar("T")

MIB = 1024 * 1024
GIB = 1024 * MIB
ROOT_DIR = Path(__file__).resolve().parent
MIN_KEY_BYTES = 32
FERNET_KEY_BYTES = 32
LOCAL = "localhost"
SAMPLE_KEYS = ("changethis", "change-me", "changeme", "secret", "top-secret", "example", "sample")
DEVELOPMENT_ORIGINS = ("http://localhost:3000", "http://localhost:5173", "http://127.0.0.1:5173")
DATABASE_DRIVERS = {
    "sqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mysql+pymysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "mariadb+pymysql": "mysql+pymysql",
}
DATABASE_URL_FORMS = (
    "sqlite:////path/to/file, postgresql://user:password@host/name or "
    "mariadb://user:password@host/name"
)
REDIS_SCHEMES = ("redis", "rediss", "unix")
REDIS_URL_FORMS = "redis://:password@host:6379/0, rediss://... with TLS, or unix:///path/to/socket"
AMQP_SCHEMES = ("amqp", "amqps")
BROKER_URL_FORMS = "redis://:password@host:6379/0 or amqp://user:password@host:5672/name"
DATABASE_NUMBER = re.compile(r"(/\d{0,5})?$")

DEFAULTS: dict[str, str] = {
    "ENVIRONMENT": "production",
    "HOST": "127.0.0.1",
    "PORT": "8000",
    "SITES_PORT": "8080",
    "SITES_DOMAIN": "localhost",
    "PUBLIC_URL": "",
    "TRUSTED_PROXIES": "0",
    "DATA_DIR": "./var",
    "DATABASE_URL": "",
    "REDIS_URL": "",
    "CELERY_BROKER_URL": "",
    "SITES_ROOT": "",
    "BACKUPS_ROOT": "",
    "SECRET_KEY": "",
    "JWT_KEYS": "",
    "FIELD_KEYS": "",
    "ADMIN_USERNAME": "admin",
    "ADMIN_PASSWORD": "",
    "ADMIN_EMAIL": "admin@localhost",
    "CORS_ORIGINS": "",
    "DOCS_ACCESS": "public",
    "METRICS_TOKEN": "",
    "API_RATE_LIMIT": "600/minute",
    "LOGIN_RATE_LIMIT": "10/minute",
    "MAX_JSON_BYTES": str(MIB),
    "MAX_UPLOAD_BYTES": str(GIB),
    "MAX_RELEASE_BYTES": str(GIB),
    "MAX_RELEASE_FILES": "20000",
    "MAX_FILE_BYTES": str(100 * MIB),
    "MAX_PATH_DEPTH": "64",
    "INLINE_RELEASE_FILES": "2000",
    "INLINE_RELEASE_BYTES": str(50 * MIB),
    "INLINE_PRUNE_FILES": "2000",
    "MAX_WAIT_SECONDS": "50",
    "MAX_LISTENERS_PER_USER": "0",
    "ACCESS_TOKEN_MINUTES": "15",
    "REFRESH_TOKEN_DAYS": "14",
    "SESSION_MAX_DAYS": "90",
    "TOKEN_MAX_DAYS": "365",
    "WEB_WORKERS": "2",
    "WEB_THREADS": "4",
    "CLIENT_SECONDS": "20",
    "CLIENT_BYTES_PER_SECOND": "500",
    "WORKER_THREADS": "2",
    "JOB_LEASE_SECONDS": "60",
    "WEBHOOK_ALLOWED_CIDRS": "",
    "SMTP_URL": "",
    "MAIL_FROM": "",
    "SHUTDOWN_SECONDS": "30",
    "LOG_FORMAT": "json",
    "LOG_LEVEL": "INFO",
    "FAILPOINT": "",
}

NOT_BUILT_YET: dict[str, str] = {
    "BLOB_STORE_URL": "storing blobs in a bucket",
    "ADOPT_ROOTS": "adopting an existing docroot",
    "DATABASES_SQLITE_ROOTS": "the databases resource",
    "DATABASES_ALLOWED_CIDRS": "the databases resource",
}


def load_settings(
    environ: Mapping[str, str] | None = None, *, keys: KeysFile | None = None
) -> Settings:
    """Read every setting, check it and return the frozen result.

    Args:
        environ: replaces the process environment, for tests.
        keys: count as if they were in DATA_DIR already.

    Raises:
        SettingError: a value is unusable, a secret is missing or weak in production, or a
            setting belongs to a feature that is not built yet.
    """
    given = dict(os.environ if environ is None else environ)
    data_dir = Path(given.get("DATA_DIR") or DEFAULTS["DATA_DIR"]).expanduser().resolve()
    stored = {k: v for k, v in dotenv_values(data_dir / SECRETS_FILE).items() if v is not None}
    stored |= keys.values if keys is not None else {}
    reader = _Reader({**DEFAULTS, **stored, **{k: v for k, v in given.items() if v != ""}})
    reader.refuse_unbuilt()
    try:
        settings = _read(reader, data_dir)
        _check_secrets(settings)
    except SettingError as error:
        if keys is None or not str(error).startswith(KEY_NAMES):
            raise
        raise SettingError(f"{keys.path}: {error}") from None
    return settings


def _read(reader: "_Reader", data_dir: Path) -> Settings:
    host, port = reader.text("HOST"), reader.number("PORT", 1, 65535)
    development = reader.one_of("ENVIRONMENT", RunMode) is RunMode.DEVELOPMENT
    return Settings(
        environment=reader.one_of("ENVIRONMENT", RunMode),
        host=host,
        port=port,
        sites_port=reader.number("SITES_PORT", 1, 65535),
        sites_domain=reader.matching("SITES_DOMAIN", r"[a-z0-9]([a-z0-9.-]{0,188}[a-z0-9])?"),
        public_url=reader.url("PUBLIC_URL") or f"http://localhost:{port}",
        trusted_proxies=reader.number("TRUSTED_PROXIES", 0, 16),
        data_dir=data_dir,
        database_url=reader.database_url(f"sqlite:///{data_dir / 'relevo.db'}"),
        redis_url=checked_redis_url(reader.text("REDIS_URL")) or None,
        celery_broker_url=checked_broker_url(reader.text("CELERY_BROKER_URL")) or None,
        sites_root=reader.path("SITES_ROOT", data_dir / "sites"),
        backups_root=reader.path("BACKUPS_ROOT", data_dir / "backups"),
        root_dir=ROOT_DIR,
        secret_key=reader.text("SECRET_KEY"),
        jwt_keys=reader.words("JWT_KEYS"),
        field_keys=reader.fernet_keys("FIELD_KEYS"),
        admin_username=reader.matching("ADMIN_USERNAME", r"[a-z0-9]([a-z0-9._-]{0,38}[a-z0-9])?"),
        admin_password=reader.text("ADMIN_PASSWORD") or None,
        admin_email=reader.text("ADMIN_EMAIL"),
        cors_origins=reader.origins("CORS_ORIGINS") or (DEVELOPMENT_ORIGINS if development else ()),
        docs_access=reader.one_of("DOCS_ACCESS", DocsAccess),
        metrics_token=reader.text("METRICS_TOKEN") or None,
        api_rate_limit=reader.rate("API_RATE_LIMIT"),
        login_rate_limit=reader.rate("LOGIN_RATE_LIMIT"),
        max_json_bytes=reader.number("MAX_JSON_BYTES", 1024, GIB),
        max_upload_bytes=reader.number("MAX_UPLOAD_BYTES", 1024, 1024 * GIB),
        max_release_bytes=reader.number("MAX_RELEASE_BYTES", 1024, 1024 * GIB),
        max_release_files=reader.number("MAX_RELEASE_FILES", 1, 10_000_000),
        max_file_bytes=reader.number("MAX_FILE_BYTES", 1024, 1024 * GIB),
        max_path_depth=reader.number("MAX_PATH_DEPTH", 1, 256),
        inline_release_files=reader.number("INLINE_RELEASE_FILES", 0, 10_000_000),
        inline_release_bytes=reader.number("INLINE_RELEASE_BYTES", 0, 1024 * GIB),
        inline_prune_files=reader.number("INLINE_PRUNE_FILES", 0, 10_000_000),
        max_wait_seconds=reader.number("MAX_WAIT_SECONDS", 0, 600),
        max_listeners_per_user=reader.number("MAX_LISTENERS_PER_USER", 0, 64),
        access_token_minutes=reader.number("ACCESS_TOKEN_MINUTES", 1, 24 * 60),
        refresh_token_days=reader.number("REFRESH_TOKEN_DAYS", 1, 365),
        session_max_days=reader.number("SESSION_MAX_DAYS", 1, 3650),
        token_max_days=reader.number("TOKEN_MAX_DAYS", 1, 3650),
        web_workers=reader.number("WEB_WORKERS", 1, 64),
        web_threads=reader.number("WEB_THREADS", 1, 64),
        client_seconds=reader.number("CLIENT_SECONDS", 1, 3600),
        client_bytes_per_second=reader.number("CLIENT_BYTES_PER_SECOND", 1, 1_000_000),
        worker_threads=reader.number("WORKER_THREADS", 1, 64),
        job_lease_seconds=reader.number("JOB_LEASE_SECONDS", 1, 3600),
        webhook_allowed_cidrs=reader.networks("WEBHOOK_ALLOWED_CIDRS"),
        smtp=reader.smtp_server("SMTP_URL"),
        mail_from=reader.mail_from("MAIL_FROM"),
        shutdown_seconds=reader.number("SHUTDOWN_SECONDS", 1, 3600),
        log_format=reader.one_of("LOG_FORMAT", LogFormat),
        log_level=reader.matching("LOG_LEVEL", r"DEBUG|INFO|WARNING|ERROR"),
        failpoint=reader.text("FAILPOINT") or None,
    )


def _check_secrets(settings: Settings) -> None:
    if not settings.is_production:
        return
    for name, key in [("SECRET_KEY", settings.secret_key), *_jwt_secrets(settings)]:
        if len(key.encode()) < MIN_KEY_BYTES or _is_sample(key):
            raise SettingError(
                f"{name} is missing, shorter than {MIN_KEY_BYTES} bytes or a sample value; "
                "make real keys with: relevo secrets generate"
            )
    if not settings.field_keys:
        raise SettingError("FIELD_KEYS is missing; make keys with: relevo secrets generate")


def _jwt_secrets(settings: Settings) -> list[tuple[str, str]]:
    if not settings.jwt_keys:
        return [("JWT_KEYS", "")]
    return [("JWT_KEYS", key.partition(":")[2]) for key in settings.jwt_keys]


def _is_sample(key: str) -> bool:
    lowered = key.lower()
    return any(sample in lowered for sample in SAMPLE_KEYS) or len(set(key)) < 8


class _Reader:
    """Turn words into values and complain with the name of the variable."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def refuse_unbuilt(self) -> None:
        for name, feature in NOT_BUILT_YET.items():
            if self._values.get(name):
                raise SettingError(f"{name} is set, but {feature} is not built yet; unset it")

    def text(self, name: str) -> str:
        return self._values[name].strip()

    def number(self, name: str, smallest: int, largest: int) -> int:
        return self._parse(name, lambda text: _bounded(int(text), smallest, largest))

    def one_of(self, name: str, kind: Callable[[str], T]) -> T:
        return self._parse(name, kind)

    def matching(self, name: str, pattern: str) -> str:
        value = self.text(name)
        if not re.fullmatch(pattern, value):
            raise SettingError(f"{name} must match {pattern}")
        return value

    def words(self, name: str) -> tuple[str, ...]:
        return tuple(word for word in re.split(r"[,\s]+", self.text(name)) if word)

    def path(self, name: str, default: Path) -> Path:
        value = self.text(name)
        return Path(value).expanduser().resolve() if value else default

    def rate(self, name: str) -> str:
        self._parse(name, parse_rate)
        return self.text(name)

    def url(self, name: str) -> str:
        value = self.text(name).rstrip("/")
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.path):
            raise SettingError(f"{name} must look like https://relevo.example.org")
        return value

    def origins(self, name: str) -> tuple[str, ...]:
        for origin in self.words(name):
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.path:
                raise SettingError(f"{name} must list origins such as https://app.example.org")
        return self.words(name)

    def networks(self, name: str) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(self._parse_value(name, ip_network, word) for word in self.words(name))

    def smtp_server(self, name: str) -> SmtpServer | None:
        try:
            return SmtpServer.from_url(self.text(name)) if self.text(name) else None
        except ValueError as error:  # its message has no password in it
            raise SettingError(f"{name} {error}") from None

    def mail_from(self, name: str) -> str:
        if self.text(name) and not is_mail_address(self.text(name)):
            raise SettingError(f"{name} must be an e-mail address such as relevo@example.org")
        return self.text(name) or f"relevo@{urlsplit(self.url('PUBLIC_URL')).hostname or LOCAL}"

    def database_url(self, default: str) -> str:
        text = self.text("DATABASE_URL")
        return normal_database_url(text) if text else default

    def fernet_keys(self, name: str) -> tuple[str, ...]:
        for key in self.words(name):
            self._parse_value(name, _fernet_key, key)
        return self.words(name)

    def _parse(self, name: str, convert: Callable[[str], T]) -> T:
        return self._parse_value(name, convert, self.text(name))

    def _parse_value(self, name: str, convert: Callable[[str], T], text: str) -> T:
        try:
            return convert(text)
        except ValueError as error:
            shown = "a secret value" if name in ("FIELD_KEYS",) else f"{text!r}"
            raise SettingError(f"{name} cannot be {shown}: {error}") from None


def _fernet_key(text: str) -> bytes:
    key = urlsafe_b64decode(text)
    if len(key) != FERNET_KEY_BYTES:
        raise ValueError(f"it must be {FERNET_KEY_BYTES} bytes in URL-safe base64")
    return key


def normal_database_url(text: str) -> str:
    """Return the address of the database with the driver that ships.

    Raises:
        SettingError: it is no address, names another kind of database, or names none; the
            message has no password in it.
    """
    # By name: the visitors' process has no use for it, and would load it for longer than the rest.
    sqlalchemy = import_module("sqlalchemy")
    try:
        url = sqlalchemy.make_url(text)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise SettingError(f"DATABASE_URL must look like {DATABASE_URL_FORMS}") from None
    if url.drivername not in DATABASE_DRIVERS:
        kind = url.drivername if re.fullmatch(r"[a-z0-9+]{1,40}", url.drivername) else "that"
        raise SettingError(f"DATABASE_URL cannot be {kind}; it must be {DATABASE_URL_FORMS}")
    if not url.database or (url.drivername == "sqlite" and url.host):
        raise SettingError(f"DATABASE_URL names no database; it must be {DATABASE_URL_FORMS}")
    if url.drivername == "sqlite":
        return text
    url = url.set(drivername=DATABASE_DRIVERS[url.drivername])
    if url.drivername == "mysql+pymysql":
        url = url.update_query_dict({"charset": "utf8mb4"})
    return str(url.render_as_string(hide_password=False))


def checked_redis_url(text: str) -> str:
    """Return the address of Redis as it was given; empty when there is none.

    Raises:
        SettingError: it is no such address; the message has no password in it.
    """
    if text and not _is_redis_url(text):
        raise SettingError(f"REDIS_URL must look like {REDIS_URL_FORMS}")
    return text


def checked_broker_url(text: str) -> str:
    """Return the address of the message broker as it was given; empty when there is none.

    Raises:
        SettingError: it is no such address; the message has no password in it.
    """
    is_redis = _is_redis_url(text) and not text.startswith("unix")
    if text and not is_redis and not _is_amqp_url(text):
        raise SettingError(f"CELERY_BROKER_URL must look like {BROKER_URL_FORMS}")
    return text


def _is_amqp_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in AMQP_SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_redis_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        if parts.scheme == "unix":
            return bool(parts.path)
        is_place = bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets or a port that are none
        return False
    return parts.scheme in REDIS_SCHEMES and is_place and bool(DATABASE_NUMBER.match(parts.path))


def _bounded(value: int, smallest: int, largest: int) -> int:
    if not smallest <= value <= largest:
        raise ValueError(f"it must be between {smallest} and {largest}")
    return value
