"""What routes share that take RDF: a turn to send it, limits on size and time, the quota, and a watch on who leaves."""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

from fastapi import Request

from itukg.errors import ItukgError, UnsupportedMediaType
from itukg.upload.read import BODY_TYPES
from itukg.web.requests import StopWhenLeft, announced_size, body_of, refuse_early
from itukg.web.service import Service

T = TypeVar("T")


async def received(
    request: Request, service: Service, client: str, work: Callable[[bytes, str, float], Awaitable[T]]
) -> T:
    """Return what `work` makes of the body, its media type and the deadline by which it must start.

    Raises UnsupportedMediaType for a body that is no RDF, TooLarge, TooSlow, Quota, Overloaded, and what `work` raises.
    """
    limit, deadline = service.settings.upload_size, monotonic() + service.settings.validation_timeout
    content_type = request.headers.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in BODY_TYPES:
        raise UnsupportedMediaType(
            f'Say what is sent, by Content-Type: {", ".join(BODY_TYPES)}. It came as "{media_type or "nothing"}".'
        )
    refuse_early(request, limit)
    outcome = "broken off"
    try:
        service.quotas.check(client)
        async with service.validator.slot(client, announced_size(request), deadline):
            body = await body_of(request, limit, max(0.0, deadline - monotonic()))
            with StopWhenLeft(request):
                done = await work(body, content_type, deadline)
        outcome = "reported"
    except ItukgError as error:
        outcome = error.problem_type
        service.quotas.remember(client, error)
        raise
    finally:
        service.metrics.checked(outcome)
    return done
