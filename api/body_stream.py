"""The body of a request as it comes, and never mistaken for complete when it broke off."""

from flask import Request

from core.errors import DomainError, ErrorCode


class BrokenBodyError(DomainError):
    """The body ended before its announced length, or is not framed as announced."""

    code = ErrorCode.BAD_REQUEST


class BodyStream:
    """Reads a body in pieces; gunicorn ends the stream of a cut connection as if complete."""

    def __init__(self, request: Request) -> None:
        self._stream = request.stream
        self._expected = request.content_length
        self._received = 0

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, b"" at the end.

        Raises:
            BrokenBodyError: the client went away or frames its chunks wrongly.
        """
        try:
            data = self._stream.read(size)
        except (OSError, ValueError) as error:
            raise _broken() from error
        self._received += len(data)
        if not data and size and self._received < (self._expected or 0):
            raise _broken()
        return data


def _broken() -> BrokenBodyError:
    return BrokenBodyError("The body broke off, or is not framed as announced.")
