// All charts of a page together: what is in view stands in the address, is the same for all, and is fetched in detail.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const MS_TO_REST = 200; // one may still be zooming, or scrolling past
  const BESIDE = 4; // around.BESIDE
  const BEFORE = 399; // usual.BEFORE
  const MS_BETWEEN_FAILURES = 5000;
  const element = (...told) => rolloutwatch.element(...told);

  rolloutwatch.Board = class {
    // page: {told, charts, feed, live, known, schedule()}
    constructor(page) {
      this.page = page;
      this.told = page.told;
      this.view = rolloutwatch.view;
      const now = this.view.get();
      this.clock = new rolloutwatch.Clock();
      this.charts = page.charts.filter((one) => one instanceof rolloutwatch.LiveChart);
      // the heat map, which is one of the page's too, looks after itself
      this.others = page.charts.filter((one) => !(one instanceof rolloutwatch.LiveChart));
      // a link to a step shows what is around it, until one zooms
      this.around = now.from === null && now.to === null ? this.told.ends : null;
      for (const chart of this.charts) {
        chart.zoomed = (from, to) => this.view.set({ from, to });
        chart.points = this.told.points;
      }
      this.name = this.told.name;
      this.pointer = new rolloutwatch.Pointer(this.charts, this.others);
      for (const other of this.others) other.pointer = this.pointer;
      const steps = `/runs/${encodeURIComponent(this.told.run)}/steps`;
      this.keys = new rolloutwatch.PointerKeys(this.pointer, (step) => rolloutwatch.goTo(`${steps}/${step}`));
      this.menus = new rolloutwatch.ChartMenus(this);
      this.tools = document.getElementById("chart-tools");
      this.makeTools();
      this.end = this.view.subscribe((view, before) => this.looked(view, before));
      this.onScroll = () => this.lookSoon();
      addEventListener("scroll", this.onScroll, { passive: true });
      this.kind = "step"; // of the axis that charts have
      this.apply(now);
    }

    close() {
      this.closed = true;
      this.end();
      this.pointer.close();
      this.keys.close();
      this.menus.close();
      clearTimeout(this.timer);
      removeEventListener("scroll", this.onScroll);
    }

    // The steps in view, null for all; the last one is infinite where one follows what comes.
    zoom({ from, to }) {
      if (from === null && to === null) return this.around;
      return [from === null ? this.told.first || 0 : from, to === null ? Infinity : to];
    }

    apply(view) {
      for (const chart of this.charts) {
        chart.look({ zoom: this.zoom(view), smooth: view.smooth, isLog: rolloutwatch.isLog(chart.told, view) });
      }
      this.paintTools(view);
      this.lookSoon();
    }

    looked(view, before) {
      this.apply(view);
      if (view.x !== before.x) this.readAll();
      this.page.schedule();
    }

    // The time of a step that came; of those that were fetched it is fetched too.
    stepped(step, time) {
      if (this.view.get().x !== "step") this.clock.put(step, time);
    }

    painted() {
      this.keys.dress();
      this.pointer.again();
    }

    // All series of the run anew, thinned by the server, which loses no extreme; and when each step was made where that is the axis.
    async readAll() {
      const { x } = this.view.get();
      const clock = new rolloutwatch.Clock(); // of the former one nobody needs all steps any more
      const series = await this.read(0, { clock });
      if (!series || x !== this.view.get().x) return;
      const last = clock.steps.at(-1);
      this.clock.steps.forEach((step, at) => step > last && clock.put(step, this.clock.times[at]));
      this.clock = clock;
      this.kind = x;
      const isTimed = x === "step" || this.clock.steps.length > 0;
      if (!isTimed) rolloutwatch.say("Nobody knows when the steps of this run were made.");
      const axis = new rolloutwatch.Axis(isTimed ? x : "step", this.clock, this.told.started_at);
      for (const chart of this.charts) {
        // others were asked for meanwhile
        const isThere = chart.told.metrics.every((metric) => Object.hasOwn(series, metric));
        if (isTimed && isThere) chart.replace(series);
        chart.detail = null;
        chart.look({ axis });
      }
      for (const other of this.others) other.along(axis);
      this.lookSoon();
      this.page.schedule();
    }

    lookSoon() {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.refine(), MS_TO_REST);
    }

    // Fetch more of what is in view, for the charts that are seen.
    async refine() {
      if (this.kind !== this.view.get().x && !this.closed) return this.readAll();
      const zoom = this.zoom(this.view.get());
      if (!zoom || this.closed || !this.isThinned()) return;
      const charts = this.charts.filter((chart) => chart.isCoarse(...zoom));
      if (!charts.length) return;
      const [first, last] = zoom;
      const beside = Number.isFinite(last) ? Math.floor((last - first) / BESIDE) + 1 : 1;
      const [from, to] = [Math.max(0, first - Math.max(beside, BEFORE)), Number.isFinite(last) ? last + beside : undefined];
      const metrics = Array.from(new Set(charts.flatMap((chart) => chart.told.metrics)));
      const series = await this.read(from, { to, metrics });
      if (!series) return;
      for (const chart of charts) chart.refine(series, from, to === undefined ? Infinity : to);
      this.page.schedule();
      this.lookSoon(); // one may have gone on meanwhile
    }

    // Whether the run has so many steps that what came with the page is not all of them.
    isThinned() {
      const { step } = this.page.live;
      return step !== null && step - (this.told.first || 0) >= this.told.points;
    }

    // Series with null where a figure did not come because no log-prob was finite; null if there is nobody to ask.
    async read(from, { to, metrics, clock = this.clock }) {
      const { unreadable, measured } = this.told;
      const wanted = metrics && measured.includes(unreadable) && !metrics.includes(unreadable) ? [...metrics, unreadable] : metrics;
      const byTime = this.view.get().x !== "step";
      try {
        const series = await this.page.feed.series(from, { to, metrics: wanted, byTime });
        if (this.closed) return null;
        if (byTime) clock.putAll(Object.values(series));
        return rolloutwatch.voided(series, unreadable, measured);
      } catch {
        // the feed finds out by itself that the server is gone, and what is in view is fetched when it is back
        if (!this.closed) this.timer = setTimeout(() => this.refine(), MS_BETWEEN_FAILURES);
        return null;
      }
    }

    makeTools() {
      if (!this.tools) return;
      const option = ([value, text]) => element("option", { value }, text);
      this.axis = element("select", { "aria-label": "Axis" }, ...AXES.map(option));
      this.smooth = new rolloutwatch.Smoothing(this.view);
      this.inView = new rolloutwatch.InView(this.view);
      this.axis.addEventListener("change", () => this.view.set({ x: this.axis.value }));
      this.tools.replaceChildren(
        element("label", {}, "Along ", this.axis),
        this.smooth.label,
        this.inView.element,
      );
    }

    paintTools(view) {
      this.menus.paint();
      if (!this.tools) return;
      this.axis.value = view.x;
      this.smooth.paint(view);
      this.inView.paint(view);
    }

    // What a chart shows, as the server writes it: of the steps in view.
    figures(chart) {
      const metrics = chart.told.metrics.filter((metric) => this.page.known.has(metric));
      if (!metrics.length) throw new rolloutwatch.Refused("No figure of this chart has come yet.");
      const query = new URLSearchParams({ format: "csv" });
      const zoom = this.zoom(this.view.get());
      if (zoom) query.set("from_step", zoom[0]);
      if (zoom && Number.isFinite(zoom[1])) query.set("to_step", zoom[1]);
      for (const metric of metrics) query.append("metric", metric);
      return rolloutwatch.exported(this.page.feed.path, query);
    }
  };

  const AXES = [["step", "steps"], ["time", "time"], ["relative", "time since the start"]];

  // judgement.with_voids, of what was fetched
  rolloutwatch.voided = function (series, unreadable, measured) {
    const told = series[unreadable];
    const voids = told ? told.step.filter((_, at) => told.value[at] >= 1) : [];
    for (const metric of voids.length ? measured : []) {
      const one = series[metric];
      if (!one || !one.step.length) continue;
      const column = new rolloutwatch.Column(one.step, one.value);
      const there = new Set(one.step);
      for (const step of voids) if (!there.has(step)) column.put(step, null);
      [one.step, one.value] = [column.step, column.value];
    }
    return series;
  };
})();
