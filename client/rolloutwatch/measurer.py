"""Between a trainer's call and the figures that are pushed: what can be computed is, and what cannot is counted."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from rolloutwatch.arguments import Given, groups_of, sample_ids_of
from rolloutwatch.drops import DropReason, Ledger
from rolloutwatch.figures import Figures, by_place, figures_of
from rolloutwatch.ranks import Company
from rolloutwatch.shown import said, shown, told
from rolloutwatch.tokens import TokenCapture, captured
from rolloutwatch_correction import Correction, Groups


class Measurer:
    """Corrects this process's part of a batch, and makes figures of it."""

    def __init__(
        self,
        company: Company,
        ledger: Ledger,
        group_names: tuple[str, ...] | None,
        capture: TokenCapture | None,
    ) -> None:
        self._company = company
        self._ledger = ledger
        self._group_names = group_names
        self._capture = capture

    def correct(self, step: object, given: Given) -> Correction:
        """Correct; what only figures need, and cannot be used, is left out and counted.

        Raises:
            ValueError: Nothing can be corrected, as `rolloutwatch_correction.correct` says.
        """
        more = self._more(step, given)
        try:
            return self._corrected(given, more)
        except Exception:
            if not more:
                raise
        # needed for some figures only, which must not cost the others and the weights
        correction = self._corrected(given, {})
        sound: dict[str, Any] = {}
        for name, value in more.items():
            try:
                correction = self._corrected(given, sound | {name: value})
                sound[name] = value
            except Exception as error:  # noqa: BLE001 - whatever it is
                self._without(step, name, error)
        return correction

    def figures(self, step: object, correction: Correction | None, given: Given | None) -> Figures | None:
        """Return what is to be pushed of a correction, None if there is none or nothing can be made of it."""
        if correction is None:
            return None
        try:
            correction = self._with_exact_ids(step, correction)
            return figures_of(correction, self._company.room, self._tokens(step, correction, given))
        except Exception as error:  # noqa: BLE001 - other ranks wait for this one all the same
            self._ledger.drop(DropReason.NOT_MEASURED, f"Step {shown(step)} was not measured: {told(error)}.")
            return None

    def _with_exact_ids(self, step: object, correction: Correction) -> Correction:
        """Return a correction with ids that can be sent, or without: one that the trainer has computed may have others."""
        ids = correction.sample_ids
        if ids is None or ids.dtype == torch.int64:
            return correction
        try:
            return replace(correction, sample_ids=sample_ids_of(ids, correction.sequences.device))
        except Exception as error:  # noqa: BLE001 - whatever it is
            self._without(step, "sample_ids", error)
            return replace(correction, sample_ids=None, sequences=by_place(correction.sequences))

    def _corrected(self, given: Given, more: dict[str, Any]) -> Correction:
        return self._company.corrected(*given.tensors, cu_seqlens=given.cu_seqlens, **more)

    def _more(self, step: object, given: Given) -> dict[str, Any]:
        """Return what figures can be made of beyond the log-probs, by the names that `correct` has for it."""
        makers: dict[str, tuple[Any, Callable[[Any], Any]]] = {
            "training_entropy": (given.training_entropy, lambda entropy: entropy),
            "groups": (given.groups, lambda groups: self._groups(groups, given)),
            "sample_ids": (given.sample_ids, lambda ids: sample_ids_of(ids, given.device)),
        }
        more = {}
        for name, (value, make) in makers.items():
            if value is None:
                continue
            try:
                more[name] = make(value)
            except Exception as error:  # noqa: BLE001 - whatever it is
                self._without(step, name, error)
        return more

    def _groups(self, groups: Any, given: Given) -> Groups:
        return self._company.accepted(groups_of(groups, self._group_names, given.device))

    def _tokens(self, step: object, correction: Correction, given: Given | None) -> Tensor | None:
        if self._capture is None or given is None or given.token_ids is None:
            return None
        try:
            return captured(self._capture, correction, (given.token_ids, *given.tensors), given.cu_seqlens)
        except Exception as error:  # noqa: BLE001 - whatever it is
            self._without(step, "tokens", error)
            return None

    def _without(self, step: object, name: str, error: Exception) -> None:
        self._ledger.drop(
            DropReason.NOT_MEASURED, f"Step {shown(step)} is measured without {name}: {said(error)}"
        )
