"""The API's description for people, from its OpenAPI document alone: nothing is loaded from elsewhere."""

import json
import re
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from rolloutwatch_server.api.answers import REFUSALS
from rolloutwatch_server.api.framed import framed

router = APIRouter(include_in_schema=False)

_HEAD = '<h1>Rolloutwatch API</h1><p>Machine-readable: <a href="/openapi.json">openapi.json</a></p>'


@router.get("/docs")
def get_docs(request: Request) -> HTMLResponse:
    """Show every route with its parameters and the shape of its answers."""
    document: dict[str, Any] = request.app.openapi()
    schemas = document["components"]["schemas"]
    routes = [
        _route(path, verb, route, schemas)
        for path, verbs in document["paths"].items()
        for verb, route in verbs.items()
    ]
    refusals = f"<section><h2>Refusals</h2>{_answers(REFUSALS, schemas)}</section>"
    return framed(request, "API", "".join([_HEAD, *routes, refusals]))


def _route(path: str, verb: str, route: dict[str, Any], schemas: dict[str, Any]) -> str:
    parameters = "".join(_parameter(parameter) for parameter in route.get("parameters", []))
    text = "".join(f"<p>{_text(part)}</p>" for part in route.get("description", "").split("\n\n"))
    answers = {status: told for status, told in route["responses"].items() if status not in REFUSALS}
    return (
        f"<section><h2><code>{verb.upper()} {escape(path)}</code></h2>{text}<dl>{parameters}</dl>"
        f"{_asked(route.get('requestBody', {}), schemas)}{_answers(answers, schemas)}</section>"
    )


def _parameter(parameter: dict[str, Any]) -> str:
    schema = {key: value for key, value in parameter["schema"].items() if key != "title"}
    schema |= schema.pop("anyOf", [{}])[0]  # what it is if it is given
    about = ", ".join(
        f"{key}: {value}" for key, value in schema.items() if not isinstance(value, list | dict)
    )
    need = "required" if parameter.get("required") else "optional"
    return f"<dt><code>{escape(parameter['name'])}</code> ({parameter['in']}, {need})</dt><dd>{escape(about)}</dd>"


def _asked(request: dict[str, Any], schemas: dict[str, Any]) -> str:
    return "".join(
        f"<h3>Body of the request ({escape(kind)})</h3>{_body(body, schemas)}"
        for kind, body in request.get("content", {}).items()
    )


def _answers(answers: dict[Any, dict[str, Any]], schemas: dict[str, Any]) -> str:
    return "".join(
        f"<h3>{escape(answer['description'])} ({escape(str(status))}, {escape(kind)})</h3>{_body(body, schemas)}"
        for status, answer in answers.items()
        for kind, body in answer.get("content", {}).items()
    )


def _body(body: dict[str, Any], schemas: dict[str, Any]) -> str:
    return f"<pre><code>{_text(_shape(body['schema'], schemas))}</code></pre>" if "schema" in body else ""


def _shape(schema: dict[str, Any], schemas: dict[str, Any], indent: str = "") -> str:
    """Return a JSON schema as what it describes looks like, names of types in the place of values."""
    match schema:
        case {"$ref": str(reference)}:
            return _shape(schemas[reference.rpartition("/")[2]], schemas, indent)
        case {"anyOf": list(choices)}:
            return " or ".join(_shape(choice, schemas, indent) for choice in choices)
        case {"enum": list(values)}:
            return " or ".join(json.dumps(value) for value in values)
        case {"items": dict(item)}:
            return f"[{_shape(item, schemas, indent)}, ...]"
        case {"additionalProperties": dict(value)}:
            return f"{{string: {_shape(value, schemas, indent)}, ...}}"
        case {"properties": dict(fields)}:
            inner = indent + "  "
            lines = [f'{inner}"{name}": {_shape(field, schemas, inner)}' for name, field in fields.items()]
            note = f"  # {schema['description']}" if "description" in schema else ""
            return "\n".join([f"{{{note}", ",\n".join(lines), f"{indent}}}"])
    return str(schema.get("type", "anything"))


def _text(text: str) -> str:
    """Return text for a page, words in backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
