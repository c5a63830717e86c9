"""API_RATE_LIMIT: counted for each credential, or for the address of anonymous calls.

A call is counted after the credential was looked at and before it is answered, so that the
limit is one for each actor, however many access tokens a session was given. Refused credentials
count for the address: inventing tokens avoids nothing, and beyond the limit the answer is 429
whether the credential is good or not.
"""

from flask import g
from flask.globals import request_ctx
from flask.wrappers import Response

from api.headers import FURTHER_HEADERS
from api.routing import is_api_path
from api.security import Identity
from core.errors import ThrottledError
from core.limits import RateState, hit
from core.settings import current_settings

_STATE = "relevo_rate"


def count_call(identity: Identity) -> RateState:
    """Count this call; `refuse_when_exceeded` decides later in the order of checks."""
    state = hit(identity.key, current_settings().api_rate_limit)
    setattr(g, _STATE, state)
    return state


def refuse_when_exceeded() -> None:
    """Refuse when the limit was exceeded.

    Raises:
        ThrottledError: with the seconds until the window ends.
    """
    state: RateState = getattr(g, _STATE)
    if state.exceeded:
        raise ThrottledError(
            f"More than {state.limit} calls; wait.", retry_after_seconds=state.reset_seconds
        )


def add_headers(response: Response) -> Response:
    """Tell every caller of the API what is left, also where no operation was reached."""
    asked = request_ctx.request
    if not is_api_path(asked.path):
        return response
    state: RateState | None = g.get(_STATE)
    if state is None:
        state = count_call(Identity())
    asked.environ[FURTHER_HEADERS] = [
        ("X-RateLimit-Limit", str(state.limit)),
        ("X-RateLimit-Remaining", str(state.remaining)),
        ("X-RateLimit-Reset", str(state.reset_seconds)),
    ]
    return response
