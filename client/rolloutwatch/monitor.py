"""The whole public surface of the client: build a Monitor, call it in the training loop, close it."""

import atexit
import datetime
import operator
import os
import re
import secrets
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from rolloutwatch import signals
from rolloutwatch.adoption import Adopter
from rolloutwatch.connection import check_url
from rolloutwatch.drops import DropReason, Ledger
from rolloutwatch.jobs import Logged, Measured, Ready, Start
from rolloutwatch.push import RedisSink
from rolloutwatch.sink import Frame, Sink
from rolloutwatch.spool import Head, Spool, limit_of, root_of, transport_of
from rolloutwatch.transfer import Transfer
from rolloutwatch.worker import Health, Worker
from rolloutwatch_contract import Outcome, RunEnd, StepRecord, run_id
from rolloutwatch_contract.keys import DEFAULT_REDIS_URL, REDIS_URL_VARIABLE, split_run_id
from rolloutwatch_contract.names import is_metric_name
from rolloutwatch_contract.record import MAX_SEQUENCES, MAX_STEP
from rolloutwatch_correction import (
    Correction,
    CorrectionConfig,
    Groups,
    correct,
    uncorrected,
)

SECONDS_TO_CLOSE = 5.0
SECONDS_TO_CLOSE_ON_SIGNAL = 3.0  # of which schedulers leave thirty, and impatient ones five
MAX_GROUPS = 24  # with twelve figures each, and all others, a record of at most 512
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_./-]")


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
    Once built, a monitor never waits for the network, and never raises but where a correction cannot be computed.
    At the end of the process, by SIGTERM too, it delivers what it can within seconds.
    In a forked child, and in a copy that was sent to another process, it corrects and sends nothing:
    build one where it is to be used.

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
        spool_limit: How many bytes may stand there, beyond which the oldest go and are counted;
            ROLLOUTWATCH_SPOOL_LIMIT, else 1 GiB, if it is None.
        strict: Let `correct` raise where it cannot correct, instead of returning weights of 1.

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
        strict: bool = False,
        spool_dir: str | os.PathLike[str] | None = None,
        spool_limit: int | None = None,
    ) -> None:
        name = run if run is not None else _new_name()
        self.run_id = run_id(project, name)
        self.session = f"{int(time.time()):x}-{secrets.token_hex(4)}"
        self.config = _config(config)
        self._strict = strict
        self._transfer = Transfer()
        self._ledger = Ledger()
        self._worker = self._make_worker(sink, redis_url, spool_dir, spool_limit)
        self._worker.put(Start(project, name, self.config))
        self._worker.start()
        self._outcome = Outcome.FINISHED
        atexit.register(self._close_at_exit)
        signals.watch(self)

    def correct(
        self,
        *,
        step: int,
        training_logprobs: Tensor,
        rollout_logprobs: Tensor,
        response_mask: Tensor,
        training_entropy: Tensor | None = None,
        groups: Groups | Sequence[str] | None = None,
    ) -> Correction:
        """Return weights and mask for the loss of this step, and push what was measured on the way.

        Args:
            step: The training step, an integer from 0.
            training_logprobs: [B, T] log-probs of the sampled tokens under the policy that is trained.
            rollout_logprobs: [B, T] the same as the engine that generated them reported.
            response_mask: [B, T] 1 for valid response tokens, 0 elsewhere; bool, integer or float.
            training_entropy: [B, T] entropy of the training policy at each token, or its mean; optional.
            groups: The name of each sequence's group, such as its data source; core figures come for each group too,
                of at most 24, beyond which the rarest are called "others".

        Returns:
            The correction. Where none can be computed, because shapes differ, say: weights of 1 and the mask
            as it came. That is said, counted as `not_corrected` and shown on the run's page; with `strict` it raises.

        Raises:
            ValueError: With `strict` alone, and then for what cannot be corrected, not for what cannot be measured.
        """
        tensors = (training_logprobs, rollout_logprobs, response_mask)
        try:
            correction = self._correct(step, tensors, training_entropy, groups)
        except Exception as error:
            if self._strict:
                raise
            self._ledger.drop(
                DropReason.NOT_CORRECTED,
                f"Step {step} was not corrected and trains with weights of 1: {error}",
            )
            return uncorrected(training_logprobs, response_mask, self.config)
        self.record(step, correction)
        return correction

    def observe(
        self,
        *,
        step: int,
        training_logprobs: Tensor,
        rollout_logprobs: Tensor,
        response_mask: Tensor,
        training_entropy: Tensor | None = None,
        groups: Groups | Sequence[str] | None = None,
    ) -> None:
        """Measure and push as `correct` does, change nothing, and never raise; what cannot be measured is counted."""
        tensors = (training_logprobs, rollout_logprobs, response_mask)
        try:
            correction = self._correct(step, tensors, training_entropy, groups)
        except Exception as error:  # noqa: BLE001 - a guest does not break the house
            self._ledger.drop(DropReason.NOT_MEASURED, f"Step {step} was not measured: {error}")
            return
        self.record(step, correction)

    def record(self, step: int, correction: Correction) -> None:
        """Push what a correction measured that the trainer has computed itself, and never raise.

        For a trainer that calls `rolloutwatch_correction.correct` or a compiled one on its own,
        or merges the statistics of micro-batches. `correct` and `observe` end with this.
        """
        try:
            self._record(step, correction)
        except Exception as error:  # noqa: BLE001 - a guest does not break the house
            self._ledger.drop(
                DropReason.NOT_MEASURED, f"Step {step} was not measured: {type(error).__name__}: {error}."
            )

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Push any other scalars of a step, such as reward or learning rate.

        Values are numbers, or tensors and arrays of one number; a tensor on a GPU is not waited for.
        What cannot be one is left out and counted.
        """
        try:
            self._log(step, values)
        except Exception as error:  # noqa: BLE001 - a guest does not break the house
            self._ledger.drop(
                DropReason.BAD_VALUE, f"Step {step} was not logged: {type(error).__name__}: {error}."
            )

    def health(self) -> Health:
        """Return how the monitoring is."""
        return self._worker.health()

    def flush(self, timeout: float = SECONDS_TO_CLOSE) -> bool:
        """Wait at most `timeout` seconds until everything so far is in Redis; tell whether it is."""
        return self._worker.flush(timeout)

    def close(self, timeout: float = SECONDS_TO_CLOSE) -> bool:
        """End the run: deliver what can be delivered within `timeout` seconds; tell whether that was all.

        What could not be delivered is counted as `undelivered`, and the log says how much it was.
        """
        atexit.unregister(self._close_at_exit)
        signals.unwatch(self)
        return self._worker.close(Ready(lambda dropped: RunEnd(time.time(), self._outcome, dropped)), timeout)

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

    def close_on_signal(self) -> None:
        """End as a process that was told to: the run did not get to its end."""
        self._outcome = Outcome.CRASHED
        self._worker.close(self._end(), SECONDS_TO_CLOSE_ON_SIGNAL)

    def __reduce__(self) -> "tuple[Any, ...]":
        """Return what becomes of it in another process, a monitor that corrects and sends nothing."""
        return _elsewhere, (self.run_id, self.config)

    def _end(self) -> Ready:
        return Ready(lambda dropped: RunEnd(time.time(), self._outcome, dropped))

    def _close_at_exit(self) -> None:
        # the interpreter has noted an exception that nobody caught before it comes here
        if getattr(sys, "last_value", None) is not None and not isinstance(sys.last_value, KeyboardInterrupt):
            self._outcome = Outcome.CRASHED
        self.close()

    def _make_worker(
        self,
        sink: Sink | None,
        redis_url: str | None,
        spool_dir: str | os.PathLike[str] | None,
        spool_limit: int | None,
    ) -> Worker:
        if sink is not None:
            return Worker(lambda: sink, self._ledger)
        url = check_url(redis_url or os.environ.get(REDIS_URL_VARIABLE) or DEFAULT_REDIS_URL)
        root, limit = root_of(spool_dir), limit_of(spool_limit)
        run, session = self.run_id, self.session
        if root is None:
            return Worker(lambda: RedisSink(url, run, session), self._ledger)
        head = Head(run, session, transport_of(url))
        return Worker(
            lambda: RedisSink(url, run, session),
            self._ledger,
            spool=Spool(root, head, limit),
            others=Adopter(root, head.transport, lambda one: RedisSink(url, one.run, one.session), limit),
        )

    def _correct(
        self,
        step: int,
        tensors: tuple[Tensor, Tensor, Tensor],
        entropy: Tensor | None,
        groups: Groups | Sequence[str] | None,
    ) -> Correction:
        try:
            named = groups if groups is None or isinstance(groups, Groups) else _groups(groups, tensors[0])
            return correct(*tensors, self.config, training_entropy=entropy, groups=named)
        except Exception as error:
            if entropy is None and groups is None:
                raise
            # needed for some figures only, which must not cost the others and the weights
            correction = correct(*tensors, self.config)
            self._ledger.drop(
                DropReason.NOT_MEASURED,
                f"Step {step} has no figures of groups and no surprise gap: {error}",
            )
            return correction

    def _record(self, step: int, correction: Correction) -> None:
        number = self._step(step)
        if number is None:
            return
        statistics = correction.statistics
        sequences = correction.sequences
        if sequences.shape[0] > MAX_SEQUENCES:
            sequences = sequences[:MAX_SEQUENCES]
        tensors = [statistics.vector, sequences]
        if statistics.by_group is not None:
            tensors.append(statistics.by_group)
        arrival = self._transfer.start(tensors)
        if arrival is None:
            self._ledger.drop(
                DropReason.TRANSFERS_FULL, f"Step {step} was not measured: too many copies are under way."
            )
            return
        size = sum(tensor.nbytes for tensor in tensors)
        self._worker.put(Measured(number, time.time(), arrival, correction.config, statistics.groups, size))

    def _log(self, step: int, values: Mapping[str, Any]) -> None:
        number = self._step(step)
        if number is None:
            return
        now, numbers, later = time.time(), {}, {}
        for name, value in values.items():
            if not is_metric_name(name):
                self._ledger.drop(
                    DropReason.BAD_NAME, f"{name!r:.150} was not logged: expected a name like 'train/reward'."
                )
            elif type(value) is float:  # nearly all are, and need not be asked
                numbers[name] = value
            elif isinstance(value, Tensor) and value.is_cuda and value.numel() == 1:
                later[name] = value.detach().reshape(()).to(torch.float64, copy=True)
            else:
                try:
                    numbers[name] = _number(value)
                except Exception as error:  # noqa: BLE001 - whatever it is, the others can be logged
                    self._ledger.drop(
                        DropReason.BAD_VALUE, f"{name!r} was not logged: expected one number: {error}."
                    )
        if later:
            arrival = self._transfer.start([torch.stack(list(later.values()))])
            if arrival is None:
                self._ledger.drop(
                    DropReason.TRANSFERS_FULL, f"Step {step} was not logged: too many copies are under way."
                )
            else:
                self._worker.put(Logged(number, now, list(later), arrival))
        if numbers:
            self._worker.put(Ready(lambda dropped: StepRecord(number, now, numbers, dropped=dropped)))

    def _step(self, step: object) -> int | None:
        try:
            number = operator.index(step)  # type: ignore[arg-type]  # what is no integer is what this is for
        except TypeError:
            number = -1
        if isinstance(step, bool) or not 0 <= number <= MAX_STEP:
            self._ledger.drop(
                DropReason.BAD_STEP, f"step is {step!r:.100}: expected an integer from 0 to {MAX_STEP}."
            )
            return None
        return number


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


def _config(config: Mapping[str, Any] | CorrectionConfig | None) -> CorrectionConfig:
    if isinstance(config, CorrectionConfig):
        return config
    if config is None:
        return CorrectionConfig()
    if not isinstance(config, Mapping):
        raise ValueError(
            f"config is a {type(config).__name__}: expected a mapping such as {{'rollout_is': 'token'}}, "
            "a CorrectionConfig, or None."
        )
    return CorrectionConfig.from_mapping(config)


def _groups(labels: Sequence[str], logprobs: Tensor | Sequence[Tensor]) -> Groups:
    """Return groups on the device of the log-probs, by names that a metric can have; more than a record holds become one."""
    names = [_NOT_IN_A_NAME.sub("_", str(label))[:40] or "_" for label in labels]
    if len(set(names)) > MAX_GROUPS:
        most = {name for name, _ in Counter(names).most_common(MAX_GROUPS - 1)}
        names = [name if name in most else "others" for name in names]
    first = logprobs if isinstance(logprobs, Tensor) else next(iter(logprobs), torch.zeros(()))
    return Groups.of(names, device=first.device)


def _number(value: Any) -> float:
    """Return a number, or an array or a tensor of one, as a float. NumPy's float64 is a float, and slow to be asked."""
    is_plain = isinstance(value, (float, int)) or not hasattr(value, "item")
    return float(value if is_plain else value.item())


def _new_name() -> str:
    now = datetime.datetime.now(datetime.timezone.utc)
    return f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
