"""Who asked for a job: noted when it is made, looked up again when it is done.

In between somebody may have been deactivated, lost a role or had a token revoked. A session that
has ended since does not matter: what was asked for goes on after logging out.
"""

from core.errors import ErrorCode, UnauthenticatedError
from models.jobs import Job
from services import credentials
from services.actors import Actor, Via, cli_actor, system_actor


def columns_of(*, actor: Actor) -> dict[str, object]:
    """Return what a job keeps of whoever asked for it."""
    return {
        "user_id": actor.user_id,
        "via": actor.via.value,
        "token_id": actor.token_id,
        "session_id": actor.session_id,
        "address": actor.address,
        "request_id": actor.request_id,
    }


def actor_of(job: Job) -> Actor:
    """Return whoever asked for a job, with the rights they have now.

    Raises:
        UnauthenticatedError: the user was deactivated, or the token revoked or has expired.
    """
    via = Via(job.via)
    if via is Via.SYSTEM:
        return system_actor(request_id=job.request_id)
    if via is Via.CLI:
        return cli_actor(user_id=job.user_id)
    if via is Via.TOKEN:
        return credentials.actor_for_token_id(
            token_id=job.token_id or 0, address=job.address, request_id=job.request_id
        )
    if job.user_id is None:
        raise UnauthenticatedError("The user is gone.", code=ErrorCode.TOKEN_REVOKED)
    return credentials.actor_for_user(
        user_id=job.user_id,
        session_id=job.session_id,
        address=job.address,
        request_id=job.request_id,
    )
