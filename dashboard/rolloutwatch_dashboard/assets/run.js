// A run's page as it moves: tiles, health, charts. `follow` is called by Dash with what pages/run.py tells.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const WORDS = ["healthy", "warning", "critical"];
  const CLASSES = ["ok", "warning", "critical"];
  const LEAST_MS_BETWEEN_PAINTS = 250;
  const SHARE_OF_TIME = 4; // painting takes at most one part in so many of the browser's time
  const STEPS_OF_TREND = 60;
  const SECONDS_FOR_SPEED = 20;
  const MOST_RIVALS = 4; // that are named beside the one that is shown
  const MS_FOR_REBUILDING = 5000;

  const $ = (id) => document.getElementById(id);
  const { TITLE, say, notice, paintIcon } = rolloutwatch.head;

  class RunPage {
    constructor(told) {
      this.told = told;
      this.state = told.state;
      this.step = told.step;
      this.dropped = told.dropped;
      this.rivals = told.rivals;
      this.madeAt = Date.now();
      this.heard = this.madeAt - 1000 * told.seconds_since_update;
      this.arrivals = [];
      this.connected = true;
      this.known = new Set(told.metrics);
      this.drawn = new Set(told.charts.flatMap((chart) => chart.metrics));
      this.recent = Object.create(null); // by names that a run chose, "constructor" say
      for (const [metric, one] of Object.entries(told.recent)) {
        this.recent[metric] = new rolloutwatch.Column(one.step, one.value);
      }
      this.marks = new rolloutwatch.Marks(told.marks, told.most_marks);
      this.charts = told.charts.map((chart) => new rolloutwatch.LiveChart(chart, told.page, this.marks, told.mark_styles, told.ends));
      const wanted = new Set([...this.drawn, ...Object.keys(told.recent)]);
      this.feed = new rolloutwatch.Feed(told.run, told.generation, [...wanted], told.points, told.step, {
        run: (summary) => this.began(summary),
        step: (step, metrics, time) => this.stepped(step, metrics, time),
        mark: (mark) => this.marked(mark),
        alerted: () => rolloutwatch.lookSoon(),
        caughtUp: (last) => this.caughtUp(last),
        rewound: () => this.rebuild(),
        connected: (yes) => this.isConnected(yes),
      });
      this.board = new rolloutwatch.Board(this);
      this.clock = setInterval(() => this.tick(), 1000);
      this.onScroll = () => this.schedule();
      addEventListener("scroll", this.onScroll, { passive: true });
      document.addEventListener("visibilitychange", this.onScroll);
      this.paintNow();
    }

    close() {
      this.feed.close();
      this.board.close();
      clearInterval(this.clock);
      clearTimeout(this.timer);
      removeEventListener("scroll", this.onScroll);
      document.removeEventListener("visibilitychange", this.onScroll);
      this.closed = true;
    }

    began(summary) {
      if (this.state !== summary.state && summary.state === "live") this.rebuild();
      this.state = summary.state;
      this.dropped = summary.dropped;
      if (names(this.rivals) !== names(summary.rivals)) this.fetchMarks();
      this.rivals = summary.rivals;
      // by the server's clock, as when the page was made; what was fetched late did not happen now
      const updated = 1000 * (summary.updated_at - this.told.updated_at - this.told.seconds_since_update);
      this.heard = Math.max(this.heard, this.madeAt + updated);
      this.schedule();
    }

    // A step that came before the page listened, with figures that it does not know, is not among those it asked for.
    caughtUp(last) {
      if (last !== null && (this.step === null || this.step < last)) this.rebuild();
    }

    marked(mark) {
      if (!this.marks.put(mark)) return;
      for (const chart of this.charts) chart.marked();
      this.schedule();
    }

    // That two trainers write to a run is found and not sent, and so is where it began.
    async fetchMarks() {
      try {
        const marks = await this.feed.marks(0);
        if (!this.closed) marks.forEach((mark) => this.marked(mark));
      } catch {
        return; // the feed finds out by itself that the server is gone
      }
    }

    isConnected(yes) {
      this.connected = yes;
      this.schedule();
    }

    stepped(step, metrics, time) {
      if (this.step === null || step > this.step) {
        this.step = step;
        if (time !== undefined) this.arrivals.push([time, step]);
      }
      if (time !== undefined) this.heard = Date.now();
      const leftOut = this.leftOut(metrics);
      for (const metric of leftOut) if (this.recent[metric]) this.recent[metric].leaveOut(step);
      for (const [metric, value] of Object.entries(metrics)) {
        if (!this.known.has(metric) || this.isToBeShown(metric, value)) this.rebuild();
        const column = (this.recent[metric] = this.recent[metric] || new rolloutwatch.Column());
        column.put(step, Number.isFinite(value) ? value : null);
        if (column.step.length > 2 * STEPS_OF_TREND) {
          column.step.splice(0, STEPS_OF_TREND);
          column.value.splice(0, STEPS_OF_TREND);
        }
      }
      this.board.stepped(step, time);
      for (const chart of this.charts) chart.put(step, metrics, leftOut);
      this.schedule();
    }

    // The figures that a step does not have because not one of its log-probs was finite.
    leftOut(metrics) {
      const isUnreadable = (metrics[this.told.unreadable] || 0) >= 1;
      return isUnreadable ? this.told.measured.filter((metric) => !(metric in metrics)) : [];
    }

    isToBeShown(metric, value) {
      return this.told.shown_when_not_zero.includes(metric) && value !== 0 && !this.drawn.has(metric);
    }

    // A metric nobody drew yet, or steps that are given up: the server draws the page anew, which is rare.
    rebuild() {
      if (this.rebuilding) return;
      this.rebuilding = setTimeout(() => {
        if (!this.closed) window.dash_clientside.set_props("refresh", { data: { at: Date.now(), search: location.search } });
        // this page is closed when the new one is there; if it does not come, it is asked for again
        this.rebuilding = setTimeout(() => (this.rebuilding = null), MS_FOR_REBUILDING);
      }, 500);
    }

    // Paint soon; what comes while that goes on is painted after a rest.
    schedule() {
      if (this.closed || document.hidden) return;
      if (this.timer) {
        this.again = true;
        return;
      }
      this.again = false;
      this.timer = setTimeout(async () => {
        const began = performance.now();
        await this.paintNow();
        const rest = Math.max(LEAST_MS_BETWEEN_PAINTS, SHARE_OF_TIME * (performance.now() - began));
        this.timer = setTimeout(() => {
          this.timer = null;
          if (this.again) this.schedule();
        }, rest);
      }, 0);
    }

    // The alerts of the run, as the server has put them above its figures.
    takeAlerts() {
      const shown = document.querySelector("#run-alerts [data-marks]");
      if (!shown || shown.dataset.marks === this.alerts) return;
      this.alerts = shown.dataset.marks;
      const marks = JSON.parse(this.alerts);
      for (const chart of this.charts) chart.alerted(marks);
      this.schedule();
    }

    // Once a second: ages, and whatever was not there yet when it was to be painted.
    tick() {
      this.takeAlerts();
      this.paintTiles();
      this.paintHead();
      if (this.charts.some((chart) => chart.isWaiting())) this.schedule();
    }

    async paintNow() {
      this.takeAlerts();
      this.paintTiles();
      this.paintHead();
      for (const chart of this.charts) {
        if (this.closed) return;
        await chart.paint();
        // fetched anew, thinned by the server, which loses no extreme
        if (chart.isLong()) await this.board.readAll();
      }
      this.board.painted();
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

    paintTiles() {
      for (const tile of this.told.tiles) {
        const element = $(tile.id);
        if (!element) continue;
        const { state, word, now, isNow, isOff, small, values } = this.judge(tile);
        const classes = ["tile", this.isOver() ? "unknown" : state, isOff ? "off" : "", isNow ? "now" : ""];
        element.className = classes.filter(Boolean).join(" ");
        say(element.querySelector(".value"), now === undefined ? "–" : rolloutwatch.number(now));
        say(element.querySelector(".word"), this.isOver() && CLASSES.includes(state) ? `was ${word}` : word);
        say(element.querySelector(".small"), small);
        paintTrend(element.querySelector(".trend"), values);
      }
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

    // What is wrong, the worst first: a figure that jumps in and out of its limits is not healthy in between.
    broken() {
      const names = new Set(this.told.rules.map((rule) => rule.metric));
      const found = Object.entries(this.recent)
        .filter(([metric, column]) => names.has(metric) && !rolloutwatch.isPast(column.step, this.step))
        .map(([metric, column]) => rolloutwatch.verdict(this.told.rules, metric, column.value))
        .filter((one) => one !== null);
      return found.sort((one, other) => other.rule.severity - one.rule.severity || other.times - one.times);
    }

    // The tiles whose figure came once and has no value now.
    unknown() {
      return this.told.tiles.filter((tile) => this.recent[tile.metric] && this.judge(tile).state === "unknown");
    }

    // The tiles whose figure never came although others do, and nobody turned it off.
    unmeasured() {
      return this.told.tiles.filter((tile) => !this.recent[tile.metric] && !tile.off);
    }

    // Health in a word, with its colour.
    health(broken) {
      if (broken.length) return [WORDS[broken[0].rule.severity], CLASSES[broken[0].rule.severity]];
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

    paintHead() {
      const broken = this.broken();
      let [word, state] = this.health(broken);
      const element = $("health");
      if (!element) return;
      if (this.isOver()) [word, state] = [state === "unknown" ? word : `was ${word}`, "unknown"];
      say(element, word);
      element.className = `health ${state}`;
      const shown = this.connected ? this.state : "disconnected";
      say($("state"), shown);
      $("state").className = `state state-${shown}`;
      $("contested").hidden = !this.rivals.length;
      say($("step"), this.step === null ? "" : `step ${this.step}`);
      say($("speed"), this.speed());
      say($("age"), `updated ${rolloutwatch.age((Date.now() - this.heard) / 1000)}`);
      paintReasons($("reasons"), [
        ...broken.map((one) => reason(one, this.recent[one.rule.metric])),
        ...this.losses(),
        ...this.missing(),
      ]);
      notice(this.notice());
      const first = this.isOver() ? shown : state === "unknown" ? "" : word;
      document.title = [first, this.told.name, TITLE].filter(Boolean).join(" · ");
      paintIcon(state);
      document.body.classList.toggle("out-of-date", this.isOver());
    }

    losses() {
      const isBad = this.judged().length === 0;
      const failed = this.failed().map(([name]) => name);
      return Object.entries(this.dropped)
        .filter(([, count]) => count)
        .map(([name, count]) => {
          const [what, meaning, cure] = Object.hasOwn(this.told.losses, name) ? this.told.losses[name] : [`lost: ${name}`, "", ""];
          const ofWhat = failed.includes(name) ? steps(count) : `${count} ${count === 1 ? "record" : "records"}`;
          return [isBad && failed.includes(name) ? "critical" : "unknown", `${ofWhat} ${what}.`, meaning, cure];
        });
    }

    missing() {
      const [tiles, never] = [this.unknown(), this.judged().length ? this.unmeasured() : []];
      const absent = ["unknown", `${titles(never)}: not measured.`, `No value up to step ${this.step}.`, ""];
      return [...this.gone(tiles), ...(never.length ? [absent] : [])];
    }

    gone(tiles) {
      if (!tiles.length) return [];
      const last = Math.max(...tiles.map((tile) => (this.recent[tile.metric].lastKnown() || { step: -1 }).step));
      return [["unknown", `${titles(tiles)}: unknown.`, last < 0 ? "No finite value came." : `No value since step ${last}.`, ""]];
    }

    // By the trainer's clock: records that waited somewhere do not come faster than they were made.
    speed() {
      const newest = this.arrivals[this.arrivals.length - 1];
      if (!newest || this.state !== "live" || !this.connected) return "";
      if (Date.now() - this.heard > 1000 * SECONDS_FOR_SPEED) this.arrivals = [];
      this.arrivals = this.arrivals.filter(([time]) => newest[0] - time < SECONDS_FOR_SPEED);
      if (this.arrivals.length < 2) return "";
      const oldest = this.arrivals[0];
      const perSecond = (newest[1] - oldest[1]) / Math.max(newest[0] - oldest[0], 1e-3);
      return perSecond >= 1 ? `${perSecond.toFixed(1)} steps/s` : `${(1 / perSecond).toFixed(1)} s/step`;
    }

    notice() {
      const ago = rolloutwatch.age((Date.now() - this.heard) / 1000);
      if (!this.connected) return "The server does not answer; trying again. What you see is the past.";
      if (this.rivals.length) return contest(this.rivals);
      if (this.state === "stalled") {
        const since = this.step === null ? "No record yet" : `No record since step ${this.step}`;
        return `${since}, ${ago}: the trainer hangs, was killed, or does not reach Redis.`;
      }
      if (this.state === "crashed") return `The trainer ended with an error after step ${this.step}, ${ago}.`;
      return "";
    }
  }

  const names = (rivals) => rivals.map((rival) => rival.session).join();

  function who(rival) {
    if (!rival.host) return `session ${rival.session}`;
    return `host ${rival.host}${rival.pid ? `, process ${rival.pid}` : ""}`;
  }

  function contest(rivals) {
    const others = rivals.slice(0, -1).slice(-MOST_RIVALS).map(who);
    const left = rivals.length - 1 - others.length;
    const all = [...others, ...(left ? [`${left} more`] : [])].join("; ");
    const [count, rest] = rivals.length === 2 ? ["Two", "the other brings"] : [rivals.length, "the others bring"];
    return (
      `${count} trainers write to this run: ${all}, and ${who(rivals[rivals.length - 1])}. ` +
      `Shown is the one named last, because it began last; what ${rest} is kept and not shown. ` +
      "Stop one of them, or give it a run name of its own."
    );
  }

  function titles(tiles) {
    return tiles.map((tile) => tile.title).join(", ");
  }

  function steps(count) {
    return `${count} ${count === 1 ? "step" : "steps"}`;
  }

  // A reason is a list: its state, what is wrong, what that means, what helps.
  function reason({ rule, value, at, times, of }, column) {
    const limit = rule.above !== null && value > rule.above ? rule.above : rule.below;
    const side = limit === rule.above ? "above" : "below";
    const isGapless = column.step[column.step.length - 1] - column.step[column.step.length - of] === of - 1;
    const when = `in ${times} of the last ${of} ${isGapless ? "steps" : "values"}`;
    const last = at === column.value.length - 1 ? "" : ` at step ${column.step[at]}`;
    return [
      CLASSES[rule.severity],
      `${rule.title} ${rolloutwatch.number(value)}${last}`,
      `${side} ${rolloutwatch.number(limit)} ${when}. ${rule.summary}`,
      rule.cure,
    ];
  }

  function paintReasons(list, texts) {
    const given = new Set();
    for (const text of texts) {
      // the same advice is given once
      const advice = text[3].split(/(?<=\.) /).filter((sentence) => !given.has(sentence));
      advice.forEach((sentence) => given.add(sentence));
      text[3] = advice.join(" ");
    }
    const key = JSON.stringify(texts);
    if (list.dataset.shown === key) return;
    list.dataset.shown = key;
    list.replaceChildren(
      ...texts.map(([state, ...parts]) => {
        const item = document.createElement("li");
        item.className = state;
        ["strong", "span", "em"].forEach((tag, index) => {
          const part = document.createElement(tag);
          part.textContent = parts[index];
          item.append(part, " ");
        });
        return item;
      }),
    );
  }

  const SVG = "http://www.w3.org/2000/svg";
  const ARROWS = { rising: "↗ rising", falling: "↘ falling", steady: "→ steady", "": "" };

  function paintTrend(element, values) {
    const known = values.filter((value) => value !== null);
    if (!known.length) {
      element.replaceChildren();
      return;
    }
    if (!element.firstChild) {
      const drawing = document.createElementNS(SVG, "svg");
      drawing.setAttribute("viewBox", "0 0 100 24");
      drawing.setAttribute("preserveAspectRatio", "none");
      drawing.setAttribute("aria-hidden", "true");
      drawing.append(document.createElementNS(SVG, "path"));
      element.append(drawing, document.createElement("span"));
    }
    const [low, high] = [Math.min(...known), Math.max(...known)];
    let pen = "M";
    const path = values.map((value, index) => {
      if (value === null) {
        pen = "M";
        return "";
      }
      const x = (100 * index) / Math.max(values.length - 1, 1);
      const y = high > low ? 22 - (20 * (value - low)) / (high - low) : 12;
      const part = `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
      pen = "L";
      return part;
    });
    element.querySelector("path").setAttribute("d", path.join(""));
    say(element.querySelector("span"), ARROWS[rolloutwatch.trend(values)]);
  }

  rolloutwatch.pages.run = RunPage;
})();
