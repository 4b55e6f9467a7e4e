"""The IDE page: GraphiQL, built from `ide/` and served from the package. It loads nothing from elsewhere."""

from __future__ import annotations

from importlib.resources import files

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from app.web.pages import compress_files, static_route

PATH = "/ide/"

# Monaco writes its styles into the page; nothing else is inline, and nothing comes from another host.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    "img-src 'self' data:; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def ide_routes() -> list[Route]:
    """The page at /ide/, and / leading there. Only the files that were built exist."""

    async def home(_: Request) -> Response:
        return RedirectResponse(PATH.removeprefix("/"), status_code=302)

    return [Route("/", home), static_route(PATH, compress_files(files("app.web.ide") / "static"), POLICY)]
