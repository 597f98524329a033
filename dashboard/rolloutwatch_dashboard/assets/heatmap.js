// The heat map of the log ratio: it asks for histograms when it is seen, grows with the run, and leads to its steps.
// To the page of a run it is one more chart.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});
  const { heat } = rolloutwatch;
  const { say } = rolloutwatch.head;

  const MS_BETWEEN_ANSWERS = 3000;
  const SHARE_OF_TIME = 20; // drawing takes at most one part in so many of the browser's time
  const MS_OF_A_DOUBLE_CLICK = 320;
  const COLUMNS_AT_ONCE = 2000; // when a step is looked for
  const PX_SEEN = 60; // so much of it is seen by whoever looks at it
  const MS_OF_A_LOOK = 300; // who scrolls past does not look
  const MS_WITHOUT_CHARTS = 3000; // a page whose charts are not there yet is shorter than it will be

  const $ = (id) => document.getElementById(id);

  // Zoom that all charts share where there is such a thing, and else of this one alone.
  class OwnView {
    constructor() {
      this.now = { from: null, to: null };
      this.listeners = new Set();
    }

    get() {
      return this.now;
    }

    set(change) {
      this.now = { ...this.now, ...change };
      this.listeners.forEach((listener) => listener());
    }

    subscribe(listener) {
      this.listeners.add(listener);
      return () => this.listeners.delete(listener);
    }
  }

  const isFinger = () => matchMedia("(hover: none)").matches;
  const nothing = () => ({ columns: [], width: 1 });

  rolloutwatch.HeatMap = class {
    // run: its id; told: what components/heatmap.py tells; ends: the first and the last step in view, null for all of the run
    constructor(run, told, ends) {
      this.path = `/runs/${encodeURIComponent(run)}`;
      this.told = told;
      this.view = rolloutwatch.view || new OwnView();
      this.ends = ends; // where the page is drawn around a step; zoom goes before that
      this.limit = null;
      this.drawingMs = 0;
      this.forget();
      this.unsubscribe = this.view.subscribe(() => this.viewed());
      this.endKeys = rolloutwatch.addKeys({ of: "The map of the log ratio, when it has the focus", heeds: (event) => this.heeds(event), keys: this.keys() });
    }

    close() {
      this.closed = true;
      this.endKeys();
      this.unsubscribe();
      clearTimeout(this.opening);
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
      if (this.isDrawn || this.after === null) return;
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
      const figure = heat.filled(this.told.figure, cells, this.told.thresholds, bins, this.range());
      const config = { displayModeBar: false, responsive: true, doubleClick: false, scrollZoom: false };
      const began = performance.now();
      await Plotly.react(graph, figure.data, figure.layout, config);
      this.drawingMs = performance.now() - began;
      this.adopt(graph);
      this.paintScale(whole.colors);
      $(`${this.told.id}-all`).hidden = !this.isZoomed();
      this.point(...(this.at || [null]));
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
      graph.on("plotly_hover", ({ points }) => this.pointed(points[0]));
      graph.on("plotly_unhover", () => this.point(null));
      graph.on("plotly_click", ({ points, event }) => this.clicked(points[0], event));
      graph.on("plotly_doubleclick", () => this.showAll());
      const card = $(`${this.told.id}-card`);
      card.querySelector("[data-show=all]").onclick = () => this.showAll();
      card.querySelector(".heat-plot").onblur = () => this.point(null);
      card.querySelector("[data-open]").onclick = (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey || !this.at) return;
        event.preventDefault();
        this.open(...this.at);
      };
    }

    showAll() {
      clearTimeout(this.opening);
      if (this.isZoomed()) this.view.set({ from: null, to: null });
    }

    zoomed(change) {
      if (!("xaxis.range[0]" in change)) return;
      const from = Math.max(0, Math.ceil(change["xaxis.range[0]"]));
      const to = Math.max(from, Math.floor(change["xaxis.range[1]"]));
      this.view.set({ from, to });
    }

    // The place of a cell among cells: column, row.
    placeOf(point) {
      const [row, column] = Array.isArray(point.pointIndex) ? point.pointIndex : point.pointNumber;
      return [column, row];
    }

    pointed(point) {
      if (point.curveNumber === 0) this.point(...this.placeOf(point));
    }

    // Read out a cell; none for null.
    point(column, row) {
      const at = column === null ? null : this.cells.column[column];
      const found = at === null || at === undefined ? null : this.known.columns[at];
      this.at = found ? [column, row] : null;
      const text = $(`${this.told.id}-text`);
      const way = $(`${this.told.id}-card`).querySelector("[data-open]");
      const cursor = $(`${this.told.id}-cursor`);
      way.hidden = cursor.hidden = !found;
      if (!found) return say(text, isFinger() ? this.told.hints[1] : this.told.hints[0]);
      say(text, heat.cellText(found, this.cells.low + row, this.edges));
      way.href = `${this.path}/steps/${found.first}`;
      say(way, found.first === found.last ? `Open step ${found.first}` : "Open the step with most of it");
      this.frame(cursor, column, row);
    }

    // Put a frame around a cell.
    frame(cursor, column, row) {
      const { xaxis, yaxis } = this.graph._fullLayout;
      const y = this.cells.low + row - (this.edges.length + 1) / 2;
      const [left, right] = [xaxis.l2p(this.cells.x[column]), xaxis.l2p(this.cells.x[column + 1])];
      const [top, bottom] = [yaxis.l2p(y + 1), yaxis.l2p(y)];
      cursor.hidden = right < 0 || left > xaxis._length;
      cursor.style.left = `${xaxis._offset + left}px`;
      cursor.style.top = `${yaxis._offset + top}px`;
      cursor.style.width = `${Math.max(2, right - left)}px`;
      cursor.style.height = `${Math.max(2, bottom - top)}px`;
    }

    clicked(point, event) {
      if (point.curveNumber !== 0) return;
      const place = this.placeOf(point);
      this.point(...place);
      // a finger has not pointed at anything before; it finds the way below
      if (!this.at || isFinger()) return;
      const isElsewhere = event && (event.ctrlKey || event.metaKey);
      clearTimeout(this.opening);
      // a double click takes the zoom back
      this.opening = setTimeout(() => this.open(...place, isElsewhere), this.isZoomed() ? MS_OF_A_DOUBLE_CLICK : 0);
    }

    heeds({ target }) {
      const place = target.closest && target.closest(".heat-plot");
      return Boolean(place && this.graph && place.contains(this.graph));
    }

    keys() {
      const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
      const by = (times) => ({ key }) => {
        if (!this.cells || !this.cells.z.length) return false;
        this.move(...moves[key], times);
        return true;
      };
      return [
        { on: Object.keys(moves), does: "the cell beside, above, below", act: by(1) },
        { on: ["Shift+ArrowLeft", "Shift+ArrowRight", "Shift+ArrowUp", "Shift+ArrowDown"], does: "ten cells on", act: by(10) },
        { on: ["Enter"], does: "open the step of the cell", act: () => (this.at ? this.open(...this.at) : false) },
        { on: ["Escape"], does: "leave the cell", act: () => this.point(null) },
      ];
    }

    // To the next column that has a histogram; the first time to the newest one, where most tokens are.
    move(across, up, times) {
      const { column, z } = this.cells;
      if (!this.at) {
        const last = column.length - 1;
        const rows = z.map((row) => (row[last] === null ? -Infinity : row[last]));
        return this.point(last, rows.indexOf(Math.max(...rows)));
      }
      const clip = (value, most) => Math.min(Math.max(value, 0), most);
      let next = clip(this.at[0] + across * times, column.length - 1);
      while (column[next] === null) next += across;
      this.point(next, clip(this.at[1] + up * times, z.length - 1));
    }

    // Open the step of a column that has the largest share of its tokens in the row's bin; of those alike the first one.
    async open(column, row, isElsewhere = false) {
      const bin = this.cells.low + row;
      let found = this.known.columns[this.cells.column[column]];
      try {
        while (found.first < found.last) found = await this.narrowed(found, bin);
      } catch {
        return say($(`${this.told.id}-text`), "The server does not answer, so that the step cannot be found.");
      }
      if (this.closed) return;
      const href = `${this.path}/steps/${found.first}`;
      if (isElsewhere) return void window.open(href);
      history.pushState({}, "", href);
      dispatchEvent(new CustomEvent("_dashprivate_pushstate")); // dash is told of it as by a link
      scrollTo(0, 0);
    }

    async narrowed({ first, last }, bin) {
      const answer = await this.fetch({ from_step: first, to_step: last, columns: COLUMNS_AT_ONCE });
      const columns = heat.columnsOf(answer.columns);
      const share = (one) => (one.total ? heat.count(one, bin) / one.total : 0);
      return columns.reduce((best, one) => (share(one) > share(best) ? one : best));
    }

    paintScale([low, high]) {
      const [from, , to] = $(`${this.told.id}-scale`).children;
      say(from, heat.percentOfPower(low));
      say(to, heat.percentOfPower(high));
    }
  };
})();
