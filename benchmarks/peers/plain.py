"""Flask, flask-restx, Flask-JWT-Extended, Flask-SQLAlchemy and marshmallow, as their guides say."""

from datetime import datetime
from typing import Any

from flask import Flask, request
from flask_jwt_extended import JWTManager, jwt_required
from flask_restx import Api, Resource
from flask_sqlalchemy import SQLAlchemy
from marshmallow import Schema, fields
from sqlalchemy import ForeignKey, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from benchmarks.peers.settings import DATABASE_URL, KEY, PER_PAGE, SITES_DOMAIN


class Base(DeclarativeBase):
    """The tables."""


app = Flask(__name__)
app.config.update(
    SQLALCHEMY_DATABASE_URI=DATABASE_URL, JWT_SECRET_KEY=KEY, RESTX_MASK_SWAGGER=False
)
db = SQLAlchemy(app, model_class=Base)
jwt = JWTManager(app)
api = Api(app, prefix="/api/v1", doc=False)


class User(db.Model):  # type: ignore[name-defined]  # made at run time
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str]
    is_active: Mapped[bool]


class Site(db.Model):  # type: ignore[name-defined]  # made at run time
    __tablename__ = "sites"
    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str]
    name: Mapped[str]
    description: Mapped[str]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    maker: Mapped[User | None] = relationship(lazy="joined")

    @property
    def url(self) -> str:
        return f"http://{self.slug}.{SITES_DOMAIN}/"

    @property
    def created_by(self) -> str | None:
        return self.maker.username if self.maker else None


class SiteSchema(Schema):
    slug = fields.String()
    name = fields.String()
    description = fields.String()
    url = fields.String()
    created_by = fields.String()
    created_at = fields.DateTime()
    updated_at = fields.DateTime()


one, many = SiteSchema(), SiteSchema(many=True)


@jwt.user_lookup_loader
def load_user(_header: dict[str, Any], payload: dict[str, Any]) -> User | None:
    user = db.session.get(User, int(payload["sub"]))
    return user if user is not None and user.is_active else None


@api.route("/sites")
class Sites(Resource):
    @jwt_required()
    def get(self) -> dict[str, Any]:
        page = request.args.get("page", 1, type=int)
        query = select(Site).order_by(Site.created_at.desc(), Site.id.desc())
        rows = db.session.scalars(query.limit(PER_PAGE).offset((page - 1) * PER_PAGE)).all()
        total = db.session.scalar(select(func.count()).select_from(Site)) or 0
        following = page + 1 if page * PER_PAGE < total else None
        meta = {"page": page, "per_page": PER_PAGE, "total": total, "next": following}
        return {"items": many.dump(rows), "meta": meta}


@api.route("/sites/<slug>")
class OneSite(Resource):
    @jwt_required()
    def get(self, slug: str) -> Any:
        return one.dump(db.first_or_404(select(Site).where(Site.slug == slug)))
