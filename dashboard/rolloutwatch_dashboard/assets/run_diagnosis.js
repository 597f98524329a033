// What is probably wrong with a run: asked for while alerts stand and steps come, and of each step that is replayed.
// What is said is made by the server (pages/run_diagnosis.py); here it is decided when to ask, and whether it is still true.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const MS_BETWEEN_QUESTIONS = 5000;
  const MS_BETWEEN_REPLAYED = 500;
  const $ = (id) => document.getElementById(id);

  rolloutwatch.RunDiagnosis = class {
    constructor() {
      this.asked = { which: null, step: null };
      // dash makes elements anew with all news: what somebody has opened stays so, and who is at one of them is at the same one again
      this.open = new Set();
      this.remember = ({ target }) => {
        this.focused = target.closest("#diagnosis") ? target : null;
        this.focusedName = this.focused && nameOf(target);
      };
      document.addEventListener("focusin", this.remember);
      this.changes = new MutationObserver(() => this.dress());
    }

    close() {
      this.changes.disconnect();
      document.removeEventListener("focusin", this.remember);
      if (this.place) this.place.removeEventListener("toggle", this.onToggle, true);
    }

    // standing: how the run stands, or stood; it is told what is probably the cause. isConnected: whether the server answers.
    look(standing, isConnected) {
      if (!$("diagnosis")) return;
      if (!this.place) this.begin($("diagnosis"));
      if (isConnected && !document.hidden) this.askIfDue(standing);
      const told = this.told();
      const isTrue = told !== null && (told.at !== "") === isReplayed(standing) && !(isReplayed(standing) && !standing.alerts.length);
      standing.diagnosis = isTrue && this.place.querySelector(".diagnosis") ? { cause: told.cause || "" } : null;
      this.place.hidden = standing.diagnosis === null;
    }

    // The page came with what is known now.
    begin(place) {
      this.place = place;
      const told = this.told();
      if (told && told.step !== undefined) this.asked = { which: `now ${told.alerts}`, step: Number(told.step) };
      this.askedAt = Date.now();
      this.onToggle = ({ target }) => target.isConnected && this.open[target.open ? "add" : "delete"](target.dataset.name);
      place.addEventListener("toggle", this.onToggle, true);
      this.changes.observe(place, { childList: true, subtree: true });
    }

    // What the server has said last; null where that is nothing.
    told() {
      const found = this.place.querySelector("[data-at]");
      return found && found.dataset;
    }

    dress() {
      for (const details of this.place.querySelectorAll("details")) {
        if (details.open !== this.open.has(details.dataset.name)) details.open = !details.open;
      }
      const former = this.focused;
      if (!former || former.isConnected || document.activeElement !== document.body) return;
      const same = Array.from(this.place.querySelectorAll(former.localName)).find((one) => nameOf(one) === this.focusedName);
      if (same) same.focus({ preventScroll: true });
    }

    // Other alerts are asked about at once; that the same ones have become older can wait. Where nothing has changed nothing is asked.
    askIfDue(standing) {
      const { alerts, step } = standing;
      const isPast = isReplayed(standing);
      const which = `${isPast ? "then" : "now"} ${alerts.map(({ id }) => id).sort().join(" ")}`;
      if (!alerts.length && (isPast || this.asked.which === null)) return;
      if (which === this.asked.which) {
        const isRested = Date.now() - this.askedAt >= (isPast ? MS_BETWEEN_REPLAYED : MS_BETWEEN_QUESTIONS);
        if (!alerts.length || step === this.asked.step || !isRested) return;
      }
      [this.asked, this.askedAt] = [{ which, step }, Date.now()];
      window.dash_clientside.set_props("diagnosis-watch", { data: { step: isPast ? step : null, at: this.askedAt } });
    }
  };

  // as it is called, where it leads, and in what it is folded
  const nameOf = (one) => [one.textContent, one.href, (one.closest("[data-name]") || one).dataset.name].join();
  const isReplayed = (standing) => standing.state === "replay";
})();
