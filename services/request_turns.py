"""One person's turn at a request: locked, looked at again, and changed in one unit of work."""

from collections.abc import Iterator
from contextlib import contextmanager

from models.requests import ChangeRequest
from services import request_access, request_expiry, request_guards, request_log
from services.actors import Actor
from services.request_moves import Action
from services.transaction import transaction


def find(*, actor: Actor, number: int) -> ChangeRequest:
    """Return a request to be changed; one whose time is over ends here, as by the clock.

    Raises:
        NotFoundError: there is none, or it may not be seen.
    """
    request = request_access.find_request(actor=actor, number=number)
    if request_expiry.is_over(request=request):
        request_expiry.end_if_over(number=number)
        request = request_access.find_request(actor=actor, number=number)
    return request


@contextmanager
def turn(*, actor: Actor, number: int, action: Action) -> Iterator[ChangeRequest]:
    """Open a unit of work on a request that the actor may see and do this to.

    Raises:
        NotFoundError: there is none, or it may not be seen.
        ForbiddenError: this is not for the actor.
        ConflictError: the state does not allow it.
    """
    find(actor=actor, number=number)
    with transaction():
        request = request_log.locked(number=number)
        request_guards.require(actor=actor, request=request, action=action)
        yield request
