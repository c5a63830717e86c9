"""From a name and a password to a session: one answer and one duration for every failure."""

import logging
from dataclasses import dataclass

from sqlalchemy import or_, select, update

from core.clock import utc_now
from core.errors import ErrorCode, UnauthenticatedError
from models.engine import db
from models.users import User
from services import throttle
from services.actors import Actor, Via
from services.audit import Target, record
from services.passwords import Verdict, hash_password, verify
from services.sessions import SignedIn, open_session
from services.throttle import Claim
from services.totp import accept_code
from services.transaction import first_rows, repeatable, transaction

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Client:
    """Where a sign-in comes from."""

    address: str | None
    user_agent: str | None = None
    request_id: str | None = None


def sign_in(*, username: str, password: str, otp: str | None, client: Client) -> SignedIn:
    """Check the credentials and open a session.

    Args:
        username: the user name or the e-mail address.
        otp: the code of the second factor, or one of the recovery codes.

    Raises:
        ThrottledError: too many failures for this name from this address.
        UnauthenticatedError: `otp_required` after a right password of somebody with a second
            factor, `invalid_credentials` for everything else alike.
    """
    account = _account_of(username)
    claimed = throttle.claim(_attempt_key(username, account, client.address))
    verdict = verify(account.password_hash if account else None, password)
    if account is None or not verdict.right or not account.is_active:
        raise _refused(account, client)
    user = db.session.get_one(User, account.id, populate_existing=True)
    if user.totp_enabled:
        if otp is None:
            throttle.give_back(claimed)
            raise UnauthenticatedError(
                "A one-time code is needed as well.", code=ErrorCode.OTP_REQUIRED
            )
        if not accept_code(user=user, otp=otp):
            raise _refused(account, client)
    new_hash = hash_password(password) if verdict.outdated else None
    return _start(user, client, new_hash, claimed)


def check_password(*, username: str, password: str, address: str | None) -> bool:
    """Tell whether this is an active user's password; for HTTP Basic on the documents.

    Somebody with a second factor cannot give it in HTTP Basic and is refused.

    Raises:
        ThrottledError: too many failures for this name from this address.
    """
    account = _account_of(username)
    claimed = throttle.claim(_attempt_key(username, account, address))
    verdict: Verdict = verify(account.password_hash if account else None, password)
    if account is None or not verdict.right or not account.is_active or account.has_totp:
        return False
    throttle.forgive(claimed)
    return True


@dataclass(frozen=True, kw_only=True, slots=True)
class _Account:
    """What signing in looks at first.

    Plain columns: making a whole user would take 0.2 ms longer than finding nobody, and tell.
    """

    id: int
    username: str
    password_hash: str | None
    is_active: bool
    has_totp: bool


def _account_of(login: str) -> _Account | None:
    """Return the account with this user name or e-mail address; names win."""
    name = login.strip().lower()
    columns = (
        User.id,
        User.username,
        User.password_hash,
        User.is_active,
        User.totp_confirmed_at.is_not(None).label("has_totp"),
    )
    rows = first_rows(select(*columns).where(or_(User.username == name, User.email == name)), {})
    found = [_Account(**row._mapping) for row in rows]  # noqa: SLF001  # SQLAlchemy's public name
    return min(found, key=lambda account: account.username != name, default=None)


def _attempt_key(login: str, account: _Account | None, address: str | None) -> str:
    """Return what to count this attempt for: the account, by whichever of its names.

    Names that nobody has are counted as they are.
    """
    name = account.username if account else login
    return throttle.attempt_key(purpose="login", account=name, address=address)


@repeatable()
def _start(user: User, client: Client, new_hash: str | None, claimed: Claim) -> SignedIn:
    with transaction():
        throttle.forgive(claimed)
        return _open(user, client, new_hash)


def _open(user: User, client: Client, new_hash: str | None) -> SignedIn:
    now = utc_now()
    values: dict[str, object] = {"last_login_at": now}
    if new_hash is not None:
        values["password_hash"] = new_hash
    db.session.execute(update(User).where(User.id == user.id).values(values))
    signed_in = open_session(user=user, address=client.address, user_agent=client.user_agent)
    target = Target(type="session", id=signed_in.session.public_id)
    record(actor=_actor(user, client), action="session.created", target=target)
    return signed_in


def _refused(account: _Account | None, client: Client) -> UnauthenticatedError:
    """Write the refusal down and make the one answer for all of them.

    The name that was typed is not kept: it may be a password in the wrong field.
    """
    target = Target(type="user", id=str(account.id) if account else "unknown")
    record(actor=_actor(None, client), action="session.refused", target=target)
    return UnauthenticatedError(
        "The user name or the password is not right.", code=ErrorCode.INVALID_CREDENTIALS
    )


def _actor(user: User | None, client: Client) -> Actor:
    return Actor(
        via=Via.SESSION,
        user_id=user.id if user else None,
        username=user.username if user else None,
        role=None,
        address=client.address,
        request_id=client.request_id,
    )
