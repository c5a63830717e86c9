"""Resources that exist in tests only: one for everything the decorator does."""

import errno
import sqlite3
import time
from typing import Any, NoReturn

from flask_restx import Namespace, Resource
from marshmallow import Schema, ValidationError, fields, validate
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import Forbidden, ServiceUnavailable

from api.endpoint import endpoint, no_content
from api.operation import Paging, Upload
from api.paging import CursorQuery, PageQuery, SearchField, SortField
from api.representations import Answer
from api.security import Auth
from core.clock import utc_now
from core.errors import ConflictError, NotFoundError, PreconditionError
from models.engine import db
from models.sites import Site
from services.actors import Actor
from services.paging import (
    CursorPage,
    CursorRequest,
    Page,
    PageRequest,
    cursor_page,
    matching,
    paginate,
)
from services.transaction import transaction

SECRET_TEXT = "postgresql://relevo:hunter2@db/relevo"


class PartIn(Schema):
    count = fields.Integer()


class ThingIn(Schema):
    name = fields.String(required=True, validate=validate.Length(1, 40))
    password = fields.String(load_only=True, validate=validate.Length(8, 64))
    size = fields.Integer(validate=validate.Range(0, 1000))
    tags = fields.List(fields.String())
    more = fields.Dict()
    urgent = fields.Boolean()
    parts = fields.List(fields.Nested(PartIn))


class ThingPatch(Schema):
    name = fields.String(validate=validate.Length(1, 40))


class ThingOut(Schema):
    slug = fields.String(required=True)
    name = fields.String(required=True)


class UploadOut(Schema):
    sha256 = fields.String()
    size = fields.Integer()
    filename = fields.String(allow_none=True)


class ThingsQuery(PageQuery):
    sort = SortField("slug", "created_at")
    q = SearchField("the name")
    state = fields.List(fields.String(validate=validate.OneOf(["new", "old"])))


class WaitQuery(Schema):
    wait = fields.Integer(load_default=0)
    colour = fields.String()


def find_thing(*, actor: Actor, slug: str) -> Site:
    thing = db.session.scalar(select(Site).where(Site.slug == slug))
    if thing is None:
        raise NotFoundError("There is no such thing.")
    return thing


def make_thing(slug: str, name: str) -> Site:
    now = utc_now()
    thing = Site(slug=slug, name=name, created_at=now, updated_at=now)
    with transaction() as session:
        session.add(thing)
    return thing


class Things(Resource):
    @endpoint(
        summary="List things",
        query=ThingsQuery,
        response=ThingOut,
        paging=Paging.PAGE,
        csv=True,
        scopes=("sites:read",),
    )
    def get(self, page: PageRequest) -> Page[Any]:
        statement = select(Site)
        condition = matching(page.q, Site.name)
        if condition is not None:
            statement = statement.where(condition)
        columns = {"slug": Site.slug, "created_at": Site.created_at}
        return paginate(statement, page, sortable=columns, tiebreak=Site.id)

    @endpoint(
        summary="Make a thing",
        body=ThingIn,
        query=WaitQuery,
        response=ThingOut,
        status=201,
        scopes=("sites:write",),
    )
    def post(self, body: dict[str, Any]) -> Answer:
        time.sleep(0.2)
        thing = make_thing(f"{body['name']}-{db.session.query(Site).count()}", body["name"])
        return Answer(value=thing, location=f"/probe/things/{thing.slug}")


class History(Resource):
    @endpoint(
        summary="List history", query=CursorQuery, response=ThingOut, paging=Paging.CURSOR, csv=True
    )
    def get(self, page: CursorRequest) -> CursorPage[Any]:
        return cursor_page(select(Site), page, key=Site.id)


