// The heat map of the log ratio: it asks for histograms when it is seen, and grows with the run.
// To the page of a run it is one more chart.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});
  const { heat } = rolloutwatch;
  const { say } = rolloutwatch.head;

  const MS_BETWEEN_ANSWERS = 3000;
  const SHARE_OF_TIME = 20; // drawing takes at most one part in so many of the browser's time
  const PX_SEEN = 60; // so much of it is seen by whoever looks at it
  const MS_OF_A_LOOK = 300; // who scrolls past does not look
  const MS_WITHOUT_CHARTS = 3000; // a page whose charts are not there yet is shorter than it will be

  const $ = (id) => document.getElementById(id);

  const nothing = () => ({ columns: [], width: 1 });

  rolloutwatch.HeatMap = class {
    // run: its id; told: what components/heatmap.py tells; ends: the first and the last step in view, null for all of the run
    constructor(run, told, ends) {
      this.path = `/runs/${encodeURIComponent(run)}`;
      this.told = told;
      this.view = rolloutwatch.view;
      this.now = { axis: new rolloutwatch.Axis("step", new rolloutwatch.Clock(), 0) };
      this.reader = new rolloutwatch.HeatReader(this);
      this.pointer = null; // that of all charts, once there is one
      this.ends = ends; // where the page is drawn around a step; zoom goes before that
      this.limit = null;
      this.drawingMs = 0;
      this.forget();
      this.unsubscribe = this.view.subscribe(() => this.viewed());
    }

    close() {
      this.closed = true;
      this.unsubscribe();
      this.reader.close();
      if (this.graph && window.Plotly.purge) window.Plotly.purge(this.graph);
    }

    forget() {
      this.known = nothing();
      this.after = null; // the changes of the run that are known
      this.news = true;
      this.askedAt = -Infinity;
      this.isDrawn = false;
    }

    // The steps in view, null for all.
    range() {
      const { from, to } = this.view.get();
      if (from === null && to === null) return this.ends;
      return [from === null ? 0 : from, to === null ? Number.MAX_SAFE_INTEGER : to];
    }

    viewed() {
      const range = JSON.stringify(this.range());
      if (range === this.shownRange) return;
      this.forget();
      this.paint();
    }

    // What a chart of the page is told.
    put() {
      this.news = true;
    }

    marked() {}

    alerted() {}

    replace() {}

    isLong() {
      return false;
    }

    // Draw only what came up to a step, null for all; the axes stay.
    until(step) {
      if (this.limit === step) return;
      this.limit = step;
      this.isDrawn = false;
    }

    // Whether a replay is wanted that does not know its step yet: whoever looks back must not see what came later.
    isAhead() {
      return this.limit === null && this.view.get().at !== null;
    }

    isWaiting() {
      return Boolean(this.isLookedAt() && (!this.isDrawn || (this.news && this.isDue())));
    }

    isDue() {
      return !this.asking && performance.now() - this.askedAt > Math.max(MS_BETWEEN_ANSWERS, SHARE_OF_TIME * this.drawingMs);
    }

    isSeen() {
      const element = $(this.told.id);
      if (!element || this.closed) return false;
      const box = element.getBoundingClientRect();
      return box.height > 0 && box.bottom > PX_SEEN && box.top < innerHeight - PX_SEEN;
    }

    // Whether somebody looks at it, and not only at the place where it is as long as other charts are not there.
    isLookedAt() {
      const now = performance.now();
      if (!this.isSeen()) this.seenFrom = null;
      else if (!this.seenFrom) [this.seenFrom] = [now, setTimeout(() => this.paint(), MS_OF_A_LOOK + 1)];
      const isThere = document.querySelector(".js-plotly-plot .main-svg");
      return Boolean(this.seenFrom) && now - this.seenFrom > (isThere ? MS_OF_A_LOOK : MS_WITHOUT_CHARTS);
    }

    // Whoever paints the page does not wait for the server.
    async paint() {
      if (!this.isLookedAt()) return;
      if (this.news && this.isDue()) this.ask();
      if (!this.isDrawn && this.after !== null) await this.draw();
    }

    async ask() {
      const [range, asked] = [this.range(), this.after];
      this.shownRange = JSON.stringify(range);
      [this.asking, this.news, this.askedAt] = [true, false, performance.now()];
      const query = { columns: this.told.columns };
      if (range) [query.from_step, query.to_step] = range;
      if (asked !== null) [query.after, query.width] = [asked, this.known.width];
      try {
        const answer = await this.fetch(query);
        if (this.closed || this.shownRange !== JSON.stringify(this.range())) return;
        if (asked !== null && answer.generation !== this.generation) return this.forget();
        this.generation = answer.generation;
        this.edges = answer.edges;
        this.known = heat.put(asked === null ? nothing() : this.known, answer, this.told.columns);
        this.after = answer.changes;
        this.isDrawn = false;
      } catch {
        this.news = true; // the page's feed finds out by itself that the server is gone
      } finally {
        this.asking = false;
      }
      await this.paint(); // what came, or what was wished for meanwhile
    }

    async fetch(query) {
      const path = `/api/v1${this.path}/histograms?${new URLSearchParams(query)}`;
      const answer = await fetch(path);
      if (!answer.ok) throw new Error(`${answer.status} for ${path}`);
      return answer.json();
    }

    async draw() {
      if (this.isDrawn || this.after === null || this.isAhead()) return;
      this.isDrawn = true;
      const { columns } = this.known;
      const bins = this.edges.length + 1;
      const whole = heat.cells(columns, bins);
      const cells = this.limit === null ? whole : this.upTo(this.limit, whole);
      this.cells = cells;
      $(`${this.told.id}-card`).classList.toggle("empty", !columns.length);
      const Plotly = await window.Plotly;
      const graph = $(this.told.id);
      if (this.closed || !graph) return;
      const { axis } = this.now;
      const figure = heat.along(heat.filled(this.told.figure, cells, this.told.thresholds, bins, this.range()), axis);
      const config = { displayModeBar: false, responsive: true, doubleClick: false, scrollZoom: false };
      const began = performance.now();
      await Plotly.react(graph, figure.data, figure.layout, config);
      this.drawingMs = performance.now() - began;
      if (this.closed || !graph.isConnected) return; // another page is there already
      this.adopt(graph);
      this.colors = whole.colors;
      this.paintScale(whole.colors);
      $(`${this.told.id}-all`).hidden = !this.isZoomed();
      this.reader.read(...(this.reader.at || [null]));
    }

    // The cells of the past, where all others are empty.
    upTo(step, whole) {
      const isPast = whole.column.map((at) => at !== null && this.known.columns[at].last <= step);
      return { ...whole, z: whole.z.map((row) => row.map((share, at) => (isPast[at] ? share : null))) };
    }

    isZoomed() {
      const { from, to } = this.view.get();
      return from !== null || to !== null;
    }

    adopt(graph) {
      if (this.graph === graph) return;
      this.graph = graph;
      graph.on("plotly_relayout", (change) => this.zoomed(change));
      this.reader.adopt(graph, $(`${this.told.id}-card`));
    }

    showAll() {
      if (this.isZoomed()) this.view.set({ from: null, to: null });
    }

    zoomed(change) {
      if (!("xaxis.range[0]" in change)) return;
      const { axis } = this.now;
      const ends = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
      const [first, last] = axis.kind === "step" ? [Math.ceil(ends[0]), Math.floor(ends[1])] : ends.map((end) => axis.step(end));
      const from = Math.max(0, first);
      this.view.set({ from, to: Math.max(from, last) });
    }

    // Along steps, or along time, as the charts are.
    along(axis) {
      this.now = { axis };
      this.isDrawn = false;
    }

    // What pointer.js asks for.
    pointed(event) {
      return this.reader.pointed(event);
    }

    left() {
      this.reader.read(null);
    }

    // A line at a step that somebody points at elsewhere, null for none.
    line(step) {
      const isThere = step !== null && this.cells && this.graph && (this.limit === null || step <= this.limit);
      if (isThere) rolloutwatch.putLine(this, step);
      else rolloutwatch.removeLine(this);
    }

    // What chart_actions.js asks for.
    picture() {
      return heat.picture(this.graph, this.colors, document.documentElement.dataset.theme === "dark");
    }

    variable() {
      return null;
    }

    // The cells in view, with the number of tokens in each.
    figures() {
      const [first, last] = this.range() || [0, Infinity];
      const end = this.limit === null ? Infinity : this.limit;
      const columns = this.known.columns.filter((one) => one.last >= first && one.first <= last && one.last <= end);
      if (!columns.length) throw new rolloutwatch.Refused("No histogram came with these steps.");
      return new Blob([heat.asCsv(columns, this.edges)], { type: "text/csv" });
    }

    paintScale([low, high]) {
      const [from, , to] = $(`${this.told.id}-scale`).children;
      say(from, heat.percentOfPower(low));
      say(to, heat.percentOfPower(high));
    }
  };
})();
