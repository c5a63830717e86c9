"""Bodies that are files: read once, in pieces, never as a whole in memory.

The service that receives an upload reads it from the connection. What the Idempotency-Key needs,
a digest of the content, is taken while it passes by, so that nothing is stored twice.
"""

import hashlib
from collections.abc import Iterator

from flask import Request
from werkzeug.exceptions import BadRequest
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from api.body_stream import BodyStream
from api.json_bodies import JSON_TYPE, UnsupportedBodyError
from api.validation import LONGEST_NAME, pointer
from core.errors import InvalidInputError, LimitExceededError

CHUNK_BYTES = 256 * 1024
FIELD = "file"
MAX_PARTS = 20
MAX_FORM_BYTES = 64 * 1024
"""What the boundaries and headers of a form may add to the content."""
FORM_BUFFER_BYTES = 4 * CHUNK_BYTES


class UploadBody:
    """The content of an upload as a stream that knows its digest once it was read.

    Attributes:
        filename: what the client called it in a form, or None.
        size_hint: the announced size of the body, or None when it is chunked.
    """

    def __init__(
        self, chunks: Iterator[bytes], *, filename: str | None, size_hint: int | None, limit: int
    ) -> None:
        self.filename = filename
        self.size_hint = size_hint
        self._chunks = chunks
        self._limit = limit
        self._rest = b""
        self._size = 0
        self._digest = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, all that is left when negative, b"" at the end.

        Raises:
            LimitExceededError: the content is larger than MAX_UPLOAD_BYTES.
            BrokenBodyError: it ended too early.
        """
        parts = [self._rest]
        available = len(self._rest)
        while size < 0 or available < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._count(chunk)
            parts.append(chunk)
            available += len(chunk)
        data = b"".join(parts)
        end = len(data) if size < 0 else size
        self._rest = data[end:]
        return data[:end]

    def content_digest(self) -> str:
        """Read to the end and return the SHA-256 of the whole content."""
        while self.read(CHUNK_BYTES):
            pass
        return self._digest.hexdigest()

    def _count(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > self._limit:
            raise _too_large(self._limit, None)
        self._digest.update(chunk)


def open_upload(request: Request, *, limit: int) -> UploadBody:
    """Return the content of the body, or of the field `file` when it is a form.

    Raises:
        UnsupportedBodyError: the body is JSON.
        LimitExceededError: the announced size is beyond MAX_UPLOAD_BYTES.
        InvalidInputError: the form has no file, or something else before it.
    """
    if request.mimetype == JSON_TYPE:
        raise UnsupportedBodyError("Send the archive itself, or a form with the field `file`.")
    is_form = request.mimetype == "multipart/form-data"
    size = request.content_length
    if size is not None and size > limit + (MAX_FORM_BYTES if is_form else 0):
        raise _too_large(limit, size)
    if is_form:
        filename, chunks = _open_form(request)
        return UploadBody(chunks, filename=filename, size_hint=size, limit=limit)
    chunks = _stream_chunks(BodyStream(request))
    return UploadBody(chunks, filename=None, size_hint=size, limit=limit)


def _stream_chunks(stream: BodyStream) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk


def _open_form(request: Request) -> tuple[str, Iterator[bytes]]:
    boundary = request.mimetype_params.get("boundary", "").encode("ascii", "ignore")
    if not boundary:
        raise UnsupportedBodyError("The form has no boundary.")
    decoder = MultipartDecoder(boundary, FORM_BUFFER_BYTES, max_parts=MAX_PARTS)
    events = _form_events(decoder, BodyStream(request))
    for event in events:
        if isinstance(event, File) and event.name == FIELD:
            return event.filename, _file_chunks(events)
        _refuse_field(event)
    raise InvalidInputError.field(f"/{FIELD}", "The form has no file here.", code="required")


def _form_events(decoder: MultipartDecoder, stream: BodyStream) -> Iterator[Event]:
    """Yield what the form consists of, reading only as far as it is asked."""
    try:
        while True:
            event = decoder.next_event()
            if isinstance(event, NeedData):
                decoder.receive_data(stream.read(CHUNK_BYTES) or None)
                continue
            yield event
            if isinstance(event, Epilogue):
                return
    except ValueError as error:
        raise BadRequest from error


def _file_chunks(events: Iterator[Event]) -> Iterator[bytes]:
    """Yield the file, then read to the end of the form.

    Raises:
        InvalidInputError: there is something behind the file. Whoever reads the content to its
            end is stopped before anything becomes of it.
    """
    for event in events:
        if isinstance(event, Data):
            if event.data:
                yield event.data
        elif isinstance(event, File) and event.name == FIELD:
            raise InvalidInputError.field(
                f"/{FIELD}", "Given more than once.", code="duplicate_name"
            )
        else:
            _refuse_field(event)


def _refuse_field(event: Event) -> None:
    """Refuse what would be ignored: an upload must not go where its sender did not want it."""
    if isinstance(event, Field) and event.name == FIELD:
        raise InvalidInputError.field(
            f"/{FIELD}", "Send the archive as a file, not as text.", code="required"
        )
    if isinstance(event, Field | File):
        name = (event.name or "")[:LONGEST_NAME]
        raise InvalidInputError.field(
            pointer((name,)),
            "Unknown field. A form holds only `file`; options go into the query string.",
            code="unknown_field",
        )


def _too_large(limit: int, actual: int | None) -> LimitExceededError:
    return LimitExceededError.of(
        f"The upload is larger than {limit} bytes.",
        limit=limit,
        actual=actual,
        setting="MAX_UPLOAD_BYTES",
    )
