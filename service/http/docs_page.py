"""`/docs`: one page without anything from elsewhere, so that it works in a plant without internet."""

import base64
import hashlib
import re
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from service.errors import RouteNotFound
from service.http.keys import Role
from service.resources import OpenResources, allow

router = APIRouter()
_any_key = allow(Role.CLASSIFY, Role.READ)


def _page() -> tuple[bytes, dict[str, str]]:
    """The page, and headers that let a browser run its own script and style and nothing else."""
    content = files("service").joinpath("docs.html").read_bytes()

    def hashes(tag: bytes) -> str:
        parts = re.findall(rb"<%b>(.*?)</%b>" % (tag, tag), content, re.DOTALL)
        return " ".join(
            f"'sha256-{base64.b64encode(hashlib.sha256(part).digest()).decode()}'" for part in parts
        )

    policy = (
        f"default-src 'none'; connect-src 'self'; script-src {hashes(b'script')};"
        f" style-src {hashes(b'style')}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return content, {"Content-Security-Policy": policy}


@router.get("/docs", summary="This description, to be read and tried")
async def docs(request: Request, resources: OpenResources) -> Response:
    """Needs no key, unless the settings say so; with a key typed in, its forms use it."""
    if resources.settings.docs == "off":
        raise RouteNotFound("the page is switched off")
    if resources.settings.docs == "key":
        await _any_key(request)
    content, headers = _page()
    return Response(content, media_type="text/html; charset=utf-8", headers=headers)
