"""Schemas as components of a document: marshmallow in, JSON schema out."""

from copy import deepcopy
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema
from marshmallow.fields import Field

from api.operation import Paging
from api.schemas.problems import CursorMetaOut, PageMetaOut, ProblemOut

Document = dict[str, Any]  # Any: JSON of every shape
META = {Paging.PAGE: ("Page", PageMetaOut), Paging.CURSOR: ("Feed", CursorMetaOut)}


def schema_name(schema: Schema | type[Schema]) -> str:
    """Name a schema after its class; variants of one class get a suffix, so none clash."""
    kind = schema if isinstance(schema, type) else type(schema)
    name = kind.__name__.removesuffix("Schema")
    if isinstance(schema, Schema):
        if schema.partial:
            name += "Patch"
        if schema.only:
            name += "With" + "".join(word.title() for word in sorted(schema.only))
    return name


class Catalog:
    """The components of one document; Swagger 2.0 and OpenAPI 3.1 write them differently."""

    def __init__(self, openapi_version: str) -> None:
        plugin = MarshmallowPlugin(schema_name_resolver=schema_name)
        self._spec = APISpec("Relevo", "1", openapi_version, plugins=[plugin])
        if plugin.converter is None:
            raise RuntimeError("apispec did not make a converter")
        self._converter = plugin.converter
        self._converter.add_attribute_function(_own_words)
        self._inputs: set[str] = set()
        self.problem = self.answer(ProblemOut())

    def answer(self, schema: Schema) -> Document:
        """Return a reference to what a good answer holds."""
        return dict(self._converter.resolve_nested_schema(schema))

    def listing(self, schema: Schema, paging: Paging) -> Document:
        """Return a reference to a list of `schema` with what it tells about itself."""
        suffix, meta = META[paging]
        items, meta_reference = self.answer(schema), self.answer(meta())
        name = f"{schema_name(schema)}{suffix}"
        if name not in self._spec.components.schemas:
            self._spec.components.schema(
                name,
                {
                    "type": "object",
                    "required": ["items", "meta"],
                    "properties": {
                        "items": {"type": "array", "items": items},
                        "meta": meta_reference,
                    },
                },
            )
        return {"$ref": self._reference_to(name, like=items["$ref"])}

    def body(self, schema: Schema) -> Document:
        """Return a reference to what a request must hold."""
        reference = self.answer(schema)
        self._inputs.add(reference["$ref"].rpartition("/")[2])
        return reference

    def query(self, schema: Schema) -> list[Document]:
        """Return the query parameters of `schema`."""
        parameters = self._converter.schema2parameters(schema, location="query")
        return [_without_null(dict(parameter)) for parameter in parameters]

    def definitions(self) -> dict[str, Document]:
        """Return every component; answers may grow fields, so only inputs are closed."""
        definitions = deepcopy(dict(self._spec.components.schemas))
        closed = self._reachable(definitions, set(self._inputs))
        for name, definition in definitions.items():
            if name not in closed and definition.get("additionalProperties") is False:
                del definition["additionalProperties"]
            for described in definition.get("properties", {}).values():
                _drop_null_default(described)
        return definitions

    @staticmethod
    def _reference_to(name: str, *, like: str) -> str:
        return f"{like.rpartition('/')[0]}/{name}"

    @staticmethod
    def _reachable(definitions: dict[str, Document], names: set[str]) -> set[str]:
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name in definitions and name not in found:
                found.add(name)
                waiting.extend(referenced_names(definitions[name]))
        return found


def _drop_null_default(described: Document) -> Document:
    """Leave out `default: null`: it says no more than "optional", and 2.0 does not allow it."""
    if described.get("default", ...) is None:
        del described["default"]
    return described


def _own_words(converter: OpenAPIConverter, field: Field[Any], **_options: Any) -> Document:
    """Let a field of ours describe itself with `describe_in(version)`."""
    describe = getattr(field, "describe_in", None)
    return describe(converter.openapi_version.major) if describe else {}


def _without_null(parameter: Document) -> Document:
    """Leave null out: an address cannot say it, marshmallow only means "not given" by it."""
    schema = {
        key: value
        for key, value in parameter.get("schema", parameter).items()
        if key != "x-nullable" and not (key == "default" and value is None)
    }
    if isinstance(schema.get("type"), list):
        kinds = [kind for kind in schema["type"] if kind != "null"]
        schema["type"] = kinds[0] if len(kinds) == 1 else kinds
    return {**parameter, "schema": schema} if "schema" in parameter else schema


def referenced_names(value: object) -> list[str]:
    """Return the names of the components that `value` refers to, at any depth."""
    if isinstance(value, dict):
        own = [value["$ref"].rpartition("/")[2]] if isinstance(value.get("$ref"), str) else []
        return own + [name for inner in value.values() for name in referenced_names(inner)]
    if isinstance(value, list):
        return [name for inner in value for name in referenced_names(inner)]
    return []
