"""The whole public surface of the client: build a Monitor, call it in the training loop, close it."""

import dataclasses
import datetime
import operator
import os
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from rolloutwatch import endings
from rolloutwatch.adoption import Adopter
from rolloutwatch.arguments import Given, config_of, group_names_of, seconds_of
from rolloutwatch.connection import check_url
from rolloutwatch.decoding import Decoder
from rolloutwatch.drops import DropReason, Ledger
from rolloutwatch.hearing import Listener, OnAlert, check_listening
from rolloutwatch.jobs import Logged, Measured, Ready, Start
from rolloutwatch.marks import fields_of, kind_of
from rolloutwatch.measurer import Measurer
from rolloutwatch.push import RedisSink
from rolloutwatch.ranks import NO_STEP, Agreement, Parcel, agreed, company_of
from rolloutwatch.scalars import sorted_out
from rolloutwatch.shown import said, shown, told
from rolloutwatch.silent import Silent
from rolloutwatch.sink import Frame, Sink
from rolloutwatch.spool import Head, Spool, is_off, limit_of, root_of, transport_of
from rolloutwatch.tokens import TokenCapture
from rolloutwatch.transfer import Transfer
from rolloutwatch.worker import Health, Worker
from rolloutwatch_contract import Mark, Outcome, RunEnd, StepRecord, run_id
from rolloutwatch_contract.alerts import FiringAlert
from rolloutwatch_contract.catalogue import WEIGHT_AGE
from rolloutwatch_contract.keys import DEFAULT_REDIS_URL, REDIS_URL_VARIABLE, split_run_id
from rolloutwatch_contract.record import MAX_STEP, MarkKind
from rolloutwatch_correction import Correction, CorrectionConfig, Groups
from rolloutwatch_correction.distributed import ProcessGroup
from rolloutwatch_correction.inputs import TokensLike

SECONDS_TO_CLOSE = 5.0