class Thing(Resource):
    @endpoint(summary="Show a thing", response=ThingOut)
    def get(self, actor: Actor, slug: str) -> Site:
        return find_thing(actor=actor, slug=slug)

    @endpoint(summary="Change a thing", body=ThingPatch, response=ThingOut, current=find_thing)
    def patch(
        self, actor: Actor, slug: str, body: dict[str, Any], expected_version: int | None
    ) -> Site:
        time.sleep(0.1)
        with transaction() as session:
            thing = find_thing(actor=actor, slug=slug)
            version = thing.version if expected_version is None else expected_version
            changed = session.execute(
                update(Site)
                .where(Site.id == thing.id, Site.version == version)
                .values(**body, version=version + 1)
            )
            if changed.rowcount != 1:  # type: ignore[attr-defined]  # an UPDATE has it
                raise PreconditionError("It changed meanwhile.")
        db.session.refresh(thing)
        return thing

    @endpoint(summary="Remove a thing", status=204, current=find_thing, shown_as=ThingOut)
    def delete(self, actor: Actor, slug: str) -> None:
        with transaction() as session:
            session.delete(find_thing(actor=actor, slug=slug))

    @endpoint(summary="Replace a thing", body=ThingPatch, response=ThingOut, current=find_thing)
    def put(self, actor: Actor, slug: str, body: dict[str, Any]) -> Site:
        return make_thing(slug, body["name"])


class Guarded(Resource):
    @endpoint(
        summary="Act on a thing", body=ThingIn, response=ThingOut, guard=find_thing, status=200
    )
    def post(self, actor: Actor, slug: str) -> Site:
        return find_thing(actor=actor, slug=slug)


class Audited(Resource):
    @endpoint(summary="Audit a thing", status=204, guard=find_thing, scopes=("audit:read",))
    def delete(self, slug: str) -> None:
        raise AssertionError(slug)


class Uploads(Resource):
    @endpoint(summary="Upload", upload=Upload.ARCHIVE, query=WaitQuery, response=UploadOut)
    def post(self, body: Any) -> dict[str, object]:
        size = 0
        while chunk := body.read(10_000):
            size += len(chunk)
        return {"size": size, "sha256": body.content_digest(), "filename": body.filename}


class Quiet(Resource):
    @endpoint(summary="Do it", status=204)
    def post(self) -> Any:
        return no_content()


class Open(Resource):
    @endpoint(summary="Open to all", response=UploadOut, auth=Auth.NONE)
    def get(self) -> dict[str, object]:
        return {"size": 1}

    @endpoint(summary="Perhaps", response=UploadOut, auth=Auth.OPTIONAL)
    def post(self, actor: Actor | None) -> dict[str, object]:
        return {"filename": actor.username if actor else None}


class Numbered(Resource):
    @endpoint(summary="By number", response=UploadOut)
    def get(self, number: int) -> dict[str, object]:
        return {"size": number}


def fail(kind: str) -> NoReturn:
    """Raise one of the things that go wrong."""
    failures: dict[str, Exception] = {
        "validation": ValidationError({"name": ["Too short."]}, data={"name": SECRET_TEXT}),
        "forbidden": Forbidden(description=SECRET_TEXT),
        "unavailable": ServiceUnavailable(retry_after=7),
        "conflict": ConflictError("Somebody was faster.", members={"allowed_actions": ["retry"]}),
        "database": OperationalError("SELECT 1", {}, sqlite3.OperationalError(SECRET_TEXT)),
        "disk": OSError(errno.ENOSPC, "No space left on device"),
        "bug": RuntimeError(SECRET_TEXT),
    }
    raise failures[kind]


class Failing(Resource):
    @endpoint(summary="Fail", response=UploadOut, auth=Auth.NONE)
    def get(self, kind: str) -> None:
        fail(kind)


def namespace() -> Namespace:
    probe = Namespace("probe", description="Only in tests.", path="/probe")
    probe.add_resource(Things, "/things")
    probe.add_resource(History, "/history")
    probe.add_resource(Thing, "/things/<slug>")
    probe.add_resource(Guarded, "/things/<slug>/act")
    probe.add_resource(Audited, "/things/<slug>/audit")
    probe.add_resource(Uploads, "/uploads")
    probe.add_resource(Quiet, "/quiet")
    probe.add_resource(Open, "/open")
    probe.add_resource(Numbered, "/numbers/<int:number>")
    probe.add_resource(Failing, "/fail/<kind>")
    return probe
