"""Who is asking: the Authorization header becomes an Actor, or the reason why not."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import IPv6Address, ip_address

from flask import Flask, Request, Response, g, request
from flask.typing import ResponseReturnValue

from api.access_tokens import read_access_token
from api.problems import problem
from api.routing import is_api_path
from core.errors import DomainError, ErrorCode, UnauthenticatedError
from core.extensions import jwt as jwt_manager
from core.ids import API_TOKEN_PREFIX
from core.logs import request_id
from services import credentials
from services.actors import Actor, Via

CREDENTIAL_PARAMETERS = frozenset({"token", "access_token", "jwt"})
SCHEME = "bearer"
IPV6_SITE_BITS = 64


class Auth(StrEnum):
    """Whether an operation wants a credential."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NONE = "none"


class TokenInUrlError(DomainError):
    """A credential came in the query string, where logs keep it."""

    code = ErrorCode.TOKEN_IN_URL


@dataclass(frozen=True)
class Identity:
    """The outcome of looking at the credential: an actor, a refusal, or neither."""

    actor: Actor | None = None
    refusal: UnauthenticatedError | None = None

    @property
    def key(self) -> str:
        """Name whom to count calls for; failures and anonymous calls count for the address."""
        if self.actor is None:
            return f"address:{address_group(client_address())}"
        return actor_key(self.actor)


def actor_key(actor: Actor) -> str:
    """Return a stable name of the credential's holder for counters and stored answers."""
    if actor.via is Via.TOKEN:
        return f"token:{actor.token_id}"
    return f"user:{actor.user_id}"


def identify(auth: Auth) -> Identity:
    """Look at the Authorization header; cookies never count.

    An operation with optional authentication treats an unusable credential as none.
    """
    if auth is Auth.NONE:
        return Identity()
    try:
        g.relevo_actor = actor = _authenticate(request)
        return Identity(actor=actor)
    except UnauthenticatedError as refusal:
        return Identity() if auth is Auth.OPTIONAL else Identity(refusal=refusal)


def known_actor() -> Actor | None:
    """Return who was found behind the credential of this request, if anybody was."""
    actor = g.get("relevo_actor")
    return actor if isinstance(actor, Actor) else None


def credential_expires_at(actor: Actor) -> datetime:
    """Return when the credential of this request ends: a session's access token ends before it.

    Raises:
        UnauthenticatedError: it has ended already.
    """
    if actor.via is Via.TOKEN and actor.expires_at is not None:
        return actor.expires_at
    return datetime.fromtimestamp(read_access_token(_bearer_token(request)).expires_at, UTC)


def client_address() -> str | None:
    """Return the address of the client; ProxyFix has replaced it when proxies are trusted."""
    return request.remote_addr


def address_group(address: str | None) -> str:
    """Return `address`, an IPv6 one as its /64: a single customer owns all of that."""
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return "unknown"
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(int(parsed) >> IPV6_SITE_BITS << IPV6_SITE_BITS)}/{IPV6_SITE_BITS}"


def register(app: Flask) -> None:
    """Refuse credentials in addresses, and give Flask-JWT-Extended our shape of errors."""
    app.before_request(_refuse_credentials_in_url)
    app.after_request(_add_warnings)
    answers = {
        jwt_manager.unauthorized_loader: (ErrorCode.TOKEN_MISSING, "A token is needed."),
        jwt_manager.invalid_token_loader: (ErrorCode.TOKEN_INVALID, "The token is not valid."),
        jwt_manager.expired_token_loader: (ErrorCode.TOKEN_EXPIRED, "The token has expired."),
        jwt_manager.revoked_token_loader: (ErrorCode.TOKEN_REVOKED, "The token was revoked."),
        jwt_manager.needs_fresh_token_loader: (ErrorCode.TOKEN_INVALID, "Log in again."),
        jwt_manager.user_lookup_error_loader: (ErrorCode.TOKEN_INVALID, "Nobody has this token."),
    }
    for loader, (code, detail) in answers.items():
        loader(_answer(code, detail))


def _answer(code: ErrorCode, detail: str):  # type: ignore[no-untyped-def]  # any loader's shape
    def answer(*_ignored: object) -> Response:
        return problem(code, detail)

    return answer


def _refuse_credentials_in_url() -> ResponseReturnValue | None:
    if not request.query_string or not is_api_path(request.path):
        return None
    if CREDENTIAL_PARAMETERS & request.args.keys():
        raise TokenInUrlError(
            "Never put a credential in an address; send it as Authorization: Bearer."
        )
    return None


def _add_warnings(response: Response) -> Response:
    """Say what the holder of the credential should know, such as that it expires soon."""
    actor = known_actor()
    for text in actor.warnings if actor is not None else ():
        response.headers.add("Warning", f'299 relevo "{text}"')
    return response


def _authenticate(request: Request) -> Actor:
    token = _bearer_token(request)
    address = client_address()
    if token.startswith(API_TOKEN_PREFIX):
        return credentials.actor_for_token(token=token, address=address, request_id=request_id())
    claims = read_access_token(token)
    return credentials.actor_for_session(
        session_public_id=claims.session_public_id,
        user_id=claims.user_id,
        token_version=claims.token_version,
        address=address,
        request_id=request_id(),
    )


def _bearer_token(request: Request) -> str:
    given = request.headers.get("Authorization")
    if given is None:
        raise UnauthenticatedError(
            "Send Authorization: Bearer with an access token or an API token.",
            code=ErrorCode.TOKEN_MISSING,
        )
    # Of two such headers the server makes one with a comma in it, which is no token.
    scheme, _, token = given.partition(" ")
    if scheme.lower() != SCHEME or not token.strip():
        raise UnauthenticatedError("The Authorization header must be: Bearer <token>.")
    return token.strip()
