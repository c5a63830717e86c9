"""Which files look like secrets that nobody means to publish."""

import re

_NAMES = {
    ".git", ".svn", ".hg", ".bzr", ".htpasswd", ".ssh", ".aws", ".netrc", ".npmrc", ".pypirc",
    ".pgpass", ".my.cnf", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519",
}  # fmt: skip
_SUFFIXES = (".key", ".ppk", ".p12", ".pfx", ".jks", ".keystore")
_MARK = b"PRIVATE KEY-----"
_KEY_LINE = re.compile(rb"^-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----", re.MULTILINE)
_KEY_DATA = re.compile(
    rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?:\\r|\\n|\s|<br ?/?>)*[A-Za-z0-9+/=]{16}"
)


def has_secret_name(path: str) -> bool:
    """Tell whether any part of the path is known to hold secrets."""
    parts = path.lower().split("/")
    return parts[-1].endswith(_SUFFIXES) or any(
        part in _NAMES or part.startswith(".env") for part in parts
    )


def has_secret_content(path: str, chunk: bytes) -> bool:
    """Tell whether a chunk of a file holds a private key.

    A program that only mentions the marker (a JavaScript library does) is not one: outside
    `.pem` files the marker must start a line or be followed by key data.
    """
    if _MARK not in chunk:
        return False
    if path.lower().endswith(".pem"):
        return True
    return bool(_KEY_LINE.search(chunk) or _KEY_DATA.search(chunk))
