from dataclasses import replace
from datetime import timedelta

import time_machine

from core.mail import SmtpServer
from services import token_warnings, tokens
from tests.factories import audit_actions, last_event
from tests.outgoing.post_office import post_office
from tests.people import People
from tests.working import work_off

START = "2026-03-01T12:00:00Z"


def test_the_owner_of_a_token_is_warned_three_times(inside: People) -> None:
    inside.user("ana")
    with (
        post_office() as office,
        time_machine.travel(START, tick=False) as clock,
    ):
        settings = inside.app.extensions["relevo.settings"]
        smtp = SmtpServer.from_url(office.url)
        inside.app.extensions["relevo.settings"] = replace(settings, smtp=smtp)
        made = inside.token("ana", scopes=["requests:read"], expires_in_days=30)
        warnings = []
        for _ in range(31):
            warnings.append(token_warnings.warn() + token_warnings.warn())
            work_off()
            clock.shift(timedelta(days=1))

    assert [day for day, count in enumerate(warnings) if count] == [16, 23, 29]
    assert sum(warnings) == 3
    assert office.recipients == [["ana@example.org"]] * 3
    assert made.row.prefix in str(office.mails[0]["Subject"])
    assert made.token is not None
    assert made.token not in office.mails[0].get_content()


def test_nobody_is_warned_of_what_was_replaced_revoked_or_is_short_anyway(inside: People) -> None:
    inside.user("ana")
    with time_machine.travel(START, tick=False) as clock:
        actor = inside.actor("ana")
        rotated = inside.token("ana", scopes=["requests:read"], expires_in_days=30)
        revoked = inside.token("ana", scopes=["requests:read"], expires_in_days=30)
        inside.token("ana", scopes=["requests:read"], expires_in_days=1)
        tokens.revoke(actor=actor, public_id=revoked.row.public_id)
        tokens.rotate(actor=actor, public_id=rotated.row.public_id, overlap_minutes=60)

        assert token_warnings.warn() == 0
        clock.shift(timedelta(days=17))
        assert token_warnings.warn() == 1  # the successor

    assert last_event().action == "token.expiring"
    assert audit_actions().count("token.expiring") == 1
