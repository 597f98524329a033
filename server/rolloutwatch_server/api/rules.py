"""The rules that say when to call a person: those in force, others to put in force, others to try."""

import hashlib
import json
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from rolloutwatch_contract import guides
from rolloutwatch_contract.protocol import Origin, Phase, RulesView
from rolloutwatch_contract.rule_errors import RuleError
from rolloutwatch_contract.rules import Rule
from rolloutwatch_server.alerts.rulebook import SENT, Rulebook, RulesAreInAFile
from rolloutwatch_server.alerts.rules_file import decoded
from rolloutwatch_server.alerts.standing import standing
from rolloutwatch_server.alerts.trial import Busy, Trial, try_rules
from rolloutwatch_server.api.alerts import Severity
from rolloutwatch_server.api.answers import NOT_STORED, PROBLEM, Problem, answer, problem
from rolloutwatch_server.api.bodies import Sent, unknown_key
from rolloutwatch_server.api.caching import is_known, names_it, not_modified, tagged
from rolloutwatch_server.api.runs import find_run
from rolloutwatch_server.security.identity import identity_of
from rolloutwatch_server.spelling import Spelt, spelt_all
from rolloutwatch_server.store import RulesChanged

router = APIRouter(tags=["rules"])

JSON = "application/json"


class OneRule(BaseModel):
    """A rule as it is read; what each key means stands in docs/rules.md."""

    name: str
    severity: Severity
    when: str
    clear: str | None
    for_steps: int
    for_seconds: float
    clear_steps: int
    runs: list[str]
    enabled: bool
    summary: str
    cure: str
    guide: str


class Rules(BaseModel):
    """The rules in force, who put them there and when (seconds since 1970, null for the default ones), and the TOML itself.

    If they belong to a file, it is named, and `problem` says why what it says now is not in force.
    """

    origin: Origin
    version: int
    author: str
    time: float | None
    file: str
    problem: str
    document: str
    rules: list[OneRule]


class RefusedRules(Problem):
    """Why rules are refused, and where: rule and key by name, line and column from 1, as far as each is known."""

    file: str
    rule: str | None
    key: str | None
    line: int | None
    column: int | None
    expected: str
    came: str


class Document(Sent):
    """Rules in TOML."""

    document: str


class WouldBe(BaseModel):
    """What a rule would have done at a step of a run; times are the records', in seconds since 1970."""

    rule: str
    severity: Severity
    change: str
    epoch: int
    step: int
    time: float | None
    values: dict[str, Spelt]
    reason: str
    quiet: bool


class OnARun(BaseModel):
    """What rules would have done on a run, from its first step to `to_step`.

    It is not `complete` if there are more steps, or more to tell, than one answer has room and time for.
    """

    run: str
    from_step: int | None
    to_step: int | None
    steps: int
    complete: bool
    transitions: list[WouldBe]


class Checked(BaseModel):
    """The rules as they are read, and what they would have done, if a run was named."""

    rules: list[OneRule]
    run: OnARun | None


class Stands(BaseModel):
    """How a rule stands on a run, unknown before it could be judged; and why it can never fire there, null if it can."""

    rule: str
    severity: Severity
    phase: Phase
    why_never: str | None


class OnRun(BaseModel):
    """The rules that watch a run, in their order."""

    run: str
    rules: list[Stands]


_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "text/toml": {"schema": {"type": "string"}},
            JSON: {"schema": Document.model_json_schema()},
        },
    }
}
_REFUSED: dict[int | str, dict[str, Any]] = {
    422: {
        "description": "Rules that cannot be",
        "content": {
            PROBLEM: {"schema": {"anyOf": [RefusedRules.model_json_schema(), Problem.model_json_schema()]}}
        },
    }
}


@router.get("/rules", responses={200: {"model": Rules}})
def get_rules(request: Request) -> Response:
    """Return the rules in force. The ETag names them, for `If-Match` when others are saved."""
    view = _rulebook(request).view()
    tag = _tag(view)
    return not_modified(tag) if is_known(request, tag) else _rules(view)


@router.put("/rules", responses={200: {"model": Rules}, **_REFUSED}, openapi_extra=_BODY)
async def put_rules(request: Request) -> Response:
    """Put rules in force, all of them or none, from the next record on.

    With `If-Match` only if those are in force that it names, else 412. If rules belong to a file, 409.
    An alert of a rule that is changed, or gone, ends; words and severity may change, and it goes on.
    """
    document = await _document(request)
    return await _saving(request, lambda book, who, version: book.save(document(), who, version))


@router.delete("/rules", responses={200: {"model": Rules}})
async def delete_rules(request: Request) -> Response:
    """Put the default rules in force, as `PUT` does others."""
    return await _saving(request, lambda book, who, version: book.reset(who, version))


