// A run's page as it moves: tiles, health, charts. `follow` is called by Dash with what pages/run.py tells.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const WORDS = ["healthy", "warning", "critical"];
  const CLASSES = ["ok", "warning", "critical"];
  const COLORS = { ok: "#0a9467", warning: "#d98e04", critical: "#d5371e", unknown: "#888888" };
  const LEAST_MS_BETWEEN_PAINTS = 250;
  const SHARE_OF_TIME = 4; // painting takes at most one part in so many of the browser's time
  const STEPS_OF_TREND = 60;
  const STEPS_JUDGED = 10;
  const STEPS_BACK = 50; // a figure that has not come for so many steps is not the present
  const MS_FOR_SPEED = 20000;
  const MS_FOR_REBUILDING = 5000;
  const TITLE = "Rolloutwatch";

  const $ = (id) => document.getElementById(id);

  function say(element, text) {
    if (element && element.textContent !== text) element.textContent = text;
  }

  class RunPage {
    constructor(told) {
      this.told = told;
      this.state = told.state;
      this.step = told.step;
      this.heard = Date.now() - 1000 * told.seconds_since_update;
      this.arrivals = [];
      this.connected = true;
      this.known = new Set(told.metrics);
      this.recent = {};
      for (const [metric, one] of Object.entries(told.recent)) {
        this.recent[metric] = new rolloutwatch.Column(one.step, one.value);
      }
      this.charts = told.charts.map((chart) => new rolloutwatch.LiveChart(chart, told.page));
      const wanted = new Set([...told.charts.flatMap((chart) => chart.metrics), ...Object.keys(told.recent)]);
      this.feed = new rolloutwatch.Feed(told.run, [...wanted], told.points, told.step, {
        run: (summary) => this.began(summary),
        step: (step, metrics) => this.stepped(step, metrics),
        rewound: () => this.rebuild(),
        connected: (yes) => this.isConnected(yes),
      });
      this.clock = setInterval(() => this.tick(), 1000);
      this.onScroll = () => this.schedule();
      addEventListener("scroll", this.onScroll, { passive: true });
      document.addEventListener("visibilitychange", this.onScroll);
      this.paintNow();
    }

    close() {
      this.feed.close();
      clearInterval(this.clock);
      clearTimeout(this.timer);
      removeEventListener("scroll", this.onScroll);
      document.removeEventListener("visibilitychange", this.onScroll);
      this.closed = true;
    }

    began(summary) {
      if (this.state !== summary.state && summary.state === "live") this.rebuild();
      this.state = summary.state;
      this.schedule();
    }

    isConnected(yes) {
      this.connected = yes;
      this.paintHead();
    }

    stepped(step, metrics) {
      const now = Date.now();
      if (this.step === null || step > this.step) {
        this.step = step;
        this.heard = now;
        this.arrivals.push([now, step]);
      }
      for (const [metric, value] of Object.entries(metrics)) {
        if (!this.known.has(metric)) this.rebuild();
        const column = (this.recent[metric] = this.recent[metric] || new rolloutwatch.Column());
        column.put(step, value);
        if (column.step.length > 2 * STEPS_OF_TREND) {
          column.step.splice(0, STEPS_OF_TREND);
          column.value.splice(0, STEPS_OF_TREND);
        }
      }
      for (const chart of this.charts) chart.put(step, metrics);
      this.schedule();
    }

    // A metric nobody drew yet, or steps that are given up: the server draws the page anew, which is rare.
    rebuild() {
      if (this.rebuilding) return;
      this.rebuilding = setTimeout(() => {
        if (!this.closed) window.dash_clientside.set_props("refresh", { data: Date.now() });
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

    // Once a second: ages, and whatever was not there yet when it was to be painted.
    tick() {
      this.paintTiles();
      this.paintHead();
      if (this.charts.some((chart) => chart.isWaiting())) this.schedule();
    }

    async paintNow() {
      this.paintTiles();
      this.paintHead();
      for (const chart of this.charts) {
        if (this.closed) return;
        await chart.paint();
        if (chart.isLong()) await this.shorten();
      }
    }

    // Long columns are fetched anew, thinned by the server, which loses no extreme.
    async shorten() {
      try {
        const series = await this.feed.series(0);
        for (const chart of this.charts) chart.replace(series);
      } catch {
        return; // the feed finds out by itself that the server is gone
      }
    }

    paintTiles() {
      for (const tile of this.told.tiles) {
        const column = this.recent[tile.metric];
        const element = $(tile.id);
        if (!element || !column) continue;
        const value = column.last();
        const broken = rolloutwatch.worst(this.told.rules, tile.metric, value);
        const severity = broken ? broken.severity : 0;
        const past = this.isPast(column);
        const unknown = value === null || past;
        element.className = `tile ${unknown ? "unknown" : CLASSES[severity]}`;
        say(element.querySelector(".value"), rolloutwatch.number(value));
        say(element.querySelector(".word"), unknown ? "unknown" : WORDS[severity]);
        say(element.querySelector(".small"), past ? `last at step ${column.lastStep()}` : this.beside(tile));
        paintTrend(element.querySelector(".trend"), column.value.slice(-STEPS_OF_TREND));
      }
    }

    beside(tile) {
      const column = tile.beside && this.recent[tile.beside[0]];
      return column ? `${tile.beside[1]} ${rolloutwatch.number(column.last())}` : "";
    }

    // Whether a figure has stopped coming while the run goes on; one that comes seldom is given time.
    isPast(column) {
      const [former, last] = [-1, 0].map((back) => column.step[column.step.length - 1 + back]);
      return this.step - last > Math.max(STEPS_BACK, former === undefined ? 0 : 3 * (last - former));
    }

    // Figures that are judged, and are of the present.
    judged() {
      const names = new Set(this.told.rules.map((rule) => rule.metric));
      return Object.entries(this.recent).filter(([metric, column]) => names.has(metric) && !this.isPast(column));
    }

    // What is wrong, the worst first: a figure that jumps in and out of its limits is not healthy in between.
    broken() {
      const found = [];
      for (const [metric, column] of this.judged()) {
        const now = column.value.slice(-STEPS_JUDGED);
        const broken = now.map((value) => rolloutwatch.worst(this.told.rules, metric, value));
        const severity = Math.max(0, ...broken.map((rule) => (rule ? rule.severity : 0)));
        const at = broken.findLastIndex((rule) => rule && rule.severity === severity);
        if (at < 0) continue;
        const times = broken.filter((rule) => rule && rule.severity === severity).length;
        found.push({ rule: broken[at], value: now[at], times, of: now.length });
      }
      return found.sort((one, other) => other.rule.severity - one.rule.severity || other.times - one.times);
    }

    paintHead() {
      const broken = this.broken();
      const none = this.judged().length === 0;
      const severity = broken.length ? broken[0].rule.severity : 0;
      const state = none ? "unknown" : CLASSES[severity];
      const word = none ? (this.step === null ? "no step yet" : "not measured") : WORDS[severity];
      const health = $("health");
      if (!health) return;
      say(health, word);
      health.className = `health ${state}`;
      say($("state"), this.state);
      $("state").className = `state state-${this.state}`;
      say($("step"), this.step === null ? "" : `step ${this.step}`);
      say($("speed"), this.speed());
      say($("age"), `updated ${rolloutwatch.age((Date.now() - this.heard) / 1000)}`);
      paintReasons($("reasons"), broken);
      notice(this.notice());
      document.title = none ? `${this.told.name} · ${TITLE}` : `${word} · ${this.told.name} · ${TITLE}`;
      paintIcon(this.connected ? state : "unknown");
      document.body.classList.toggle("out-of-date", !this.connected);
    }

    speed() {
      const now = Date.now();
      this.arrivals = this.arrivals.filter(([when]) => now - when < MS_FOR_SPEED);
      if (this.arrivals.length < 2 || this.state !== "live") return "";
      const [first, last] = [this.arrivals[0], this.arrivals[this.arrivals.length - 1]];
      const perSecond = (1000 * (last[1] - first[1])) / Math.max(last[0] - first[0], 1);
      return perSecond >= 1 ? `${perSecond.toFixed(1)} steps/s` : `${(1 / perSecond).toFixed(1)} s/step`;
    }

    notice() {
      const ago = rolloutwatch.age((Date.now() - this.heard) / 1000);
      if (!this.connected) return "The server does not answer; trying again. What you see is the past.";
      if (this.state === "stalled") {
        const since = this.step === null ? "No record yet" : `No record since step ${this.step}`;
        return `${since}, ${ago}: the trainer hangs, was killed, or does not reach Redis.`;
      }
      if (this.state === "crashed") return `The trainer ended with an error after step ${this.step}, ${ago}.`;
      return "";
    }
  }

  function notice(text) {
    const element = $("notice");
    say(element, text);
    element.hidden = !text;
  }

  function paintReasons(list, broken) {
    const texts = broken.map(({ rule, value, times, of }) => {
      const limit = rule.above !== null && value > rule.above ? rule.above : rule.below;
      const side = limit === rule.above ? "above" : "below";
      return [
        CLASSES[rule.severity],
        `${rule.title} ${rolloutwatch.number(value)}`,
        `${side} ${rolloutwatch.number(limit)} in ${times} of the last ${of} steps. ${rule.summary}`,
        rule.cure,
      ];
    });
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
    if (!element.firstChild) {
      const drawing = document.createElementNS(SVG, "svg");
      drawing.setAttribute("viewBox", "0 0 100 24");
      drawing.setAttribute("preserveAspectRatio", "none");
      drawing.setAttribute("aria-hidden", "true");
      drawing.append(document.createElementNS(SVG, "path"));
      element.append(drawing, document.createElement("span"));
    }
    const known = values.filter((value) => value !== null);
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

  function paintIcon(state) {
    const icon = $("icon");
    const drawing = `<svg xmlns="${SVG}" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6" fill="${COLORS[state]}"/></svg>`;
    const href = `data:image/svg+xml,${encodeURIComponent(drawing)}`;
    if (icon && icon.href !== href) icon.href = href;
  }

  // The page of all runs asks for its table anew by itself; here is only said when that fails.
  class RunsPage {
    constructor() {
      document.title = TITLE;
      document.body.classList.remove("out-of-date");
      paintIcon("unknown");
      notice("");
      this.clock = setInterval(() => this.look(), 1000);
    }

    look() {
      const shown = document.querySelector("#runs [data-now]");
      if (!shown) return notice("");
      if (shown.dataset.now !== this.shown) [this.shown, this.since] = [shown.dataset.now, Date.now()];
      const late = Date.now() - this.since > 10000;
      notice(late ? "The server does not answer; trying again. What you see is the past." : "");
    }

    close() {
      clearInterval(this.clock);
    }
  }

  let page = null;

  rolloutwatch.follow = function (told) {
    if (page) page.close();
    page = told ? new RunPage(told) : new RunsPage();
    return told ? told.run : "";
  };

  window.dash_clientside = Object.assign({}, window.dash_clientside, { rolloutwatch });
})();
