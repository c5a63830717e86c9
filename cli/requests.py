"""`relevo requests`: look at requests and decide them on the host."""

import dataclasses

import click

from cli.output import EXIT_CODES, Answer, answering, table
from cli.parameters import bounded
from core.clock import isoformat
from models.requests import ChangeRequest, RequestState
from services import (
    credentials,
    request_execution,
    request_reviews,
    request_views,
    requests,
    users,
)
from services.actors import Actor, Via, cli_actor
from services.paging import MAX_PER_PAGE, PageRequest
from services.request_views import RequestView
from services.requests import RequestFilter

STATES = click.Choice([state.value for state in RequestState])
AS_HELP = "Whose verdict it is; nobody approves their own request."


@click.group("requests", epilog=EXIT_CODES)
def command() -> None:
    """List, show, approve, reject and carry out requests."""


@command.command("list")
@click.option("--state", type=STATES, help="Only those in this state.")
@click.option("--site", help="Only those about this site.")
@answering
def list_all(state: str | None, site: str | None) -> Answer:
    """List requests, newest first."""
    views = _all(RequestFilter(state=RequestState(state) if state else None, site=site))
    rows = [
        ("NUMBER", "STATE", "TYPE", "SITE", "BY", "TITLE"),
        *(
            (
                str(view.number),
                view.state,
                view.type,
                view.site or "-",
                view.requester or view.via,
                view.title,
            )
            for view in views
        ),
    ]
    return Answer(document={"items": views}, lines=table(rows) if views else ["No requests."])


@command.command("show")
@click.argument("number", type=click.IntRange(min=1))
@answering
def show(number: int) -> Answer:
    """Show one request."""
    actor = cli_actor()
    view = _view(actor, requests.get_request(actor=actor, number=number))
    when = isoformat(view.created_at)
    lines = [
        f"{view.number}: {view.title}",
        f"{view.type}, {view.state}, filed {when} by {view.requester or view.via}",
        f"Approvals: {view.approvals} of {view.required_approvals}",
    ]
    if view.payload:
        lines += [f"{name}: {value}" for name, value in view.payload.items() if value is not None]
    lines += [
        f"Changed: {change['field']} was {change['old']}, is {change['new']}"
        for change in view.changed or ()
    ]
    return Answer(document=view, lines=lines)


@command.command("approve")
@click.argument("number", type=click.IntRange(min=1))
@click.option("--as", "username", required=True, help=AS_HELP)
@click.option("--comment", type=bounded(2000), help="For the record.")
@answering
def approve(number: int, username: str, comment: str | None) -> Answer:
    """Approve a request in the name of somebody who may."""
    actor = _person(username)
    request = request_reviews.approve(actor=actor, number=number, comment=comment)
    return _told(actor, request)


@command.command("reject")
@click.argument("number", type=click.IntRange(min=1))
@click.option("--as", "username", required=True, help=AS_HELP)
@click.option("--reason", required=True, type=bounded(2000), help="Why not.")
@answering
def reject(number: int, username: str, reason: str) -> Answer:
    """Reject a request in the name of somebody who may."""
    actor = _person(username)
    return _told(actor, request_reviews.reject(actor=actor, number=number, reason=reason))


@command.command("execute")
@click.argument("number", type=click.IntRange(min=1))
@answering
def execute(number: int) -> Answer:
    """Carry out an approved request now."""
    actor = cli_actor()
    return _told(actor, request_execution.execute(actor=actor, number=number))


def _all(wanted: RequestFilter) -> list[RequestView]:
    actor, views, number = cli_actor(), [], 1
    while True:
        page = requests.list_requests(
            actor=actor, page=PageRequest(page=number, per_page=MAX_PER_PAGE), wanted=wanted
        )
        views += request_views.describe(actor=actor, requests=page.items)
        if page.next is None:
            return views
        number = page.next


def _person(username: str) -> Actor:
    """Return somebody with the rights they have, at the command line."""
    user = users.get_user(actor=cli_actor(), username=username)
    actor = credentials.actor_for_user(
        user_id=user.id, session_id=None, address=None, request_id=None
    )
    return dataclasses.replace(actor, via=Via.CLI)


def _view(actor: Actor, request: ChangeRequest) -> RequestView:
    return request_views.describe(actor=actor, requests=[request])[0]


def _told(actor: Actor, request: ChangeRequest) -> Answer:
    view = _view(actor, request)
    line = f"Request {view.number} is {view.state}."
    if view.waits_for is not None:
        line += f" It waits: {view.waits_for}."
    return Answer(document=view, lines=[line])
