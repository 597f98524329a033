// How a run stands: the figures that came last, and how they are judged. What shows it is in run_*.js.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const WORDS = ["healthy", "warning", "critical"];
  const CLASSES = ["ok", "warning", "critical"];
  const UNTIL_ITS_FIRST_STEP = {
    live: "The trainer is there; its first step has not come yet.",
    stalled: "The trainer began, and no step has come.",
  };
  const STEPS_OF_TREND = 60;
  const SECONDS_FOR_SPEED = 20;

  // Of a run, at the end of what came so far; one who looks back makes another one of what had come by then.
  class Standing {
    // told: what pages/run.py tells of the run
    constructor(told) {
      this.told = told;
      this.state = told.state;
      [this.first, this.step] = [told.first, told.step];
      this.dropped = told.dropped;
      this.rivals = told.rivals;
      this.connected = true;
      this.madeAt = Date.now();
      this.heard = this.madeAt - 1000 * told.seconds_since_update;
      this.arrivals = [];
      this.alerts = []; // that fire, as alert.told has them
      this.alertMarks = []; // where alerts began, those that have ended too
      this.diagnosis = null; // {cause} while one is shown; the cause is "" where none is likely enough to be named
      this.begins = new Map(); // by figure, where what is wrong with it began
      this.recent = Object.create(null); // by names that a run chose, "constructor" say
      for (const [metric, one] of Object.entries(told.recent)) {
        // infinities are spelt, since JSON has none
        const values = one.value.map((value) => (typeof value === "string" ? Number(value) : value));
        this.recent[metric] = new rolloutwatch.Column(one.step, values);
      }
    }

    isConnected(yes) {
      if (yes && !this.connected) this.cameBack = Date.now();
      this.connected = yes;
    }

    began(summary) {
      [this.state, this.dropped, this.rivals] = [summary.state, summary.dropped, summary.rivals];
      // by the server's clock, as when the page was made; what was fetched late did not happen now
      const updated = 1000 * (summary.updated_at - this.told.updated_at - this.told.seconds_since_update);
      this.heard = Math.max(this.heard, this.madeAt + updated);
    }

    // time: undefined for what is old
    stepped(step, metrics, time) {
      if (this.first === null) this.first = step;
      if (this.step === null || step > this.step) {
        this.step = step;
        if (time !== undefined) this.arrivals.push([time, step]);
      }
      if (time !== undefined) this.heard = Date.now();
      for (const metric of this.leftOut(metrics)) if (this.recent[metric]) this.recent[metric].leaveOut(step);
      for (const [metric, value] of Object.entries(metrics)) {
        const column = (this.recent[metric] = this.recent[metric] || new rolloutwatch.Column());
        column.put(step, value);
        if (column.step.length > 2 * STEPS_OF_TREND) {
          column.step.splice(0, STEPS_OF_TREND);
          column.value.splice(0, STEPS_OF_TREND);
        }
      }
    }

    // The figures that a step does not have because not one of its log-probs was finite.
    leftOut(metrics) {
      const isUnreadable = (metrics[this.told.unreadable] || 0) >= 1;
      return isUnreadable ? this.told.measured.filter((metric) => !(metric in metrics)) : [];
    }

    // What is shown is how it was: the server does not answer, or the trainer has fallen silent.
    isOver() {
      return !this.connected || this.state === "stalled";
    }

    // How a figure is. `now` is its value, undefined if there is none at present; `small` says what there was.
    judge(tile) {
      const column = this.recent[tile.metric];
      if (!column) return { ...this.absent(tile), state: "unknown", values: [] };
      const values = column.value.slice(-STEPS_OF_TREND);
      const known = column.lastKnown();
      const last = known ? `${rolloutwatch.number(known.value)} at step ${known.step}` : "no finite value yet";
      if (rolloutwatch.isPast(column.step, this.step)) {
        return { state: "unknown", word: "unknown", small: known ? `${last}, none since` : last, values };
      }
      const [now, found] = [column.last(), rolloutwatch.verdict(this.told.rules, tile.metric, column.value)];
      if (found) {
        const lately = `${rolloutwatch.number(found.value)} at step ${column.step[found.at]}`;
        const isNow = found.at === column.value.length - 1;
        const small = isNow ? this.beside(tile) : lately;
        return { state: CLASSES[found.rule.severity], word: WORDS[found.rule.severity], now, isNow, small, values };
      }
      if (now === null) return { state: "unknown", word: "unknown", now, small: known ? `last ${last}` : last, values };
      return { state: "ok", word: "healthy", now, small: this.beside(tile), values };
    }

    absent(tile) {
      if (tile.off) return { word: "", small: tile.off, isOff: true };
      const failed = this.failed();
      if (failed.length) return { word: "not measured", small: failed.map(([, text]) => text).join(", ") };
      if (this.step !== null) return { word: "not measured", small: `no value up to step ${this.step}` };
      return this.state === "live" ? { word: "waiting", small: "no step yet" } : { word: "", small: "no step came" };
    }

    beside(tile) {
      const column = tile.beside && this.recent[tile.beside[0]];
      return column ? `${tile.beside[1]} ${rolloutwatch.number(column.last())}` : "";
    }

    // What could not be corrected or measured at all: reason and words, with the count.
    failed() {
      return ["not_corrected", "not_measured"]
        .filter((reason) => this.dropped[reason])
        .map((reason) => [reason, `${steps(this.dropped[reason])} ${this.told.losses[reason][0]}`]);
    }

    // Figures that are judged, and are of the present.
    judged() {
      const names = new Set(this.told.rules.map((rule) => rule.metric));
      const isPresent = (column) => !rolloutwatch.isPast(column.step, this.step) && column.last() !== null;
      return Object.entries(this.recent).filter(([metric, column]) => names.has(metric) && isPresent(column));
    }

    // The figures that are beyond their limits, the worst first, of several as bad the one that is so for longest:
    // the order stays as long as nothing begins or ends. One that jumps in and out of its limits is not healthy in between.
    broken() {
      const found = [];
      for (const metric of new Set(this.told.rules.map((rule) => rule.metric))) {
        const column = this.recent[metric];
        const isPresent = column && !rolloutwatch.isPast(column.step, this.step);
        const verdict = isPresent ? rolloutwatch.verdict(this.told.rules, metric, column.value) : null;
        if (verdict) found.push({ ...verdict, began: this.beginOf(verdict, column) });
        else this.begins.delete(metric);
      }
      return found.sort((one, other) => other.rule.severity - one.rule.severity || one.began.step - other.began.step);
    }

    // Since which step a figure is as bad as this; `atLeast` where it may be for longer than figures are kept here,
    // and no alert of its rule, which may be on its way, knows better.
    beginOf(verdict, column) {
      const { metric, severity, name } = verdict.rule;
      const known = this.begins.get(metric);
      const isKnown = known && known.severity === severity;
      if (isKnown && !known.atLeast) return known;
      const at = rolloutwatch.beginning(this.told.rules, verdict, column.value);
      const first = isKnown ? known.step : column.step[at];
      const isAll = !isKnown && (at >= rolloutwatch.STEPS_JUDGED || column.step[0] === this.first);
      const isOfIt = ({ step, fields }) => fields.rule === name && step <= first && (fields.until_step || Infinity) >= first;
      const alert = isAll ? undefined : this.alertMarks.find(isOfIt);
      const began = { severity, step: alert ? alert.step : first, atLeast: !isAll && !alert };
      this.begins.set(metric, began);
      return began;
    }

    // The server's time, in seconds.
    now() {
      return this.told.updated_at + this.told.seconds_since_update + (Date.now() - this.madeAt) / 1000;
    }

    // The tiles whose figure came once and has no value now.
    unknown() {
      return this.told.tiles.filter((tile) => this.recent[tile.metric] && this.judge(tile).state === "unknown");
    }

    // The tiles whose figure never came although others do, and nobody turned it off.
    unmeasured() {
      return this.told.tiles.filter((tile) => !this.recent[tile.metric] && !tile.off);
    }

    // Health in a word, with its colour: the worst of what is judged here, and of what alerts say.
    health(broken) {
      const severity = Math.max(0, ...broken.map(({ rule }) => rule.severity), ...this.alerts.map((one) => one.severity));
      if (severity) return [WORDS[severity], CLASSES[severity]];
      if (this.judged().length === 0) {
        if (this.failed().length) return ["not measured", "critical"];
        if (this.step !== null) return ["not measured", "unknown"];
        return [this.state === "live" ? "no step yet" : "no step", "unknown"];
      }
      // of two trainers one is shown, which says nothing of the other
      if (this.rivals.length) return ["partly shown", "unknown"];
      // the head is not healthier than its tiles
      return this.unknown().length || this.unmeasured().length ? ["partly measured", "unknown"] : ["healthy", "ok"];
    }

    // Why it is so, in a sentence: of the worst alert, which knows since when, else of the worst figure.
    headline(broken) {
      const worst = rolloutwatch.worstAlert(this.alerts);
      if (worst && (!broken.length || worst.severity >= broken[0].rule.severity)) {
        const of = broken.find(({ rule }) => rule.severity >= worst.severity && worst.metrics.includes(rule.metric));
        const since = of && of.began.step < worst.step ? of.began : worst;
        return rolloutwatch.alertText(worst, this.alerts.length - 1, since, worst.is_loss ? "" : this.probably());
      }
      if (broken.length) return rolloutwatch.verdictText(broken[0], this.probably());
      if (this.judged().length === 0) return this.silence();
      if (this.rivals.length) return "Of two trainers that write to this run one is shown.";
      const missing = [...this.unknown(), ...this.unmeasured()].map((tile) => tile.title);
      if (missing.length) return `${missing.join(", ")} ${missing.length === 1 ? "has" : "have"} no value now; the rest is within its limits.`;
      return "Every figure that is judged is within its limits.";
    }

    // The cause, if one is likely enough.
    probably() {
      return this.diagnosis ? this.diagnosis.cause : "";
    }

    // Why nothing is judged.
    silence() {
      if (this.step !== null) return `No figure that is judged has a value at step ${this.step}.`;
      return UNTIL_ITS_FIRST_STEP[this.state] || "The trainer ended before its first step.";
    }

    // By the trainer's clock: records that waited somewhere do not come faster than they were made.
    speed() {
      const newest = this.arrivals[this.arrivals.length - 1];
      if (!newest || this.state !== "live" || !this.connected) return "";
      if (Date.now() - this.heard > 1000 * SECONDS_FOR_SPEED) this.arrivals = [];
      this.arrivals = this.arrivals.filter(([time]) => newest[0] - time < SECONDS_FOR_SPEED);
      if (this.arrivals.length < 2) return "";
      return paceText(this.arrivals[0], newest);
    }

    // When the last of it came.
    age() {
      return `updated ${rolloutwatch.age((Date.now() - this.heard) / 1000)}`;
    }
  }

  // How fast steps came between two of them, each with its time.
  function paceText([began, first], [ended, last]) {
    return paceOf((last - first) / Math.max(ended - began, 1e-3));
  }

  function paceOf(perSecond) {
    return perSecond >= 1 ? `${perSecond.toFixed(1)} steps/s` : `${(1 / perSecond).toFixed(1)} s/step`;
  }

  function steps(count) {
    return `${count} ${count === 1 ? "step" : "steps"}`;
  }

  Object.assign(rolloutwatch, { Standing, paceText, stepsPerSecond: paceOf, STATES: { CLASSES, WORDS }, countedSteps: steps });
})();
