"""What another configuration of the correction would have given."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.presets import preset
from rolloutwatch_contract.verl_yaml import as_verl_yaml
from rolloutwatch_server.api.answers import answer
from rolloutwatch_server.api.runs import DEFAULT_POINTS, MOST_POINTS, Steps, find_run
from rolloutwatch_server.store import Store
from rolloutwatch_server.whatif.history import MOST_STEPS, what_if
from rolloutwatch_server.whatif.summary import OverSteps

router = APIRouter(tags=["runs"])

_LOGPROBS = "actor_rollout_ref"  # of a whole configuration; it is about the rollout engine


class Configuration(BaseModel):
    """Keys of the correction as verl has them, alone, or under `rollout_correction`, also under `algorithm`;
    or the name of a preset, to which keys beside it are added.
    """

    model_config = ConfigDict(extra="allow")

    preset: str | None = None
    rollout_is: Any = None
    rollout_is_mode: Any = None
    rollout_is_threshold: Any = None
    rollout_is_threshold_lower: Any = None
    rollout_is_batch_normalize: Any = None
    rollout_rs: Any = None
    rollout_rs_threshold: Any = None
    rollout_rs_threshold_lower: Any = None
    rollout_token_veto_threshold: Any = None
    bypass_mode: Any = None
    loss_type: Any = None


class Figure(BaseModel):
    """A figure by step, ascending: what it would have been lies between `low` and `high`.

    Where it is `exact` the two are equal, and are the figure.
    """

    step: list[int]
    exact: list[bool]
    low: list[float]
    high: list[float]


class Extreme(BaseModel):
    """A figure at the step where its lower bound was least, or its upper one greatest."""

    step: int
    low: float
    high: float


class Summary(BaseModel):
    """A figure of all steps that were looked at, also of those left out for the eye; at `exact_steps` of `steps` it is exact.

    The mean over the steps lies between `mean_low` and `mean_high`; null where there is no step.
    """

    steps: int
    exact_steps: int
    mean_low: float | None
    mean_high: float | None
    lowest: Extreme | None
    highest: Extreme | None


class Omitted(BaseModel):
    """A figure that cannot be told at some steps, why, at how many, and the first and the last of them."""

    metric: str
    reason: str
    steps: int
    first_step: int
    last_step: int


class Answer(BaseModel):
    """Figures under the configuration as it was read, of all steps that have a table or a histogram.

    `steps` were looked at; `next_step` is where the next answer would begin, null if that was all.
    `thinned` if some steps are left out for the eye; the lowest and the highest values are there.
    `summary` has every figure in a few numbers, and `recorded` the same of what was recorded at these steps:
    a figure that did not come there is not in it, and kept are all where nothing was on that takes out.
    `yaml` is the configuration as it is written into verl's.
    """

    run: str
    config: dict[str, str | int | float | bool | None]
    yaml: str
    steps: int
    next_step: int | None
    thinned: bool
    figures: dict[str, Figure]
    summary: dict[str, Summary]
    recorded: dict[str, Summary]
    omitted: list[Omitted]


@router.post("/runs/{run}/whatif", responses={200: {"model": Answer}})
def post_whatif(
    run: str,
    request: Request,
    configuration: Configuration,
    from_step: Steps = None,
    to_step: Steps = None,
    points: Annotated[int, Query(ge=8, le=MOST_POINTS)] = DEFAULT_POINTS,
    most: Annotated[int, Query(ge=1, le=MOST_STEPS)] = MOST_STEPS,
) -> Response:
    """Tell what a configuration of the correction would have given at every recorded step; nothing is changed.

    Figures bear the names of the catalogue and mean the same; `kept_fraction` and `seq_kept_fraction` are 1 less
    `rollout_is_masked_fraction` and `rollout_is_seq_masked_fraction`. Weights are those before normalisation.
    At `most` so many steps are looked at.
    """
    find_run(request, run)
    config = _read(configuration.model_dump(exclude_unset=True))
    store: Store = request.app.state.store
    found = what_if(store, run, config, from_step=from_step, to_step=to_step, points=points, most=most)
    return answer(
        {
            "run": run,
            "config": config.as_dict(),
            "yaml": as_verl_yaml(config),
            "steps": found.steps,
            "next_step": found.next_step,
            "thinned": found.thinned,
            "figures": {name: _columns(figure) for name, figure in found.figures.items()},
            "summary": found.summary,
            "recorded": found.recorded,
            "omitted": [
                {
                    "metric": metric,
                    "reason": reason,
                    "steps": one.steps,
                    "first_step": one.first_step,
                    "last_step": one.last_step,
                }
                for (metric, reason), one in found.omitted.items()
            ],
        }
    )


def _read(keys: dict[str, Any]) -> CorrectionConfig:
    """Return the configuration that is asked for, or refuse in its own words."""
    name = keys.pop("preset", None)
    keys.pop(_LOGPROBS, None)
    try:
        start = {} if name is None else dict(preset(name).keys)
        return CorrectionConfig.from_mapping(start | keys)
    except ValueError as error:
        # a key may hold what no text can
        detail = str(error).encode("utf-8", "backslashreplace").decode()
        raise HTTPException(422, detail[:2000]) from None


def _columns(figure: OverSteps) -> dict[str, Any]:
    return {
        "step": figure.step.tolist(),
        "exact": (figure.low == figure.high).tolist(),
        "low": figure.low.tolist(),
        "high": figure.high.tolist(),
    }
