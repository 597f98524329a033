"""Guides as pages, for whoever is led there by an alert, and what else is to be read."""

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from rolloutwatch_server import guides
from rolloutwatch_server.api.framed import framed

router = APIRouter(include_in_schema=False)


@router.get("/guides")
def get_guides(request: Request) -> HTMLResponse:
    """List all guides."""
    return _page(request, "/guides")


@router.get("/guides/{name}")
def get_guide(name: str, request: Request) -> HTMLResponse:
    """Show one."""
    return _page(request, f"/guides/{name}")


@router.get("/guides/diagnosis/{name}")
def get_guide_of_a_diagnosis(name: str, request: Request) -> HTMLResponse:
    """Show what a run may have."""
    return _page(request, f"/guides/diagnosis/{name}")


@router.get("/guides/images/diagnosis/{name}")
def get_picture(name: str) -> Response:
    """Show how that looks."""
    found = guides.picture(f"/guides/images/diagnosis/{name}")
    if found is None:
        raise HTTPException(404, f"there is no picture {name[:100]!r}: the guides show those there are.")
    return Response(found, media_type="image/svg+xml")


@router.get("/guides/more/{name:path}")
def get_more(name: str, request: Request) -> HTMLResponse:
    """Show a page of the documentation that is no guide."""
    return _page(request, f"/guides/more/{name}")


def _page(request: Request, address: str) -> HTMLResponse:
    found = guides.page(address)
    if found is None:
        raise HTTPException(
            404, f"there is no page {address[:100]!r}: /guides lists the guides, which lead to the others."
        )
    title, body = found
    return framed(request, title, body)
