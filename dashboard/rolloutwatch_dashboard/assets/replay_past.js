// Looking back: how a run stood at a step, where it was worst, and how fast its time passes. Nothing here asks the server.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const LEAST_OF_TREND = 20; // a figure that came less often in the window is taken from the whole run
  const SECONDS_OF_A_STEP = 1; // where nothing is known of a run's times
  const SECONDS_OF_A_GAP = 60; // what a longer pause is cut to, or
  const STEPS_OF_A_GAP = 10; // so many steps' time, where that is longer
  const WORST_WITHOUT_LIMITS = "mismatch_k3_kl";
  const SEVERITIES = { warning: 1, critical: 2 };

  // The place of the last of ascending steps that is not after this one; -1 if all are.
  rolloutwatch.placeOf = function (steps, step) {
    let [low, high] = [0, steps.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (steps[middle] <= step) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  };

  const NONE = { step: [], value: [] };

  // A series of those that there are; a run may call its metrics anything, "constructor" say.
  const seriesOf = (all, metric) => (Object.hasOwn(all, metric) ? all[metric] : NONE);

  // What had come of a series by a step.
  function upTo({ step, value }, last) {
    const count = rolloutwatch.placeOf(step, last) + 1;
    return { step: step.slice(0, count), value: value.slice(0, count) };
  }

  // The newest figures at a step, by metric: exact ones of a window that ends there or later, and before it, of those
  // that come seldom, what is known of the whole run. A figure that is missing because no log-prob was finite is null.
  rolloutwatch.recentAt = function (step, window, whole, told) {
    const found = Object.create(null);
    const unreadable = upTo(seriesOf(window, told.unreadable), step);
    const voids = unreadable.step.filter((_, at) => unreadable.value[at] >= 1);
    for (const metric of Object.keys(window)) {
      const lately = upTo(window[metric], step);
      const column = new rolloutwatch.Column(lately.step, lately.value);
      if (column.step.length < LEAST_OF_TREND) {
        const earlier = upTo(seriesOf(whole, metric), column.step.length ? column.step[0] - 1 : step);
        const first = Math.max(0, earlier.step.length - 2 * LEAST_OF_TREND);
        earlier.step.slice(first).forEach((one, at) => column.put(one, earlier.value[first + at]));
      }
      if (!column.step.length) continue;
      if (told.measured.includes(metric)) voids.forEach((one) => column.leaveOut(one));
      found[metric] = column;
    }
    return found;
  };

  // How a run stood when a step had come. What was lost, and who else wrote to it, is known of the whole run alone.
  rolloutwatch.PastStanding = class extends rolloutwatch.Standing {
    // steps, times: some that were recorded up to this one, which is the last of them
    constructor(told, recent, steps, times) {
      super(told);
      Object.assign(this, { state: "replay", dropped: {}, rivals: [], recent });
      this.step = steps[steps.length - 1];
      this.times = times;
      this.steps = steps;
    }

    isOver() {
      return false;
    }

    // the bar says it
    age() {
      return "";
    }

    // When the step was made, in words.
    moment() {
      const time = this.times[this.times.length - 1];
      return time === null ? "at an unknown time" : rolloutwatch.moment(time);
    }

    // These alerts stood, as /alerts tells them: all that is said of them until the server has said what was said by then.
    stood(alerts) {
      this.alerts = alerts.map(({ id, severity, rule, summary, firing_step: step, firing_time: time, values }) => ({
        id,
        severity: SEVERITIES[severity],
        rule,
        summary,
        step,
        time,
        metrics: Object.keys(values),
        known: [],
        notes: [],
        calls: true,
      }));
    }

    // What had been said of alerts by then, as alert.told has it.
    hear(alerts) {
      const known = new Map(alerts.map((one) => [one.id, one]));
      this.alerts = this.alerts.map((one) => known.get(one.id) || one);
    }

    // When the step was made; where nobody knows, when the last of the alerts began.
    now() {
      const time = this.times[this.times.length - 1];
      return time === null ? Math.max(0, ...this.alerts.map((one) => one.time)) : time;
    }

    speed() {
      const known = this.steps.map((step, at) => [this.times[at], step]).filter(([time]) => time !== null);
      return known.length < 2 ? "" : rolloutwatch.paceText(known[0], known[known.length - 1]);
    }
  };

  // The alerts that stand after a step, as /alerts tells them; the server's `alerts_at`.
  rolloutwatch.alertsAt = function (alerts, step) {
    return alerts.filter((one) => !one.given_up && one.firing_step <= step && (one.resolved_step === null || one.resolved_step > step));
  };

  // The step at which the first alert of a run began; null if none ever did.
  rolloutwatch.firstAlert = function (alerts) {
    const steps = alerts.filter((one) => !one.given_up).map((one) => one.firing_step);
    return steps.length ? Math.min(...steps) : null;
  };

  // How far a value is beyond a limit, so that figures of different kinds can be compared: by how many times its limit,
  // as a logarithm, if both have a sign and it is the same one; else by how many limits, or as it is where the limit is 0.
  rolloutwatch.surplus = function (rule, value) {
    if (value === null || value === undefined) return 0;
    const limit = rule.above !== null && value > rule.above ? rule.above : rule.below !== null && value < rule.below ? rule.below : null;
    if (limit === null) return 0;
    if (limit === 0) return Math.abs(value);
    if (value * limit > 0) return Math.abs(Math.log(value / limit));
    return value === 0 ? Infinity : Math.abs(value - limit) / Math.abs(limit);
  };

  // The worst step of a run: the one that is farthest beyond a critical limit, the first of equals; where none is broken,
  // the one with the highest K3. Thinned series do, because these keep their extremes. null if neither is known.
  // What is not finite has no size, and is not compared.
  rolloutwatch.worstStep = function (rules, series) {
    const pairs = (metric, size) => {
      const { step, value } = seriesOf(series, metric);
      return step.map((one, at) => [one, size(value[at])]);
    };
    const limits = rules.filter((rule) => rule.severity === SEVERITIES.critical);
    const beyond = limits.flatMap((rule) => pairs(rule.metric, (value) => rolloutwatch.surplus(rule, value))).filter(([, by]) => by > 0);
    const known = beyond.length ? beyond : pairs(WORST_WITHOUT_LIMITS, (value) => value).filter(([, value]) => value !== null);
    const isWorse = ([step, by], [other, most]) => by > most || (by === most && step < other);
    const worst = known.reduce((found, one) => (found === null || isWorse(one, found) ? one : found), null);
    return worst && worst[0];
  };

  // "s10": ten steps a second; "x10": ten times as fast as it was.
  rolloutwatch.paceOf = function (text) {
    const found = /^([sx])([0-9]{1,4})$/.exec(text);
    return found && Number(found[2]) > 0 ? { asItWas: found[1] === "x", rate: Number(found[2]) } : { asItWas: false, rate: 10 };
  };

  function median(values) {
    const sorted = values.slice().sort((one, other) => one - other);
    const middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  // How many seconds before each step the one before it came, as the server's replay has it: long pauses are cut.
  rolloutwatch.pausesOf = function (times) {
    const apart = times.map((time, at) => (at && time !== null && times[at - 1] !== null ? time - times[at - 1] : null));
    const known = apart.filter((seconds) => seconds !== null && seconds >= 0);
    const usual = known.length ? median(known) : SECONDS_OF_A_STEP;
    const most = Math.max(SECONDS_OF_A_GAP, STEPS_OF_A_GAP * usual);
    return apart.map((seconds) => (seconds === null ? usual : Math.min(Math.max(0, seconds), most)));
  };

  // What plays: where it is on a stretch of steps, at which pace, and whether it moves. The time that passes is given to it.
  rolloutwatch.Player = class {
    constructor() {
      this.step = null;
      this.pace = rolloutwatch.paceOf("s10");
      this.playing = false;
      this.credit = 0; // seconds since the step was shown, at most until the next one is due
    }

    seek(step) {
      this.step = step;
      this.credit = 0;
    }

    setPace(text) {
      this.pace = rolloutwatch.paceOf(text);
      this.credit = 0;
    }

    setPlaying(playing) {
      this.playing = playing;
      this.credit = 0;
    }

    // Let seconds pass on a stretch, {step, pauses}: go to the last step that is due by then.
    // Tells whether the stretch was too short for it; the rest of the time is kept.
    pass(seconds, stretch) {
      if (!this.playing) return false;
      this.credit += seconds;
      let at = rolloutwatch.placeOf(stretch.step, this.step);
      for (; at + 1 < stretch.step.length; at++) {
        const pause = this.pace.asItWas ? stretch.pauses[at + 1] / this.pace.rate : 1 / this.pace.rate;
        if (this.credit < pause - 1e-9) return false;
        this.credit -= pause;
        this.step = stretch.step[at + 1];
      }
      return true;
    }
  };
})();
