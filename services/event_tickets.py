"""Tickets for sockets: a browser cannot send its credential with one, and addresses are logged.

A ticket is good once, for half a minute. Behind it stands the credential that asked for it, with
all its limits; when that ends, the socket ends.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from core.clock import utc_now
from core.errors import ErrorCode, UnauthenticatedError
from core.ids import hash_secret, new_secret
from models.engine import db
from models.event_tickets import EventTicket
from models.sessions import UserSession
from models.users import User
from services.actors import Actor
from services.credentials import actor_for_session, actor_for_token_id
from services.transaction import changed_rows, end_reading, transaction

TICKET_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class IssuedTicket:
    """A ticket and when it ends; the only copy."""

    ticket: str
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class Holder:
    """The credential behind a ticket that was handed in; asked again while a socket lives."""

    user_id: int
    token_version: int
    credential_expires_at: datetime
    session_public_id: str | None
    token_id: int | None

    def actor(self, *, address: str | None, request_id: str | None) -> Actor:
        """Return who that is now.

        Raises:
            UnauthenticatedError: the credential has expired or was revoked.
        """
        if self.credential_expires_at <= utc_now():
            raise UnauthenticatedError("The credential has expired.", code=ErrorCode.TOKEN_EXPIRED)
        if self.token_id is not None:
            return actor_for_token_id(
                token_id=self.token_id, address=address, request_id=request_id
            )
        return actor_for_session(
            session_public_id=self.session_public_id or "",
            user_id=self.user_id,
            token_version=self.token_version,
            address=address,
            request_id=request_id,
        )


def issue(*, actor: Actor, credential_expires_at: datetime) -> IssuedTicket:
    """Make a ticket for the credential in use."""
    ticket, expires_at = new_secret(), utc_now() + timedelta(seconds=TICKET_SECONDS)
    with transaction() as session:
        version = session.scalar(select(User.token_version).where(User.id == actor.user_id))
        row = EventTicket(
            ticket_hash=hash_secret(ticket),
            user_id=actor.user_id,
            session_id=actor.session_id,
            token_id=actor.token_id,
            token_version=version,
            credential_expires_at=credential_expires_at,
            expires_at=expires_at,
        )
        session.add(row)
    return IssuedTicket(ticket=ticket, expires_at=expires_at)


def redeem(*, ticket: str) -> Holder:
    """Take a ticket in; of two callers with the same one the second is refused.

    Raises:
        UnauthenticatedError: unknown, used or expired.
    """
    row = db.session.execute(
        select(EventTicket, UserSession.public_id)
        .outerjoin(UserSession, UserSession.id == EventTicket.session_id)
        .where(EventTicket.ticket_hash == hash_secret(ticket))
    ).first()
    end_reading()
    if row is None:
        raise _refused()
    found, session_public_id = row
    with transaction():
        taken = changed_rows(delete(EventTicket).where(EventTicket.id == found.id))
    if taken != 1 or found.expires_at <= utc_now():
        raise _refused()
    return Holder(
        user_id=found.user_id,
        token_version=found.token_version,
        credential_expires_at=found.credential_expires_at,
        session_public_id=session_public_id,
        token_id=found.token_id,
    )


def _refused() -> UnauthenticatedError:
    return UnauthenticatedError("The ticket is unknown, used or expired; ask for another one.")
