"""The web server in front of Relevo: its shipped configuration with the present settings."""

import re
from urllib.parse import urlsplit

from core.errors import InvalidInputError
from core.settings import Settings, current_settings

TEMPLATE = ("deploy", "nginx", "relevo.conf")
MARK = " # CHANGE"
MIB = 1024 * 1024
MIN_READ_SECONDS = 300
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # nosec B104  # replaced
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._+@-]+")


def nginx_configuration() -> str:
    """Return `deploy/nginx/relevo.conf` for the paths, names, ports and limits set here.

    What the settings do not tell (certificates, the port of nginx) stays marked `# CHANGE`.

    Raises:
        InvalidInputError: SITES_ROOT has characters that nginx would have to have quoted.
    """
    settings = current_settings()
    root = str(settings.sites_root.resolve())
    if not _PLAIN_PATH.fullmatch(root):
        raise InvalidInputError.field(
            "/SITES_ROOT", "nginx needs a path of letters, digits and /._+@- only.", code="path"
        )
    template = settings.root_dir.joinpath(*TEMPLATE).read_text(encoding="utf-8")
    return "".join(_line(line, settings, root) for line in template.splitlines(keepends=True))


def is_closed_to_nginx() -> bool:
    """Tell whether SITES_ROOT lies inside DATA_DIR, which only its owner may enter."""
    settings = current_settings()
    return settings.sites_root.resolve().is_relative_to(settings.data_dir.resolve())


def _line(line: str, settings: Settings, root: str) -> str:
    rendered = line
    for placeholder, value in _replacements(settings, root, is_pattern='"~' in line):
        rendered = rendered.replace(placeholder, value)
    return rendered if rendered == line else rendered.replace(MARK, "")


def _replacements(settings: Settings, root: str, *, is_pattern: bool) -> list[tuple[str, str]]:
    name = urlsplit(settings.public_url).hostname or settings.host
    host = EVERYWHERE.get(settings.host, settings.host)
    upstream = f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}"
    read_seconds = max(MIN_READ_SECONDS, 2 * settings.max_wait_seconds)
    return [
        ("/var/lib/relevo/sites", re.escape(root) if is_pattern else root),
        (r"sites\.example\.org", re.escape(settings.sites_domain)),
        ("sites.example.org", settings.sites_domain),
        ("relevo.example.org", name),
        ("127.0.0.1:8000", upstream),
        ("client_max_body_size 1100m", f"client_max_body_size {_body_mib(settings)}m"),
        ("proxy_read_timeout 300s", f"proxy_read_timeout {read_seconds}s"),
    ]


def _body_mib(settings: Settings) -> int:
    """Return a little more than MAX_UPLOAD_BYTES, so that Relevo gives the reason of a refusal."""
    return settings.max_upload_bytes * 107 // 100 // MIB + 1
