"""How long browsers and proxies may keep an answer without asking again.

`deploy/nginx/relevo.conf` holds the same two rules in its map `$relevo_cache_by_name`.
"""

import re

REVALIDATE = "no-cache"
FOREVER = "public, max-age=31536000, immutable"

# Eight or more hex digits before the extension, letters and figures mixed: dates and
# numbers are not hashes, and neither is a word such as "facade".
_HEX_HASH = re.compile(
    r"[._-](?=[0-9a-f]*[a-f])(?=[0-9a-f]*[0-9])[0-9a-f]{8,64}(?:\.[A-Za-z0-9]{1,12}){1,2}$"
)
# Vite and Rollup: eight characters of base64url; only in the files that bundlers write, and
# only with small, capital and figure together, because "report-december.pdf" is a name.
_BASE64_HASH = re.compile(
    r"[.-](?=[A-Za-z0-9_-]*[a-z])(?=[A-Za-z0-9_-]*[A-Z])(?=[A-Za-z0-9_-]*[0-9])"
    r"[A-Za-z0-9_-]{8}\.(?:js|mjs|css|woff2?)(?:\.map)?$"
)


def cache_control(path: str, content_type: str) -> str:
    """Return the header for a file that is served with status 200.

    Pages are always asked for again, so that a promotion shows at once; a file whose name
    carries a hash of its content never changes; everything else is asked for again and costs a
    304.
    """
    if content_type.startswith("text/html"):
        return REVALIDATE
    if _HEX_HASH.search(path) or _BASE64_HASH.search(path):
        return FOREVER
    return REVALIDATE
