"""`/auth`: signing in and out, and what belongs to oneself."""

from typing import Any

from flask import request
from flask_restx import Namespace, Resource

from api.access_tokens import issue_access_token
from api.endpoint import endpoint, no_content
from api.operation import Paging
from api.schemas.auth import (
    LoginIn,
    LogoutIn,
    PasswordIn,
    RecoveryCodesOut,
    RefreshIn,
    ResetIn,
    SessionOut,
    SessionsQuery,
    SignedInOut,
    TotpIn,
    TotpOut,
    TotpRemovalIn,
    WhoamiOut,
)
from api.security import Auth, client_address
from core.errors import ErrorCode, UnauthenticatedError
from core.logs import request_id
from services import invitations, password_changes, sessions, sign_in, totp, whoami
from services.actors import Actor
from services.paging import Page, PageRequest
from services.sessions import SignedIn
from services.totp import Enrolment
from services.whoami import Whoami


class Login(Resource):
    """The door."""

    @endpoint(
        summary="Sign in",
        description="`username` may be the e-mail address. Every failure has the same answer; "
        "`otp_required` comes only after a right password.",
        body=LoginIn,
        response=SignedInOut,
        auth=Auth.NONE,
        errors=(
            ErrorCode.INVALID_CREDENTIALS,
            ErrorCode.OTP_REQUIRED,
            ErrorCode.LOGIN_THROTTLED,
        ),
        example={"username": "ana", "password": "velvet tortoise 81 crane"},
    )
    def post(self, body: dict[str, Any]) -> dict[str, object]:
        """Exchange a password for a session."""
        client = sign_in.Client(
            address=client_address(),
            user_agent=request.headers.get("User-Agent"),
            request_id=request_id(),
        )
        return _pair(
            sign_in.sign_in(
                username=body["username"],
                password=body["password"],
                otp=body.get("otp"),
                client=client,
            )
        )


class Refresh(Resource):
    """The next pair of tokens."""

    @endpoint(
        summary="Refresh the access token",
        description="Each refresh token works once. A second use within 10 seconds is refused; "
        "a later one ends the session.",
        body=RefreshIn,
        response=SignedInOut,
        auth=Auth.NONE,
        errors=(
            ErrorCode.REFRESH_INVALID,
            ErrorCode.REFRESH_REUSED,
            ErrorCode.REFRESH_CONFLICT,
        ),
    )
    def post(self, body: dict[str, Any]) -> dict[str, object]:
        """Exchange a refresh token for the next pair."""
        return _pair(
            sessions.refresh(
                refresh_token=body["refresh_token"],
                address=client_address(),
                request_id=request_id(),
            )
        )


class Logout(Resource):
    """The way out."""

    @endpoint(
        summary="Sign out",
        description="With an expired access token send the refresh token instead.",
        body=LogoutIn,
        status=204,
        auth=Auth.OPTIONAL,
        errors=(
            ErrorCode.TOKEN_MISSING,
            ErrorCode.REFRESH_INVALID,
            ErrorCode.SESSION_REQUIRED,
        ),
    )
    def post(self, actor: Actor | None, body: dict[str, Any]) -> Any:
        """End the session in use."""
        sessions.log_out(actor=_who_leaves(actor, body))
        return no_content()


class LogoutAll(Resource):
    """All ways out."""

    @endpoint(
        summary="Sign out everywhere",
        description="Ends all sessions of the user. API tokens stay.",
        body=LogoutIn,
        status=204,
        auth=Auth.OPTIONAL,
        errors=(
            ErrorCode.TOKEN_MISSING,
            ErrorCode.REFRESH_INVALID,
            ErrorCode.SESSION_REQUIRED,
        ),
    )
    def post(self, actor: Actor | None, body: dict[str, Any]) -> Any:
        """End all sessions."""
        sessions.log_out_everywhere(actor=_who_leaves(actor, body))
        return no_content()


class WhoamiItem(Resource):
    """Oneself."""

    @endpoint(summary="Show what this credential is and may do", response=WhoamiOut)
    def get(self, actor: Actor) -> Whoami:
        """Return the caller in words."""
        return whoami.describe(actor=actor)


class SessionList(Resource):
    """Where one is signed in."""

    @endpoint(
        summary="List own sessions",
        query=SessionsQuery,
        response=SessionOut,
        paging=Paging.PAGE,
        errors=(ErrorCode.SESSION_REQUIRED,),
    )
    def get(self, actor: Actor, page: PageRequest) -> Page[Any]:
        """Return the living sessions of the caller."""
        found = sessions.own_sessions(actor=actor, page=page)
        return found.with_items([_session_view(row, actor) for row in found.items])


