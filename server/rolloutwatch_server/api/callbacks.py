"""What the dashboard's own route refuses: a question that no page of it asks."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from rolloutwatch_server.api.answers import problem

CALLBACK = "/_dash-update-component"


class RefuseForeignCallbacks:
    """Stands within Dash's own middleware, which has read the body of what it passes on into the request's state."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        is_asked = scope["type"] == "http" and scope["path"] == CALLBACK
        refusal = _refusal(Request(scope)) if is_asked else None
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _refusal(request: Request) -> Response | None:
    if request.method != "POST":
        return None
    fault = _fault(request.app.state.dashboard.callback_map, getattr(request.state, "json_body", None))
    if fault is None:
        return None
    return problem(400, "No question of a page", f"{fault}. Only pages of the dashboard ask here: see /docs.")


def _fault(callbacks: Mapping[str, Any], body: Any) -> str | None:
    """Return what of a question is other than the pages ask it; None if nothing is."""
    if not isinstance(body, dict):
        came = "none that can be read" if body is None else f"a {type(body).__name__}"
        return f"the body: expected an object in JSON, sent as application/json; came {came}"
    output = body.get("output")
    if not isinstance(output, str) or output not in callbacks:
        return f"output: expected one of {', '.join(map(repr, callbacks))}; came {str(output)[:100]!r}"
    for name in ("inputs", "state"):
        expected = [(one["id"], one["property"]) for one in callbacks[output][name]]
        if not _are(body.get(name) or [], expected):
            return f"{name}: expected {expected}; came {str(body.get(name))[:100]!r}"
    expected = [part.rpartition(".")[::2] for part in output.strip(".").split("...")]
    outputs = body.get("outputs")
    is_list = output.startswith("..")
    if outputs is not None and (
        isinstance(outputs, list) != is_list or not _are(outputs if is_list else [outputs], expected)
    ):
        return f"outputs: expected {expected}; came {str(outputs)[:100]!r}"
    changed = body.get("changedPropIds") or []
    if not isinstance(changed, list) or not all(isinstance(one, str) and "." in one for one in changed):
        return f"changedPropIds: expected names such as 'page.children'; came {str(changed)[:100]!r}"
    return None


def _are(parts: Any, expected: Sequence[tuple[str, str]]) -> bool:
    """Tell whether these are the parts of a page that a callback names."""
    return (
        isinstance(parts, list)
        and len(parts) == len(expected)
        and all(
            isinstance(one, dict) and one.get("property") == name and _fits(one.get("id"), known)
            for one, (known, name) in zip(parts, expected, strict=True)
        )
    )


def _fits(came: Any, known: str) -> bool:
    """Tell whether an id is the known one, or has text wherever a known pattern has a `MATCH`."""
    if not known.startswith("{"):
        return bool(came == known)
    pattern = json.loads(known)
    return (
        isinstance(came, dict)
        and came.keys() == pattern.keys()
        and all(
            isinstance(came[key], str) if value == ["MATCH"] else came[key] == value
            for key, value in pattern.items()
        )
    )