class Monitor:
    """Measures the mismatch of each training step, corrects it if asked to, and pushes what it finds to Redis.

    In a trainer::

        monitor = rolloutwatch.Monitor(
            project="math", run="grpo-7b",
            config={"rollout_is": "token", "rollout_is_threshold": 2.0},
        )
        for step in range(steps):
            ...
            correction = monitor.correct(
                step=step,
                training_logprobs=training_logprobs,   # [B, T], of the policy that is trained
                rollout_logprobs=rollout_logprobs,     # [B, T], as the engine that generated reported them
                response_mask=response_mask,           # [B, T], 1 for valid response tokens
            )
            loss = (per_token_loss * correction.weights * correction.response_mask).sum() / ...
            monitor.log(step, {"reward": reward, "grad_norm": grad_norm})
        monitor.close()

    The caller's thread computes tensors and appends to a queue; a background thread does the rest.
    Once built, a monitor never waits for the network, and never raises but for one thing:
    `correct` raises where there is no correction that it could return.
    At the end of the process, by SIGTERM too, it delivers what it can within seconds.
    In a forked child, and in a copy that was sent to another process, it corrects and sends nothing:
    build one where it is to be used.

    Where ranks share a batch, each of them builds a monitor with the same arguments and the group of these ranks,
    and calls it equally often: every rank, every step, also without a sequence. They bring their figures together
    by one collective a step, in which they wait for one another as in any other, and the first one pushes;
    what the others log and mark goes nowhere.

    Args:
        project: What belongs together, such as "math"; letters, digits, '_', '.', '-'.
        run: The run's name within the project; one is made from date and time if it is None.
            The same name continues a run.
        config: The correction: the keys of verl's `algorithm.rollout_correction`, or a CorrectionConfig.
            None measures and corrects nothing.
        redis_url: Where to push to; ROLLOUTWATCH_REDIS_URL, else redis://127.0.0.1:6379/0, if it is None.
        sink: Where to push to instead of Redis, such as a MemorySink.
        spool_dir: The folder where records stand until the server has archived them, so that neither a night without
            Redis nor a killed trainer costs any; ROLLOUTWATCH_SPOOL_DIR, else ~/.local/state/rolloutwatch/spool,
            if it is None; "off" keeps them in memory alone. Many trainers can share one. Unused with `sink`.
        spool_limit: How many bytes this trainer's records may take there, and what former ones have left while nothing
            can be delivered; beyond it the oldest go and are counted;
            ROLLOUTWATCH_SPOOL_LIMIT, else 1 GiB, if it is None.
        process_group: The ranks that have the other parts of the batch, such as torch.distributed.group.WORLD;
            None means that this process has the whole batch, and no collective is called.
        push: Whether this process, or this group, pushes; False where another one has the same tokens and pushes them.
        group_names: All names that `groups` may have, which ranks need to be told beforehand.
        tokens: Which tokens of the worst sequences go along, and how they become text; None for none.
        alerts: Whether the server is listened to, for `alerts()`.
        on_alert: A function that is told when an alert of this run begins and when it ends, by an AlertEvent;
            with it the server is listened to. It is called by the trainer's own thread, at the beginning of `correct`,
            `observe`, `record`, `log` and `alerts`. What it raises is logged once and counted,
            except what ends a process: SystemExit and KeyboardInterrupt.

    Raises:
        ValueError: An argument cannot be what it is; the message says which, what was expected and what came.
            A Redis that does not answer is no error: it may come later.
    """

    def __init__(
        self,
        *,
        project: str,
        run: str | None = None,
        config: Mapping[str, Any] | CorrectionConfig | None = None,
        redis_url: str | None = None,
        sink: Sink | None = None,
        spool_dir: str | os.PathLike[str] | None = None,
        spool_limit: int | None = None,
        process_group: ProcessGroup | None = None,
        push: bool = True,
        group_names: Sequence[str] | None = None,
        tokens: TokenCapture | None = None,
        alerts: bool = False,
        on_alert: OnAlert | None = None,
    ) -> None:
        def settings_here() -> _Settings:
            _check_destination(sink, redis_url, spool_limit)
            check_listening(alerts, on_alert, sink)
            return _settings(project, run, config, group_names, tokens, push=push)

        settings = agreed(process_group, settings_here, lambda settings: settings.alike)
        self.run_id = run_id(project, settings.name)
        self.session = f"{int(1000 * time.time()):x}-{secrets.token_hex(4)}"
        self.config = settings.config
        self._last_step = 0
        self._synced_at: int | None = None
        self._transfer = Transfer()
        self._ledger = Ledger()
        self._decoder = None if tokens is None else Decoder(tokens, self._ledger)
        self._company = company_of(process_group, settings.agreement, self._ledger, push=push)
        self._measurer = Measurer(self._company, self._ledger, settings.group_names, tokens)
        self._listener = (
            Listener(self._ledger, on_alert, silent=not self._company.pushes) if alerts or on_alert else None
        )
        self._worker: Worker | Silent = (
            self._make_worker(sink, redis_url, spool_dir, spool_limit)
            if self._company.pushes
            else Silent(self._ledger, self._listener)
        )
        self._worker.put(Start(project, settings.name, self.config))
        self._worker.start()
        self._outcome = Outcome.FINISHED
        if self._company.pushes:  # else there is nothing to deliver
            endings.watch(self)

    def correct(
        self,
        *,
        step: int,
        training_logprobs: TokensLike,
        rollout_logprobs: TokensLike,
        response_mask: TokensLike,
        cu_seqlens: Tensor | None = None,
        training_entropy: TokensLike | None = None,
        groups: Groups | Sequence[str] | None = None,
        sample_ids: Tensor | Sequence[int] | None = None,
        token_ids: TokensLike | None = None,
    ) -> Correction:
        """Return weights and mask for the loss of this step, and push what was measured on the way.

        Args:
            step: The training step, an integer from 0.
            training_logprobs: Log-probs of the sampled tokens under the policy that is trained: [B, T],
                or B tensors of one sequence each, or packed [N].
            rollout_logprobs: The same as the engine that generated them reported them.
            response_mask: 1 for valid response tokens, 0 elsewhere; bool, integer or float.
            cu_seqlens: [B + 1] where each packed sequence begins, and the last one ends.
            training_entropy: Entropy of the training policy at each token, or a tensor of one number, its mean; optional.
            groups: The name of each sequence's group, such as its data source; core figures come for each group too,
                of at most 24, beyond which the rarest are called "others", and of `Groups` those named last.
                A name of other letters than a metric's, or of more than 40, is changed, and ends in a digest of what it was.
            sample_ids: [B] integers, the trainer's own numbers of the sequences; copied before this returns.
            token_ids: The sampled tokens; looked at only if the monitor was built with `tokens`.

        Returns:
            The correction of this process's part of the batch.

        Raises:
            ValueError: Nothing can be corrected: shapes differ, say. The message names the tensor, what was expected
                and what came; the step is counted as `not_corrected` and shown on the run's page.
                What only figures need, such as the entropy, costs these figures and is counted as `not_measured`.
            RuntimeError: Weights are to be divided by their mean over all ranks, and these cannot be reached.
        """
        given = Given(
            training_logprobs, rollout_logprobs, response_mask, cu_seqlens,
            training_entropy, groups, sample_ids, token_ids,
        )  # fmt: skip
        self._tell()
        try:
            correction = self._measurer.correct(step, given)
        except Exception:
            self._ledger.drop(DropReason.NOT_CORRECTED)
            self._push(step, None)  # the other ranks wait for this one
            raise
        return self._company.completed(correction, self._push(step, correction, given))

    def observe(
        self,
        *,
        step: int,
        training_logprobs: TokensLike,
        rollout_logprobs: TokensLike,
        response_mask: TokensLike,
        cu_seqlens: Tensor | None = None,
        training_entropy: TokensLike | None = None,
        groups: Groups | Sequence[str] | None = None,
        sample_ids: Tensor | Sequence[int] | None = None,
        token_ids: TokensLike | None = None,
    ) -> None:
        """Measure and push as `correct` does, change nothing, and never raise; what cannot be measured is counted."""
        given = Given(
            training_logprobs, rollout_logprobs, response_mask, cu_seqlens,
            training_entropy, groups, sample_ids, token_ids,
        )  # fmt: skip
        self._tell()
        correction = None
        try:
            correction = self._measurer.correct(step, given)
        except Exception as error:  # noqa: BLE001 - a guest does not break the house
            self._ledger.drop(DropReason.NOT_MEASURED, f"Step {shown(step)} was not measured: {said(error)}")
        self._push(step, correction, given)

    def record(self, step: int, correction: Correction) -> None:
        """Push what a correction measured that the trainer has computed itself, and never raise.

        For a trainer that calls `rolloutwatch_correction.correct` or a compiled one on its own,
        or merges the statistics of micro-batches. Ranks bring theirs together here, as in `correct` and `observe`.
        """
        self._tell()
        self._push(step, correction)

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Push any other scalars of a step, such as reward or learning rate.

        Values are numbers, or tensors and arrays of one number; a tensor on a GPU is not waited for.
        What cannot be one is left out and counted.
        """
        self._tell()
        try:
            self._log(step, values)
        except Exception as error:  # noqa: BLE001 - a guest does not break the house
            self._ledger.drop(DropReason.BAD_VALUE, f"Step {shown(step)} was not logged: {told(error)}.")

    def mark(self, kind: str, /, step: int | None = None, **fields: object) -> None:
        """Mark something that happened and is no figure, such as `monitor.mark("weight_sync", version=41)`.

        Args:
            kind: "weight_sync", "checkpoint", "config", behind which what is usual is learnt anew, or a name of your own, of the
                letters of a metric's name.
            step: When; the last step that this monitor was told of if it is None, and 0 before the first.
            fields: What else is to be known: texts, numbers, flags, None; anything else as text, cut to 1000 letters.
                A tensor of a GPU is left out: training would wait for it.

        What cannot be sent is left out and counted.
        """
        try:
            self._mark(kind, step, fields)
        except Exception as error:  # noqa: BLE001 - a guest does not break the house
            self._ledger.drop(DropReason.BAD_MARK, f"{shown(kind, 150)} was not marked: {told(error)}.")

    def alerts(self) -> tuple[FiringAlert, ...]:
        """Return the alerts of this run that fire, as last heard: every two seconds, by a thread that asks Redis.

        Returns at once. What was heard stays while nothing is heard; `health().alerts` says since when.
        """
        if self._listener is None:
            self._ledger.say_once(
                "alerts_off",
                "Monitor.alerts() has nothing to return, because this monitor does not listen: build it with alerts=True.",
            )
            return ()
        return self._listener.firing()

    def health(self) -> Health:
        """Return how the monitoring is."""
        return self._worker.health()

    def flush(self, timeout: float = SECONDS_TO_CLOSE) -> bool:
        """Wait at most `timeout` seconds until everything so far is in Redis; tell whether it is.

        Never raises: what is no number of seconds counts as the default, and a day is the longest that is waited.
        """
        return self._worker.flush(seconds_of(timeout, SECONDS_TO_CLOSE))

    def close(self, timeout: float = SECONDS_TO_CLOSE) -> bool:
        """End the run: deliver what can be delivered within `timeout` seconds; tell whether that was all.

        What could not be delivered is counted as `undelivered`, and the log says how much it was.
        Never raises: what is no number of seconds counts as the default, and a day is the longest that is waited.
        """
        delivered = self._worker.close(
            self._last_job(), time.monotonic() + seconds_of(timeout, SECONDS_TO_CLOSE)
        )
        endings.unwatch(self)
        return delivered

    def __enter__(self) -> "Monitor":
        """Return the monitor; leaving the block closes it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the monitor; an exception that leaves the block ends the run as crashed."""
        if error is not None and not isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
            self._outcome = Outcome.CRASHED
        self.close()

    def begin_to_end(self, deadline: float, *, crashed: bool) -> None:
        """Close without being waited for, as the process ends; the run did not get to its end if that has `crashed`."""
        if crashed:
            self._outcome = Outcome.CRASHED
        self._worker.begin_to_close(self._last_job(), deadline)

    def end(self, deadline: float) -> None:
        """Wait until it is closed, or for a moment of time.monotonic()."""
        self._worker.close(self._last_job(), deadline)

    def __reduce__(self) -> "tuple[Any, ...]":
        """Return what becomes of it in another process, a monitor that corrects and sends nothing."""
        return _elsewhere, (self.run_id, self.config)

    def _last_job(self) -> Ready:
        return Ready(lambda dropped: RunEnd(time.time(), self._outcome, dropped))

    def _make_worker(
        self,
        sink: Sink | None,
        redis_url: str | None,
        spool_dir: str | os.PathLike[str] | None,
        spool_limit: int | None,
    ) -> Worker:
        if sink is not None:
            return Worker(lambda: sink, self._ledger, listener=self._listener)
        url = check_url(_url(redis_url))
        root, limit = root_of(spool_dir), limit_of(spool_limit)
        run, session = self.run_id, self.session
        if root is None:
            if not is_off(spool_dir):
                self._ledger.say_once(
                    "home",
                    "There is no spool, because this user has no home: records wait in memory alone, and are lost if the "
                    "trainer ends before they are delivered. Name a folder with spool_dir= or ROLLOUTWATCH_SPOOL_DIR.",
                )
            return Worker(lambda: RedisSink(url, run, session), self._ledger, listener=self._listener)
        head = Head(run, session, transport_of(url))
        return Worker(
            lambda: RedisSink(url, run, session),
            self._ledger,
            spool=Spool(root, head, limit),
            others=Adopter(root, head.transport, lambda one: RedisSink(url, one.run, one.session)),
            listener=self._listener,
        )

    def _tell(self) -> None:
        """Let the trainer's function act on what is new, before anything else is done."""
        if self._listener is not None:
            self._listener.tell()

    def _push(self, step: object, correction: Correction | None, given: Given | None = None) -> Parcel | None:
        """Bring figures together with those of other ranks, and start them on their way; never raises."""
        number, parcel = self._step(step), None
        try:
            # other ranks wait for this one whatever its figures are
            figures = self._measurer.figures(step, correction, given)
            parcel = self._company.gather(NO_STEP if number is None else number, figures)
            if number is not None and parcel is not None and self._company.pushes:
                self._send(number, parcel)
        except Exception as error:  # noqa: BLE001 - a guest does not break the house
            self._ledger.drop(DropReason.NOT_MEASURED, f"Step {shown(step)} was not measured: {told(error)}.")
        return parcel

    def _send(self, step: int, parcel: Parcel) -> None:
        arrival = self._transfer.start(parcel.tensors)
        if arrival is None:
            self._ledger.drop(
                DropReason.TRANSFERS_FULL, f"Step {step} was not measured: too many copies are under way."
            )
            return
        size = sum(tensor.nbytes for tensor in parcel.tensors)
        beside = self._weight_age(step)
        self._worker.put(
            Measured(step, time.time(), arrival, parcel, self._decoder, self._ledger, size, beside)
        )

    def _weight_age(self, step: int) -> dict[str, float]:
        """Return for how many steps the rollout engine has had its weights; nothing if no sync was marked, or one ahead."""
        if self._synced_at is None or self._synced_at > step:
            return {}
        return {WEIGHT_AGE: float(step - self._synced_at)}

    def _mark(self, kind: object, step: object, fields: Mapping[str, object]) -> None:
        number = self._last_step if step is None else self._step(step)
        if number is None:
            return
        name = kind_of(kind)
        if name is None:
            self._ledger.drop(
                DropReason.BAD_MARK, f"{shown(kind, 150)} was not marked: expected a name like 'weight_sync'."
            )
            return
        kept, trouble = fields_of(fields)
        for what in trouble:
            self._ledger.drop(DropReason.BAD_MARK, f"Of mark {name!r}, field {what}")
        if name == MarkKind.WEIGHT_SYNC.value:
            self._synced_at = number
        now = time.time()
        self._worker.put(Ready(lambda dropped: Mark(number, now, name, kept, dropped=dropped)))

    def _log(self, step: int, values: Mapping[str, Any]) -> None:
        number = self._step(step)
        if number is None:
            return
        now = time.time()
        numbers, later = sorted_out(values, self._ledger)
        if later:
            arrival = self._transfer.start([torch.stack(_on_one_device(later.values()))])
            if arrival is None:
                self._ledger.drop(
                    DropReason.TRANSFERS_FULL, f"Step {step} was not logged: too many copies are under way."
                )
            else:
                self._worker.put(Logged(number, now, list(later), arrival))
        if numbers:
            self._worker.put(
                Ready(lambda dropped: StepRecord(number, now, numbers, dropped=dropped), len(numbers))
            )

    def _step(self, step: object) -> int | None:
        """Return the number of a step; None, counted, for what is none. Never raises."""
        try:
            # what is no integer is what this is for, and a flag is none
            number = -1 if isinstance(step, bool) else int(operator.index(step))  # type: ignore[arg-type]
        except Exception:  # noqa: BLE001 - it is somebody's own
            number = -1
        if not 0 <= number <= MAX_STEP:
            self._ledger.drop(
                DropReason.BAD_STEP, f"step is {shown(step)}: expected an integer from 0 to {MAX_STEP}."
            )
            return None
        self._last_step = number
        return number


