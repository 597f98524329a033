"""What Prometheus reads."""

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import choose_encoder

from rolloutwatch_server.api.answers import NOT_STORED

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {
            "description": "Text as Prometheus reads it, or OpenMetrics for those who accept that",
            "content": {kind: {"schema": {"type": "string"}} for kind in (TEXT, OPEN_METRICS)},
        }
    },
)
def get_metrics(request: Request) -> Response:
    """Tell how the server is, in the words of Prometheus; with `--metrics-runs` the figures of live runs too."""
    encode, kind = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(request.app.state.registry), headers=NOT_STORED, media_type=kind)