@router.post("/rules/check", responses={200: {"model": Checked}, **_REFUSED}, openapi_extra=_BODY)
async def post_check(request: Request, run: Annotated[str | None, Query(max_length=300)] = None) -> Response:
    """Read rules as `PUT` does and change nothing; with `run` tell what they would have done on that run so far."""
    document = await _document(request)

    def check() -> Response:
        if run is not None:
            find_run(request, run)
        try:
            rules = _rulebook(request).check(document())
        except RuleError as error:
            return _refused(error)
        try:
            trial = None if run is None else try_rules(request.app.state.store, run, rules.rules)
        except Busy as error:
            return problem(503, "Busy", str(error))
        told = None if trial is None else _trial(trial)
        return answer({"rules": [rule_fields(rule) for rule in rules.rules], "run": told})

    return await run_in_threadpool(check)


@router.get("/runs/{run}/rules", responses={200: {"model": OnRun}})
def get_rules_of_run(run: str, request: Request) -> Response:
    """Tell how each rule that watches a run stands there, and whether it can fire at all under the run's configuration."""
    detail = find_run(request, run)
    rules = _rulebook(request).rules()
    severities = {rule.name: rule.severity.word for rule in rules}
    found = standing(request.app.state.store, rules, detail)
    told = [msgspec.structs.asdict(one) | {"severity": severities[one.rule]} for one in found]
    return answer({"run": run, "rules": told})


def rule_fields(rule: Rule) -> dict[str, Any]:
    """Return a rule as the API tells it."""
    fields: dict[str, Any] = msgspec.structs.asdict(rule)
    clear = None if rule.clear is None else rule.clear.text
    words = {"severity": rule.severity.word, "when": rule.when.text, "clear": clear}
    return fields | words | {"guide": guides.link(rule.guide)}


def _rules(view: RulesView) -> Response:
    fields = msgspec.structs.asdict(view) | {"rules": [rule_fields(rule) for rule in view.rules]}
    return answer(fields, headers=tagged(_tag(view)))


def _tag(view: RulesView) -> str:
    """Return the name of the rules in force; the default ones have the same as long as nobody has put them there."""
    version = view.version if view.author else 0
    told = repr((version, view.document, view.file, view.problem)).encode()
    return f'"{version}-{hashlib.blake2b(told, digest_size=8).hexdigest()}"'


async def _saving(request: Request, save: Callable[[Rulebook, str, int | None], RulesView]) -> Response:
    def saved() -> Response:
        book = _rulebook(request)
        try:
            view = book.view()
            version = None
            if "if-match" in request.headers:
                version = view.version
                if not names_it(request.headers["if-match"], _tag(view)):
                    raise RulesChanged(version)
            return _rules(save(book, identity_of(request).name, version))
        except RuleError as error:
            return _refused(error)
        except RulesChanged as error:
            return problem(412, "Changed meanwhile", str(error))
        except RulesAreInAFile as error:
            return problem(409, "In a file", str(error))

    return await run_in_threadpool(saved)


async def _document(request: Request) -> Callable[[], str]:
    """Take in what is sent, of which the doors have seen to length and type; return what reads it, or raises RuleError."""
    sent = await request.body()
    is_json = request.headers.get("content-type", "").partition(";")[0].strip().lower() == JSON
    return lambda: decoded(_in_json(sent) if is_json else sent, SENT)


def _in_json(sent: bytes) -> bytes:
    try:
        told = json.loads(sent)
    except (ValueError, RecursionError) as error:
        return _no_document(f"{type(error).__name__}: {error}")
    if not isinstance(told, dict):
        return _no_document(repr(told))
    known = list(Document.model_fields)
    for key in told:
        if key not in known:
            return _no_document(unknown_key(key, known).removesuffix("."))
    document = told.get("document")
    if not isinstance(document, str):
        return _no_document("nothing" if document is None else repr(document))
    try:
        return document.encode()
    except UnicodeEncodeError as error:
        return _no_document(str(error))


def _no_document(came: str) -> bytes:
    expected = '{"document": "..."} in JSON'
    came = came[:100].encode("utf-8", "backslashreplace").decode()
    raise RuleError(f"expected {expected}; came {came}.", file=SENT, expected=expected, came=came)


def _refused(error: RuleError) -> Response:
    where = {
        name: getattr(error, name) for name in ("file", "rule", "key", "line", "column", "expected", "came")
    }
    body = {
        "type": "about:blank",
        "title": "Rules that cannot be",
        "status": 422,
        "detail": str(error),
    } | where
    return Response(msgspec.json.encode(body), 422, NOT_STORED, PROBLEM)


def _trial(trial: Trial) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.structs.asdict(trial)
    transitions = [
        {
            "rule": rule.name,
            "severity": rule.severity.word,
            "change": one.change.value,
            "values": spelt_all(one.values),
            **{name: getattr(one, name) for name in ("epoch", "step", "time", "reason", "quiet")},
        }
        for rule, one in trial.transitions
    ]
    return fields | {"transitions": transitions}


def _rulebook(request: Request) -> Rulebook:
    book: Rulebook = request.app.state.rulebook
    return book