def _on_one_device(scalars: Iterable[Tensor]) -> list[Tensor]:
    """Return scalars as they are, or on the device of the first where they are on several."""
    first, *others = scalars
    return [first, *(one.to(first.device, non_blocking=True) for one in others)]


class _Nowhere:
    """A sink of a monitor that has nothing to send."""

    def send(self, frames: Sequence[Frame]) -> int:
        return 0

    def close(self) -> None:
        pass


def _elsewhere(run: str, config: CorrectionConfig) -> Monitor:
    """Return the copy of a monitor that was sent to another process: records are for the one that built it to send."""
    project, name = split_run_id(run)
    copy = Monitor(project=project, run=name, config=config, sink=_Nowhere())
    copy.close()
    return copy


@dataclasses.dataclass(frozen=True)
class _Settings:
    """What the arguments of a monitor come to; can be sent to other ranks.

    `alike` is what has to be the same on every rank, by the name of the argument.
    """

    name: str
    config: CorrectionConfig
    group_names: tuple[str, ...] | None
    agreement: Agreement
    alike: Mapping[str, object]


def _settings(
    project: str,
    run: str | None,
    config: Mapping[str, Any] | CorrectionConfig | None,
    group_names: Sequence[str] | None,
    tokens: TokenCapture | None,
    *,
    push: bool,
) -> _Settings:
    """Check the arguments; ValueError if one of them cannot be what it is."""
    name = run if run is not None else _new_name()
    run_id(project, name)
    own, names = config_of(config), group_names_of(group_names)
    if tokens is not None and not isinstance(tokens, TokenCapture):
        raise ValueError(f"tokens is a {type(tokens).__name__}: expected a TokenCapture, or None.")
    agreement = Agreement(
        own,
        names or (),
        0 if tokens is None else tokens.words,
        0 if tokens is None else tokens.sequences,
    )
    alike = {
        "project": project,
        "run": run,
        **{f"config.{key}": value for key, value in own.as_dict().items()},
        "group_names": names,
        "the number of sequences in tokens": agreement.captured,
        "push": bool(push),
    }
    return _Settings(name, own, names, agreement, alike)


def _check_destination(sink: Sink | None, redis_url: str | None, spool_limit: int | None) -> None:
    """Check where to push to; ValueError if that cannot be."""
    if sink is None:
        check_url(_url(redis_url))
        limit_of(spool_limit)


def _url(redis_url: str | None) -> str:
    return redis_url or os.environ.get(REDIS_URL_VARIABLE) or DEFAULT_REDIS_URL


def _new_name() -> str:
    now = datetime.datetime.now(datetime.timezone.utc)
    return f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
