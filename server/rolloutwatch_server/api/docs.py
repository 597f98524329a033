"""The API's description for people, from its OpenAPI document alone: nothing is loaded from elsewhere."""

from html import escape
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Rolloutwatch API</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem }}
code {{ font: 14px ui-monospace, monospace }}
section {{ border-top: 1px solid color-mix(in srgb, currentColor 20%, transparent); padding: .5rem 0 }}
dt {{ font-weight: 600 }} dd {{ margin: 0 0 .4rem 1.5rem; opacity: .85 }}
</style></head>
<body><h1>Rolloutwatch API</h1><p>Machine-readable: <a href="/openapi.json">openapi.json</a></p>{body}</body></html>
"""


@router.get("/docs")
def get_docs(request: Request) -> HTMLResponse:
    """Show every route with its parameters."""
    document: dict[str, Any] = request.app.openapi()
    body = "".join(
        _route(path, verb, route)
        for path, verbs in document["paths"].items()
        for verb, route in verbs.items()
    )
    return HTMLResponse(_PAGE.format(body=body))


def _route(path: str, verb: str, route: dict[str, Any]) -> str:
    parameters = "".join(_parameter(parameter) for parameter in route.get("parameters", []))
    text = "".join(f"<p>{escape(part)}</p>" for part in route.get("description", "").split("\n\n"))
    return (
        f"<section><h2><code>{verb.upper()} {escape(path)}</code></h2>{text}<dl>{parameters}</dl></section>"
    )


def _parameter(parameter: dict[str, Any]) -> str:
    schema = {key: value for key, value in parameter["schema"].items() if key != "title"}
    schema |= schema.pop("anyOf", [{}])[0]  # what it is if it is given
    about = ", ".join(
        f"{key}: {value}" for key, value in schema.items() if not isinstance(value, list | dict)
    )
    need = "required" if parameter.get("required") else "optional"
    return f"<dt><code>{escape(parameter['name'])}</code> ({parameter['in']}, {need})</dt><dd>{escape(about)}</dd>"
