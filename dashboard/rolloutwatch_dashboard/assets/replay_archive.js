// What a replay reads of the archive: the recorded steps around a position, and their figures as they are, not thinned.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const STEPS_AHEAD = 2048; // that are asked for at once
  const STEPS_BEHIND = 4096; // at most
  const LEAST_BEHIND = 128;
  const FURTHER = 16;
  const MOST_TRIES = 200; // of few steps each, where they are far apart
  const STEPS_BACK = 120; // of a figure that is judged
  const METRICS_AT_ONCE = 100;
  const WINDOWS_KEPT = 4;
  const STEPS_LATE = 50; // a figure may be logged some steps late
  const MS_OF_NEWS = 2000; // for so long the newest steps of a run that goes on are taken as whole
  const STEPS_KEPT = 8192; // of a stretch that is made longer at its other end
  const POINTS_OF_ALL = 400;
  const ALERTS_AT_ONCE = 1000;
  const MOST_ALERTS = 10000;

  const NOTHING = { step: [], time: [], previous: null, next: null };

  async function ask(path) {
    const answer = await fetch(path);
    if (!answer.ok) {
      const said = await answer.json().catch(() => ({}));
      throw new Error(said.detail || `${answer.status} for ${path}`);
    }
    return answer.json();
  }

  rolloutwatch.Archive = class {
    // goesOn(): whether more may come
    constructor(run, metrics, goesOn) {
      this.goesOn = goesOn;
      this.path = `/api/v1/runs/${encodeURIComponent(run)}`;
      this.metrics = metrics;
      this.stretch = null; // recorded steps one after the other, with those before and after them
      this.width = STEPS_AHEAD; // in which some steps are found, to look behind
      this.windows = [];
    }

    about() {
      return ask(this.path);
    }

    // The steps around one that need not be recorded, with at least `behind` and `ahead` of it where there are so many.
    async around(step, behind, ahead) {
      if (!this.covers(step)) await this.begin(step);
      for (let tries = 0; tries < MOST_TRIES; tries++) {
        const at = rolloutwatch.placeOf(this.stretch.step, step);
        if (at - behind < 0 && this.stretch.previous !== null) await this.lengthenBehind();
        else if (at + ahead >= this.stretch.step.length && this.stretch.next !== null) await this.lengthenAhead(this.stretch.next);
        else break;
      }
      return this.stretch;
    }

    covers(step) {
      if (!this.stretch || !this.stretch.step.length) return false;
      const [first, last] = [this.stretch.step[0], this.stretch.step[this.stretch.step.length - 1]];
      return (first <= step || this.stretch.previous === null) && (step <= last || this.stretch.next === null || step < this.stretch.next);
    }

    async begin(step) {
      this.take(NOTHING);
      const ahead = await this.steps({ from_step: step, most: STEPS_AHEAD });
      this.take(ahead);
      if (ahead.previous !== null) await this.lengthenBehind();
    }

    // More has come of a run that goes on.
    async goOn() {
      const { step } = this.stretch;
      await this.lengthenAhead(step.length ? step[step.length - 1] + 1 : 0);
    }

    async lengthenAhead(from) {
      const old = this.stretch;
      const more = await this.steps({ from_step: from, most: STEPS_AHEAD });
      if (this.stretch !== old) return;
      const left = Math.max(0, old.step.length - STEPS_KEPT);
      const kept = { step: old.step.slice(left), time: old.time.slice(left) };
      this.take({ ...joined(kept, more), previous: left ? old.step[left - 1] : old.previous, next: more.next });
    }

    async lengthenBehind() {
      const old = this.stretch;
      const more = await this.stepsBefore(old.previous);
      if (this.stretch !== old) return;
      const kept = { step: old.step.slice(0, STEPS_KEPT), time: old.time.slice(0, STEPS_KEPT) };
      const next = old.step.length > STEPS_KEPT ? old.step[STEPS_KEPT] : old.next;
      this.take({ ...joined(more, kept), previous: more.previous, next });
    }

    // Some recorded steps up to one. Nobody knows how close they are: where few are found one looks further back,
    // and where that are too many, those few have to do.
    async stepsBefore(last) {
      for (let few = null; ; ) {
        const first = Math.max(0, last - this.width);
        const more = await this.steps({ from_step: first, to_step: last, most: STEPS_BEHIND });
        const isCut = more.next !== null && more.next <= last;
        const isShort = more.step.length < LEAST_BEHIND && more.previous !== null;
        if (!isCut && !isShort) return more;
        this.width = isCut ? Math.max(LEAST_BEHIND, Math.floor(this.width / FURTHER)) : this.width * FURTHER;
        if (isCut && few) return few;
        if (isShort) few = more;
      }
    }

    take(stretch) {
      this.stretch = { ...stretch, pauses: rolloutwatch.pausesOf(stretch.time) };
    }

    steps(query) {
      return ask(`${this.path}/steps?${new URLSearchParams(query)}`);
    }

    // Series by metric, exact up to a step and back far enough to judge it; `ahead` more steps are fetched along with it.
    async window(step, ahead) {
      const found = await this.around(step, STEPS_BACK, ahead);
      const at = rolloutwatch.placeOf(found.step, step);
      const begin = found.step[Math.max(0, at - STEPS_BACK)];
      const isFresh = (one) => one.until > performance.now() || !this.goesOn();
      const kept = this.windows.find((one) => one.first <= begin && step <= one.last && isFresh(one));
      if (kept) return kept.series;
      const first = found.step[Math.max(0, at - STEPS_BACK - ahead)];
      const end = Math.min(at + ahead, found.step.length - 1);
      const last = found.step[end];
      const count = end - Math.max(0, at - STEPS_BACK - ahead) + 1;
      const series = await this.series({ from_step: first, to_step: last, points: Math.max(4, count) });
      const isNews = found.next === null && end + STEPS_LATE >= found.step.length;
      const until = isNews ? performance.now() + MS_OF_NEWS : Infinity;
      this.windows = [{ first, last, series, until }, ...this.windows].slice(0, WINDOWS_KEPT);
      return series;
    }

    // All of the run, thinned so that no extreme is lost.
    all() {
      return this.series({ points: POINTS_OF_ALL });
    }

    async series(query) {
      const found = Object.create(null); // by names that a run chose, "__proto__" say
      for (let at = 0; at < this.metrics.length; at += METRICS_AT_ONCE) {
        const asked = new URLSearchParams(query);
        this.metrics.slice(at, at + METRICS_AT_ONCE).forEach((metric) => asked.append("metric", metric));
        Object.assign(found, (await ask(`${this.path}/series?${asked}`)).series);
      }
      return found;
    }

    // All alerts there ever were, the newest ones if there are more than can be shown.
    async alerts() {
      const found = [];
      for (let before = ""; found.length < MOST_ALERTS; ) {
        const { alerts } = await ask(`${this.path}/alerts?state=all&limit=${ALERTS_AT_ONCE}${before}`);
        found.push(...alerts);
        if (alerts.length < ALERTS_AT_ONCE) break;
        before = `&before=${encodeURIComponent(alerts[alerts.length - 1].id)}`;
      }
      return found;
    }
  };

  function joined(one, other) {
    return { step: [...one.step, ...other.step], time: [...one.time, ...other.time] };
  }
})();
