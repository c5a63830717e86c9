"""API_RATE_LIMIT: counted for each credential, or for the address of anonymous calls.

A call is counted after the credential was looked at and before it is answered, so that the
limit is one for each actor, however many access tokens a session was given. Refused credentials
count for the address: inventing tokens avoids nothing, and beyond the limit the answer is 429
whether the credential is good or not.
"""

from flask import g, request
from flask.wrappers import Response

from api.routing import is_api_path
from api.security import Identity
from core.errors import ThrottledError
from core.limits import RateState, hit
from core.settings import current_settings

_STATE = "relevo_rate"


def count_call(identity: Identity) -> None:
    """Count this call; `refuse_when_exceeded` decides later in the order of checks."""
    setattr(g, _STATE, hit(identity.key, current_settings().api_rate_limit))


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
    if not is_api_path(request.path):
        return response
    if not hasattr(g, _STATE):
        count_call(Identity())
    state: RateState = getattr(g, _STATE)
    headers = response.headers
    headers.add("X-RateLimit-Limit", state.limit)
    headers.add("X-RateLimit-Remaining", state.remaining)
    headers.add("X-RateLimit-Reset", state.reset_seconds)
    return response
