"""Which events webhooks can be told of, and which of them a webhook asked for."""

import re
from collections.abc import Sequence

from core.errors import FieldError, InvalidInputError

EVERYTHING = "*"
TEST_TOPIC = "webhook.test"

# What happens to sites and what belongs to them: for whoever may manage webhooks there.
SITE_GROUPS = frozenset(
    {
        "approval_policy",
        "backup",
        "database",
        "environment",
        "job",
        "member",
        "promotion",
        "release",
        "request",
        "site",
        "tag",
        "webhook",
    }
)
# What the audit trail tells of people and of the installation: only for whoever may read it.
AUDIT_GROUPS = frozenset(
    {
        "access",
        "contact",
        "installation",
        "invitation",
        "password",
        "reset",
        "role",
        "server",
        "session",
        "token",
        "totp",
        "user",
    }
)
_PATTERN = re.compile(r"(?P<group>[a-z]+(_[a-z]+)*)\.(\*|[a-z]+(_[a-z]+)*)")
MAX_TOPICS = 30


def check_topics(*, topics: Sequence[str], on_site: bool) -> None:
    """Refuse topics that no event of this webhook can have.

    Raises:
        InvalidInputError: with a pointer to each of them.
    """
    known = SITE_GROUPS if on_site else SITE_GROUPS | AUDIT_GROUPS
    errors = [
        FieldError(f"/topics/{index}", "unknown", _refusal(known))
        for index, topic in enumerate(topics)
        if topic != EVERYTHING and _group(topic) not in known
    ]
    if errors:
        raise InvalidInputError("The input was refused.", errors=errors)


def needs_audit(topics: Sequence[str]) -> bool:
    """Tell whether such a webhook would hear what only readers of the audit trail may know."""
    return any(_group(topic) in AUDIT_GROUPS for topic in topics)


def wants(topics: Sequence[str], topic: str) -> bool:
    """Tell whether one of the patterns meets this topic; `*` is everything about sites."""
    group = topic.partition(".")[0]
    if EVERYTHING in topics and group in SITE_GROUPS:
        return True
    return topic in topics or f"{group}.*" in topics


def _group(topic: str) -> str | None:
    match = _PATTERN.fullmatch(topic)
    return match["group"] if match else None


def _refusal(known: frozenset[str]) -> str:
    return f"Must be *, or a group with .* or one event of it: {', '.join(sorted(known))}."
