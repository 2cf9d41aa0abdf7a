"""An authorizer that does what a test wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zope.interface import implementer

from distmap.authorizer import IAuthorizer, Request


@implementer(IAuthorizer)
class Scripted:
    """Grants by credentials: their text is the access, or what a test put into `answers`.

    Attributes:
        answers: by credentials, what is answered, or what is called with the request.
        asked: all requests so far.
    """

    def __init__(self, needs_credentials: bool = True, **answers: Any) -> None:
        self.needs_credentials = needs_credentials
        self.answers: dict[str | None, Any] = {"read": "read", "write": "write"}
        self.answers.update(answers)
        self.asked: list[Request] = []

    def authorize(self, request: Request) -> Any:
        self.asked.append(request)
        answer: Any | Callable[[Request], Any] = self.answers.get(request.credentials, "none")
        return answer(request) if callable(answer) else answer
