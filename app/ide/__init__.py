"""The IDE page: GraphiQL, built from `ide/` and served from the package. It loads nothing from elsewhere."""

from __future__ import annotations

import gzip
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

PATH = "/ide/"

# Monaco writes its styles into the page; nothing else is inline, and nothing comes from another host.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    "img-src 'self' data:; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {"content-security-policy": POLICY, "vary": "Accept-Encoding"}
"""Beside those that every answer has."""

TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
    "svg": "image/svg+xml",
    "ttf": "font/ttf",
}


def ide_routes() -> list[Route]:
    """The page at /ide/, and / leading there. Only the files that were built exist; they are kept in memory."""
    static = dict(_built(files("app.ide") / "static"))

    async def home(_: Request) -> Response:
        return RedirectResponse(PATH.removeprefix("/"), status_code=302)

    async def page(request: Request) -> Response:
        name = request.path_params.get("name") or "index.html"
        compressed = static.get(name)
        if compressed is None:
            raise HTTPException(404)
        return _answer(name, compressed, request.headers.get("accept-encoding", ""))

    return [Route("/", home), Route(PATH + "{name:path}", page)]


def _built(folder: Traversable, prefix: str = "") -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _built(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".gz"):
            found.append((prefix + entry.name.removesuffix(".gz"), entry.read_bytes()))
    return found


def _answer(name: str, compressed: bytes, accepts: str) -> Response:
    # Names in assets/ carry a hash of their content.
    age = "public, max-age=31536000, immutable" if name.startswith("assets/") else "no-cache"
    headers = {**HEADERS, "cache-control": age}
    kind = TYPES.get(name.rpartition(".")[2], "application/octet-stream")
    if "gzip" in accepts.lower():
        return Response(compressed, media_type=kind, headers={**headers, "content-encoding": "gzip"})
    return Response(gzip.decompress(compressed), media_type=kind, headers=headers)
