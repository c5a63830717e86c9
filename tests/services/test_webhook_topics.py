import re
from pathlib import Path

import pytest

from core.errors import InvalidInputError
from services.webhook_topics import AUDIT_GROUPS, SITE_GROUPS, check_topics, wants

SERVICES = Path(__file__).resolve().parents[2] / "services"
ACTION = re.compile(r"""action=f?"([a-z_]+)\.""")


def test_every_event_belongs_to_a_group_that_can_be_asked_for() -> None:
    groups = {group for path in SERVICES.glob("*.py") for group in ACTION.findall(path.read_text())}

    assert groups - SITE_GROUPS - AUDIT_GROUPS == set()
    assert SITE_GROUPS.isdisjoint(AUDIT_GROUPS)


@pytest.mark.parametrize(
    ("topics", "topic", "wanted"),
    [
        (["*"], "promotion.failed", True),
        (["*"], "approval_policy.created", True),
        (["*"], "user.created", False),
        (["promotion.*"], "promotion.failed", True),
        (["promotion.*"], "release.created", False),
        (["promotion.failed"], "promotion.succeeded", False),
        (["user.*", "release.created"], "user.created", True),
    ],
)
def test_a_pattern_meets_its_events(topics: list[str], topic: str, wanted: bool) -> None:
    assert wants(topics, topic) is wanted


def test_a_webhook_of_a_site_cannot_ask_for_people() -> None:
    check_topics(topics=["user.*"], on_site=False)

    with pytest.raises(InvalidInputError):
        check_topics(topics=["user.*"], on_site=True)
