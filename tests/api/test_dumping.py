"""The short way of writing values writes what marshmallow writes."""

from dataclasses import make_dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from marshmallow import Schema, fields

from api.dumping import dump_many, dump_one
from api.schemas.common import Moment
from api.schemas.promotions import PromotionOut
from api.schemas.releases import ReleaseOut
from api.schemas.sites import SiteOut
from api.schemas.users import UserOut

AT = datetime(2026, 11, 20, 1, 2, 3, 45, tzinfo=UTC)


class Loud(fields.String):
    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str:
        return str(value).upper()


class Inner(Schema):
    name = fields.String()


class Everything(Schema):
    text = fields.String()
    number = fields.Integer()
    flag = fields.Boolean()
    odd_number = fields.Integer()
    odd_text = fields.String()
    at = Moment()
    nothing = fields.String(allow_none=True)
    away = fields.String()
    loud = Loud()
    renamed = fields.String(data_key="newName", attribute="wording")
    below = fields.String(attribute="inner.name")
    inner = fields.Nested(Inner)
    words = fields.List(fields.String())
    told = fields.Dict()
    secret = fields.String(load_only=True)


THING = SimpleNamespace(
    text="text",
    wording="wording",
    number=7,
    flag=True,
    odd_number="12",
    odd_text=5,
    at=AT,
    nothing=None,
    loud="loud",
    inner=SimpleNamespace(name="inside"),
    words=["a", "b"],
    told={"a": 1},
    secret="secret",
)


def test_every_kind_of_field_is_written_as_marshmallow_does() -> None:
    schema = Everything()

    assert dump_one(schema, THING) == schema.dump(THING)
    assert dump_many(schema, [THING, THING]) == schema.dump([THING, THING], many=True)


class FromInside(Schema):
    name = fields.String()

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        return super().get_attribute(obj.inner, attr, default)


def test_a_schema_may_look_for_values_elsewhere() -> None:
    assert dump_one(FromInside(), THING) == {"name": "inside"}


def test_mappings_are_written_too() -> None:
    schema = Everything()

    assert dump_one(schema, vars(THING)) == schema.dump(vars(THING))
    assert dump_many(schema, [vars(THING)]) == [schema.dump(vars(THING))]


@pytest.mark.parametrize("kind", [SiteOut, UserOut, ReleaseOut, PromotionOut])
def test_schemas_of_the_api_are_written_alike(kind: type[Schema]) -> None:
    schema = kind()
    values = {name: _sample(field) for name, field in schema.dump_fields.items()}
    thing = make_dataclass("Thing", values)(**values)

    assert dump_one(schema, thing) == schema.dump(thing)


def _sample(field: fields.Field[Any]) -> Any:
    if isinstance(field, fields.DateTime):
        return AT
    if isinstance(field, fields.Nested | fields.Dict | fields.List | fields.Method):
        return None
    return 3 if isinstance(field, fields.Integer) else "word"
