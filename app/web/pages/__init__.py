"""Pages for browsers, served from the package. They load nothing from elsewhere, and ask this gateway alone.

A folder is served as it lies here, with what is in `shared/` beside it: no step stands between the
file and the browser. The IDE page is built from `ide/` and comes compressed (`app/ide`).
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a page may do that is written here: nothing is inline."""

TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
    "svg": "image/svg+xml",
    "ttf": "font/ttf",
    "webmanifest": "application/manifest+json",
}


SERVICE_WORKER = "worker.js"


def page_routes(name: str) -> list[Route]:
    """The page of this name at /NAME/, and /NAME leading there. Its service worker, if it has one, begins with the list
    of its files, `PRECACHE`."""
    folder = files("app.web.pages")
    static = compress_files(folder / "shared") | compress_files(folder / name)
    if SERVICE_WORKER in static:
        static[SERVICE_WORKER] = gzip.compress(_precache(static) + gzip.decompress(static[SERVICE_WORKER]), mtime=0)
    served = static_route(f"/{name}/", static, POLICY)

    async def without_slash(_: Request) -> Response:
        return RedirectResponse(f"{name}/", status_code=302)

    return [Route(f"/{name}", without_slash), served]


def _precache(static: Mapping[str, bytes]) -> bytes:
    """The files that a service worker caches, and a version that changes with any of them."""
    version = hashlib.sha256(b"".join(name.encode() + static[name] for name in sorted(static))).hexdigest()[:16]
    names = ["./" if name == "index.html" else name for name in sorted(static) if name != SERVICE_WORKER]
    return f"const PRECACHE = {json.dumps({'version': version, 'files': names})};\n".encode()


def static_route(path: str, static: Mapping[str, bytes], policy: str) -> Route:
    """Compressed files by name, kept in memory; no other exists. The page itself is `index.html`."""

    async def page(request: Request) -> Response:
        name = request.path_params.get("name") or "index.html"
        compressed = static.get(name)
        if compressed is None:
            raise HTTPException(404)
        return _answer(name, compressed, policy, request.headers.get("accept-encoding", ""))

    return Route(path + "{name:path}", page)


def compress_files(folder: Traversable, prefix: str = "") -> dict[str, bytes]:
    """The files of a folder by name, compressed; those that end in `.gz` are so already."""
    found: dict[str, bytes] = {}
    for entry in folder.iterdir():
        if entry.is_dir():
            found |= compress_files(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".gz"):
            found[prefix + entry.name.removesuffix(".gz")] = entry.read_bytes()
        elif entry.name.rpartition(".")[2] in TYPES:
            found[prefix + entry.name] = gzip.compress(entry.read_bytes(), mtime=0)
    return found


def _answer(name: str, compressed: bytes, policy: str, accepts: str) -> Response:
    # Names in assets/ carry a hash of their content.
    age = "public, max-age=31536000, immutable" if name.startswith("assets/") else "no-cache"
    headers = {"content-security-policy": policy, "vary": "Accept-Encoding", "cache-control": age}
    kind = TYPES.get(name.rpartition(".")[2], "application/octet-stream")
    if "gzip" in accepts.lower():
        return Response(compressed, media_type=kind, headers={**headers, "content-encoding": "gzip"})
    return Response(gzip.decompress(compressed), media_type=kind, headers=headers)
