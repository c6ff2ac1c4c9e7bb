"""A route that calls its function with what it asks for, without FastAPI's general search for arguments.

That search takes longer than most answers do. What FastAPI reads off a function for OpenAPI stays as it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send


class DirectRoute(APIRoute):
    """For functions that take the request and asynchronous dependencies, which take the request and the path's parts.

    The path's parts are given as texts: a dependency checks them itself.

    Raises:
        TypeError: when it is made, for a function that takes anything else.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **more: Any) -> None:
        super().__init__(path, endpoint, **more)
        self._arguments = [(part.name or "", part.call, *_taken(part)) for part in self.dependant.dependencies]
        self._request, own = _taken(self.dependant, deep=True)
        if own:
            raise TypeError(f"{endpoint.__name__} takes parts of the path: have a dependency take them.")
        self.app = self._answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        given: dict[str, Any] = {self._request: request} if self._request else {}
        for name, call, wanted, parts in self._arguments:
            asked = {part: scope["path_params"][part] for part in parts}
            if wanted:
                asked[wanted] = request
            made: Awaitable[Any] = call(**asked)  # type: ignore[misc]
            given[name] = await made
        response = await self.endpoint(**given)
        await response(scope, receive, send)


def _taken(part: Dependant, *, deep: bool = False) -> tuple[str | None, list[str]]:
    """The name under which a function takes the request, and the parts of the path that it takes."""
    others = [*part.query_params, *part.header_params, *part.cookie_params, *part.body_params]
    if others or (part.dependencies and not deep):
        raise TypeError(f"{part.call} takes more than the request and parts of the path.")
    return part.request_param_name, [field.name for field in part.path_params]
