// One run as it happens: server-sent events, and what they may have missed fetched by /series.
// Opening a page, coming back after an outage and going on are one path: connect, catch up, follow.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const LONGEST_WAIT_MS = 5000;
  const METRICS_AT_ONCE = 100;
  const STEPS_BACK = 50; // a figure may be logged some steps late
  const MOST_TO_CATCH_UP = 1000; // after more, the page is built anew, from every one of the newest steps

  // Whoever is not known any more is asked to log in, and comes back to this page then.
  rolloutwatch.leaveIfUnknown = async function (path) {
    try {
      const answer = await fetch(path, { method: "HEAD" });
      if (answer.status === 401) location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
    } catch {
      return; // there is nobody who could ask
    }
  };

  rolloutwatch.Feed = class {
    // tell: {run(summary), step(step, metrics, time), mark(mark), alerted(), caughtUp(step), rewound(), connected(yes)};
    // `time` is undefined for what is old
    // from: the last step the page has, null for none; generation: which history the page has, so that the server
    // can say when that is past, also if it was so before the page connected
    constructor(run, generation, metrics, points, from, tell) {
      this.path = `/api/v1/runs/${encodeURIComponent(run)}`;
      this.generation = generation;
      this.metrics = metrics;
      this.points = points;
      this.from = from;
      this.tell = tell;
      this.wait = 500;
      this.closed = false;
      this.connect();
    }

    close() {
      this.closed = true;
      this.isConnected = false;
      clearTimeout(this.retry);
      if (this.events) this.events.close();
    }

    connect() {
      const events = (this.events = new EventSource(`${this.path}/live?generation=${this.generation}`));
      events.addEventListener("run", (event) => this.began(JSON.parse(event.data)));
      events.addEventListener("step", (event) => this.stepped(JSON.parse(event.data)));
      events.addEventListener("mark", (event) => this.tell.mark(JSON.parse(event.data)));
      events.addEventListener("alert", () => this.tell.alerted());
      events.addEventListener("elsewhere", () => this.tell.alerted()); // which all pages count
      events.addEventListener("reset", () => this.catchUp());
      events.addEventListener("rewind", () => this.tell.rewound());
      events.addEventListener("gone", () => this.deleted());
      events.onerror = () => this.lost();
    }

    began(summary) {
      this.wait = 500;
      this.tell.run(summary);
      if (this.isConnected) return;
      this.isConnected = true;
      this.tell.connected(true);
      if (this.from !== null && summary.last_step > this.from + MOST_TO_CATCH_UP) this.tell.rewound();
      else this.catchUp().then(() => this.isConnected && this.tell.caughtUp(summary.last_step));
    }

    stepped(event) {
      this.from = Math.max(this.from === null ? 0 : this.from, event.step);
      const infinite = Object.entries(event.infinite || {}).map(([metric, spelt]) => [metric, Number(spelt)]);
      this.tell.step(event.step, { ...event.metrics, ...Object.fromEntries(infinite) }, event.time);
    }

    // a browser's own reconnecting gives up at the first refusal, as of a proxy whose server restarts
    lost() {
      this.events.close();
      if (this.closed) return;
      this.isConnected = false;
      this.tell.connected(false);
      rolloutwatch.leaveIfUnknown(this.path); // an event stream that is refused does not say why
      this.retry = setTimeout(() => this.connect(), this.wait);
      this.wait = Math.min(2 * this.wait, LONGEST_WAIT_MS);
    }

    // the page, made anew, says that there is no such run any more
    deleted() {
      this.close();
      location.reload();
    }

    async catchUp() {
      const from = this.from === null ? 0 : Math.max(0, this.from - STEPS_BACK);
      try {
        const [series, marks] = await Promise.all([this.series(from), this.marks(from)]);
        if (this.closed) return;
        marks.forEach((mark) => this.tell.mark(mark));
        for (const [metric, one] of Object.entries(series)) {
          one.step.forEach((step, index) => this.tell.step(step, { [metric]: one.value[index] }));
        }
      } catch {
        if (!this.closed) this.lost();
      }
    }

    // all marks from a step on
    async marks(from) {
      const answer = await fetch(`${this.path}/marks?from_step=${from}`);
      if (!answer.ok) throw new Error(`${answer.status} for ${this.path}/marks`);
      return (await answer.json()).marks;
    }

    // series from a step on, or to another one, thinned to the page's number of points; of all metrics, or of some;
    // by time with the time of each value. What is NaN is null, what is infinite is.
    async series(from, { to, metrics, byTime } = {}) {
      const [found, wanted] = [Object.create(null), metrics || this.metrics]; // by names that a run chose, "__proto__" say
      for (let at = 0; at < wanted.length; at += METRICS_AT_ONCE) {
        const query = new URLSearchParams({ from_step: from, points: this.points });
        if (to !== undefined) query.set("to_step", to);
        if (byTime) query.set("x", "time");
        wanted.slice(at, at + METRICS_AT_ONCE).forEach((metric) => query.append("metric", metric));
        const answer = await fetch(`${this.path}/series?${query}`);
        if (!answer.ok) throw new Error(`${answer.status} for ${this.path}/series`);
        Object.assign(found, (await answer.json()).series);
      }
      for (const one of Object.values(found)) {
        for (const [step, spelt] of Object.entries(one.infinite)) one.value[one.step.indexOf(Number(step))] = Number(spelt);
      }
      return found;
    }
  };
})();
