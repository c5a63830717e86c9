"""Two hundred and more ways to ask for a file outside of a site."""

from itertools import product

CANARY = b"canary-7f3a: nobody outside may read this"

_PARENTS = [
    "..",
    "%2e%2e",
    "%2E%2e",
    ".%2e",
    "%2e.",
    "%252e%252e",
    "%c0%ae%c0%ae",
    "%e0%80%ae%e0%80%ae",
    "%uff0e%uff0e",
    "%ef%bc%8e%ef%bc%8e",
    "..%00",
    "..;",
]
_SEPARATORS = ["/", "%2f", "%5c", "%252f", "%c0%af", "//"]
_TARGETS = ["canary.txt", "{release}/../../../../canary.txt"]

_OTHERS = [
    "//canary.txt",
    "///etc/passwd",
    "//etc/passwd",
    "/%2fetc%2fpasswd",
    "/etc/passwd%00.html",
    "/index.html%00../../canary.txt",
    "/index.html/../../../../canary.txt",
    "/docs/../../../../canary.txt",
    "/docs/..%2f..%2f..%2f..%2fcanary.txt",
    "/./canary.txt",
    "/%2e/canary.txt",
    "/....//....//canary.txt",
    "/..../canary.txt",
    "/.../canary.txt",
    "/\\..\\..\\canary.txt",
    "/..\\canary.txt",
    "/file:///etc/passwd",
    "/~root/canary.txt",
    "/../.hosts/web.localhost/index.html",
    "/%2e%2e/%2e%2e/manifests",
    "/.state/main.json",
    "/../main/index.html/../../canary.txt",
    "/canary.txt/..",
    "/?file=../../canary.txt",
    "/link.txt",
    "/linked/canary.txt",
    "/linked",
    "/linked/",
    "/loop/loop/loop/canary.txt",
    "/pipe",
]


def traversal_payloads() -> list[str]:
    """Return request targets, raw as they go over the wire."""
    climbs = [
        "/" + (parent + separator) * depth + target.format(release="docs")
        for parent, separator, depth, target in product(_PARENTS, _SEPARATORS, (1, 3), _TARGETS)
    ]
    return climbs + _OTHERS
