"""The permissions there are, the roles that ship, and the presets of tokens."""

from dataclasses import dataclass
from enum import StrEnum

PERMISSIONS: dict[str, str] = {
    "admin": "Everything, on everything, and what only administrators may do.",
    "users:read": "See all users and their contacts.",
    "users:write": "Create, change, deactivate and erase users.",
    "roles:write": "Create, change and delete roles.",
    "members:write": "Add, change and remove the members of a site.",
    "audit:read": "Read and verify the audit trail.",
    "sites:read": "See sites, environments, releases and promotions.",
    "sites:write": "Create, change, prune and delete sites.",
    "environments:write": "Create, change, lock and delete environments.",
    "releases:write": "Upload, mark and delete releases.",
    "promotions:write": "Promote a release to an environment.",
    "promotions:rollback": "Roll an environment back.",
    "requests:read": "See requests.",
    "requests:write": "File, change and comment on requests.",
    "requests:review": "Approve and reject requests of other people.",
    "requests:execute": "Carry out approved requests.",
    "requests:override": "Approve alone in an emergency, with a review afterwards.",
    "databases:read": "See databases, their schema and their health.",
    "databases:write": "Register, change and link databases.",
    "databases:query": "Run reading queries on databases.",
    "databases:backup": "Back databases up.",
    "databases:restore": "Restore databases.",
    "databases:reveal": "See the credentials of databases.",
    "databases:download": "Download backups of databases.",
    "databases:provision": "Create databases on database servers.",
    "servers:write": "Register and change database servers.",
    "jobs:read": "See jobs and their logs.",
    "stats:read": "See statistics.",
    "webhooks:write": "Create and change webhooks.",
}


class RoleKind(StrEnum):
    """Where a role applies."""

    GLOBAL = "global"
    SITE = "site"


class TokenPreset(StrEnum):
    """Named sets of scopes for tokens."""

    UPLOAD = "upload"
    DEPLOY = "deploy"
    READ = "read"


@dataclass(frozen=True)
class ShippedRole:
    """A role that every installation starts with."""

    name: str
    kind: RoleKind
    description: str
    permissions: frozenset[str]
    sees_all_sites: bool = False


# Rights over the whole installation: a token that is limited to sites carries none of them.
GLOBAL_SCOPES = frozenset(
    {"admin", "users:read", "users:write", "roles:write", "audit:read", "servers:write"}
)

READ_SCOPES = frozenset(scope for scope in PERMISSIONS if scope.endswith(":read"))

_MAINTAINER = frozenset(
    scope
    for scope in PERMISSIONS
    if scope.split(":")[0]
    in {
        "sites",
        "members",
        "environments",
        "releases",
        "promotions",
        "requests",
        "databases",
        "servers",
        "jobs",
        "stats",
        "webhooks",
    }
) | {"users:read"}

_OWNER = frozenset(
    [
        "sites:read",
        "sites:write",
        "members:write",
        "environments:write",
        "releases:write",
        "promotions:write",
        "promotions:rollback",
        "requests:read",
        "requests:write",
        "requests:review",
        "requests:execute",
        "databases:read",
        "databases:write",
        "databases:query",
        "databases:backup",
        "databases:restore",
        "jobs:read",
        "stats:read",
        "webhooks:write",
    ]
)
_DEPLOYER = frozenset(
    [
        "sites:read",
        "releases:write",
        "promotions:write",
        "promotions:rollback",
        "requests:read",
        "requests:write",
        "requests:execute",
        "databases:read",
        "databases:backup",
        "jobs:read",
    ]
)
_REVIEWER = frozenset(
    [
        "sites:read",
        "requests:read",
        "requests:write",
        "requests:review",
        "databases:read",
        "jobs:read",
    ]
)
_READER = frozenset(["sites:read", "requests:read", "databases:read"])

DEFAULT_ROLE = "member"
ADMIN_ROLE = "admin"
MAKER_SITE_ROLE = "owner"

SHIPPED_ROLES: tuple[ShippedRole, ...] = (
    ShippedRole(
        ADMIN_ROLE, RoleKind.GLOBAL, "Everything, on everything.", frozenset(PERMISSIONS), True
    ),
    ShippedRole(
        "maintainer",
        RoleKind.GLOBAL,
        "All sites, requests, databases, jobs, statistics and webhooks.",
        _MAINTAINER,
        True,
    ),
    ShippedRole(
        "auditor", RoleKind.GLOBAL, "Reads everything, changes nothing.", READ_SCOPES, True
    ),
    ShippedRole(
        DEFAULT_ROLE,
        RoleKind.GLOBAL,
        "Own requests, and what memberships of sites add.",
        frozenset({"requests:read", "requests:write"}),
    ),
    ShippedRole("owner", RoleKind.SITE, "Everything on one site.", _OWNER),
    ShippedRole("deployer", RoleKind.SITE, "Uploads, promotes and rolls back.", _DEPLOYER),
    ShippedRole("reviewer", RoleKind.SITE, "Reviews requests.", _REVIEWER),
    ShippedRole("reader", RoleKind.SITE, "Reads one site.", _READER),
)

SITE_SCOPES = _OWNER | _DEPLOYER | _REVIEWER | _READER

_UPLOAD = frozenset({"sites:read", "releases:write", "jobs:read"})

PRESETS: dict[TokenPreset, frozenset[str]] = {
    TokenPreset.UPLOAD: _UPLOAD,
    TokenPreset.DEPLOY: _UPLOAD | {"promotions:write", "promotions:rollback", "requests:write"},
    TokenPreset.READ: READ_SCOPES,
}
