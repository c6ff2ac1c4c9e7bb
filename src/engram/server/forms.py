"""Forms (multipart/form-data, RFC 7578) whose names and texts are UTF-8, or that are refused."""

from __future__ import annotations

from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from engram.server.problems import Refusal


async def read_form(request: Request, *, max_files: int, max_fields: int, max_part_size: int) -> FormData:
    """A form; whoever takes it closes it.

    Args:
        max_files, max_fields: how many parts it may have.
        max_part_size: bytes that a part may have that is no file.

    Raises:
        Refusal: it is no form, has more, or is not UTF-8.
    """
    parser = _Utf8Parser(
        request.headers, request.stream(), max_files=max_files, max_fields=max_fields, max_part_size=max_part_size
    )
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise Refusal("bad-request", error.message) from error


class _Utf8Parser(MultiPartParser):
    """The library reads what is not UTF-8 as Latin-1: two labels could become one."""

    def on_headers_finished(self) -> None:
        _check(self._current_part.content_disposition or b"")
        super().on_headers_finished()

    def on_part_end(self) -> None:
        if self._current_part.file is None:
            _check(self._current_part.data)
        super().on_part_end()


def _check(text: bytes | bytearray) -> None:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        raise MultiPartException("The form's texts and file names must be UTF-8.") from None
