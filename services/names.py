"""The forms of names, as the API promises them."""

import re

SLUG = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"
ENVIRONMENT = r"^[a-z]([a-z0-9-]{0,13}[a-z0-9])?$"
USERNAME = r"^[a-z0-9]([a-z0-9._-]{0,38}[a-z0-9])?$"
HOST = r"^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$"
SLUG_RULE = "Must be a slug: a-z, 0-9 and single hyphens, 40 at most."
ENVIRONMENT_RULE = "Must be a name: a-z, 0-9 and single hyphens, 15 at most."
RESERVED_ENVIRONMENTS = frozenset({"releases", "manifests", "none"})
HOST_DIGEST_LENGTH = 16


def is_slug(text: str) -> bool:
    """Tell whether `text` can name a site; `--` is kept for hosts of environments."""
    return re.fullmatch(SLUG, text) is not None and "--" not in text


def is_environment(text: str) -> bool:
    """Tell whether `text` can name an environment."""
    fits = re.fullmatch(ENVIRONMENT, text) is not None and "--" not in text
    return fits and text not in RESERVED_ENVIRONMENTS


def is_domain(text: str) -> bool:
    """Tell whether `text` can be a site's own domain: a host name with a dot, and no address.

    A last part of digits alone makes an address of it for browsers (WHATWG URL, 3.5).
    """
    return is_host(text) and "." in text and not text.rpartition(".")[2].isdigit()


def is_host(text: str) -> bool:
    """Tell whether `text` is a host name in lower case, without a port."""
    return re.fullmatch(HOST, text) is not None
