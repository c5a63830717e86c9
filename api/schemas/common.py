"""Fields that several resources share."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from marshmallow import ValidationError, fields, validate

from core import texts
from core.clock import isoformat
from core.settings import current_settings
from services import names

SHA256 = "f7846f55cf23e14eebeab5b4e1550cad5b509e3348fbc4efa3a1413d393cb650"


class Moment(fields.AwareDateTime):
    """A moment in UTC, written with six digits of microseconds and a `Z`."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        # Any: marshmallow's signature
        return None if value is None else isoformat(value)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        # Any: marshmallow's signature
        moment = super()._deserialize(value, attr, data, **kwargs)
        try:
            return moment.astimezone(UTC)
        except OverflowError as error:  # the last day of the calendar, west of Greenwich
            raise self.make_error("invalid", input=value, obj_type=self.OBJ_TYPE) from error


def check_slug(value: str) -> None:
    """Accept the slug of a site.

    Raises:
        ValidationError: it is none.
    """
    if not names.is_slug(value):
        raise ValidationError(names.SLUG_RULE)


def check_environment(value: str) -> None:
    """Accept the name of an environment.

    Raises:
        ValidationError: it is none, or it is reserved.
    """
    if not names.is_environment(value):
        raise ValidationError(names.ENVIRONMENT_RULE)


def slug_field(**options: Any) -> fields.String:
    """Return a field for the slug of a site."""
    return fields.String(
        validate=check_slug, metadata={"example": "web", "pattern": names.SLUG}, **options
    )


def environment_field(**options: Any) -> fields.String:
    """Return a field for the name of an environment."""
    return fields.String(validate=check_environment, metadata={"example": "main"}, **options)


class WholeText(validate.Regexp):
    """A form that the whole text has; `$` alone lets a line feed pass at the end."""

    def __call__(self, value: Any) -> Any:  # Any: marshmallow's signature
        if self.regex.fullmatch(value) is None:
            raise ValidationError(self._format_error(value))
        return value


class Lines(fields.String):
    """Text of several lines; how Windows ends them is read as a line feed."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        # Any: marshmallow's signature
        return super()._deserialize(value, attr, data, **kwargs).replace("\r\n", "\n")


def line_field(longest: int, *, shortest: int = 0, **options: Any) -> fields.String:
    """Return a field for one line of a person; where some is needed, blanks alone are none."""
    return fields.String(validate=_checks(longest, shortest, _check_line), **options)


def text_field(longest: int, *, shortest: int = 0, **options: Any) -> fields.String:
    """Return a field for text of a person, of any number of lines."""
    return Lines(validate=_checks(longest, shortest, _check_plain), **options)


def _checks(
    longest: int, shortest: int, check: Callable[[str], object]
) -> list[Callable[[str], object]]:
    def check_words(value: str) -> None:
        if shortest and value and not value.strip():
            raise ValidationError("Must not be blank.")
        check(value)

    return [validate.Length(shortest, longest), check_words]


def _check_line(value: str) -> None:
    if not texts.is_one_line(value):
        raise ValidationError("Must be one line, without control characters and direction marks.")


def _check_plain(value: str) -> None:
    if not texts.is_plain(value):
        raise ValidationError(
            "Must hold no control characters but line feeds and tabs, and no direction marks."
        )


def number_field(**options: Any) -> fields.Integer:
    """Return a field for the number of a release or a promotion."""
    return fields.Integer(
        strict=True, validate=validate.Range(1, 2**31 - 1), metadata={"example": 12}, **options
    )


def check_max_wait(value: int) -> None:
    """Accept 0 to MAX_WAIT_SECONDS.

    Raises:
        ValidationError: it is more, or less than nothing.
    """
    longest = current_settings().max_wait_seconds
    if not 0 <= value <= longest:
        raise ValidationError(f"Must be 0 to {longest} (MAX_WAIT_SECONDS).")