class SessionItem(Resource):
    """One sign-in."""

    @endpoint(
        summary="End one of the own sessions",
        status=204,
        errors=(ErrorCode.SESSION_REQUIRED, ErrorCode.NOT_FOUND),
    )
    def delete(self, actor: Actor, id: str) -> Any:
        """End the session."""
        sessions.end_own_session(actor=actor, public_id=id)
        return no_content()


class Password(Resource):
    """One's own password."""

    @endpoint(
        summary="Change the own password",
        description="All other sessions end.",
        body=PasswordIn,
        status=204,
        errors=(ErrorCode.SESSION_REQUIRED, ErrorCode.LOGIN_THROTTLED),
    )
    def put(self, actor: Actor, body: dict[str, Any]) -> Any:
        """Replace the password."""
        password_changes.change_own_password(actor=actor, **body)
        return no_content()


class Totp(Resource):
    """One's own second factor."""

    @endpoint(
        summary="Begin to set up a second factor",
        description="It counts once it was confirmed with a code.",
        response=TotpOut,
        idempotent=False,
        errors=(ErrorCode.SESSION_REQUIRED, ErrorCode.ALREADY_EXISTS),
    )
    def post(self, actor: Actor) -> Enrolment:
        """Make a secret for an authenticator."""
        return totp.begin(actor=actor)

    @endpoint(
        summary="Remove the own second factor",
        description="Needs the password or a code, once the second factor was confirmed.",
        body=TotpRemovalIn,
        status=204,
        errors=(
            ErrorCode.SESSION_REQUIRED,
            ErrorCode.NOT_FOUND,
            ErrorCode.LAST_ADMIN,
            ErrorCode.LOGIN_THROTTLED,
        ),
    )
    def delete(self, actor: Actor, body: dict[str, Any]) -> Any:
        """Sign in without codes from now on."""
        totp.remove_own(actor=actor, **body)
        return no_content()


class TotpConfirmation(Resource):
    """The second step of setting up a second factor."""

    @endpoint(
        summary="Confirm the second factor",
        body=TotpIn,
        response=RecoveryCodesOut,
        idempotent=False,
        errors=(ErrorCode.SESSION_REQUIRED, ErrorCode.ALREADY_EXISTS),
    )
    def post(self, actor: Actor, body: dict[str, Any]) -> dict[str, object]:
        """Turn the second factor on and return the recovery codes."""
        return {"recovery_codes": totp.confirm(actor=actor, otp=body["otp"])}


class Reset(Resource):
    """The end of an invitation or a reset link."""

    @endpoint(
        summary="Set a password with an invitation or a reset link",
        description="The token stands behind `#token=` in the link and works once.",
        body=ResetIn,
        status=204,
        auth=Auth.NONE,
        errors=(ErrorCode.TOKEN_INVALID, ErrorCode.TOKEN_EXPIRED),
    )
    def post(self, body: dict[str, Any]) -> Any:
        """Set the password."""
        invitations.reset_password(
            token=body["token"],
            new_password=body["new_password"],
            address=client_address(),
            request_id=request_id(),
        )
        return no_content()


def _pair(signed_in: SignedIn) -> dict[str, object]:
    token, expires_in = issue_access_token(
        user_id=signed_in.user.id,
        session_public_id=signed_in.session.public_id,
        token_version=signed_in.user.token_version,
    )
    return {
        "access_token": token,
        "refresh_token": signed_in.refresh_token,
        "expires_in": expires_in,
        "user": signed_in.user,
    }


def _who_leaves(actor: Actor | None, body: dict[str, Any]) -> Actor:
    if actor is not None:
        return actor
    if "refresh_token" not in body:
        raise UnauthenticatedError(
            "Send an access token, or the refresh token in the body.",
            code=ErrorCode.TOKEN_MISSING,
        )
    return sessions.actor_for_refresh_token(
        refresh_token=body["refresh_token"], address=client_address(), request_id=request_id()
    )


def _session_view(row: Any, actor: Actor) -> dict[str, object]:  # Any: a row of services.sessions
    return {
        "id": row.public_id,
        "created_at": row.created_at,
        "last_seen_at": row.last_seen_at,
        "address": row.address,
        "user_agent": row.user_agent,
        "current": row.id == actor.session_id,
    }


def namespace() -> Namespace:
    """Return the routes below `/auth`."""
    routes = Namespace("auth", description="Signing in, and what belongs to oneself", path="/auth")
    routes.add_resource(Login, "/login")
    routes.add_resource(Refresh, "/refresh")
    routes.add_resource(Logout, "/logout")
    routes.add_resource(LogoutAll, "/logout-all")
    routes.add_resource(WhoamiItem, "/whoami")
    routes.add_resource(SessionList, "/sessions")
    routes.add_resource(SessionItem, "/sessions/<id>")
    routes.add_resource(Password, "/password")
    routes.add_resource(Totp, "/totp")
    routes.add_resource(TotpConfirmation, "/totp/confirm")
    routes.add_resource(Reset, "/reset")
    return routes
