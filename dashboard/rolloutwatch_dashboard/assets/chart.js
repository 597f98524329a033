// A chart that grows: it owns its columns, and draws them when it is seen.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const LONG = 3000; // points of a line; past it they are fetched anew, thinned
  const BAND = "usual range";
  const FAINT = 0.3; // of a line that is smoothed

  // timeseries.range_of
  function rangeOf([first, last]) {
    return first < last ? [first, last] : [first - 1, first + 1];
  }

  const lastOf = (list) => list[list.length - 1];

  rolloutwatch.LiveChart = class {
    // page: which drawing of the page the figure has to belong to; the one before it may still be there
    // marks: what is marked in the run, shared by its charts; styles: how each style of line is drawn
    // ends: the first and the last step in view, null for all of the run
    constructor(told, page, marks, styles, ends) {
      this.told = told;
      this.page = page;
      this.marks = marks;
      this.styles = styles;
      this.alerts = []; // marks too, of those whose figures are drawn here
      this.columns = null; // all of the run, thinned where it is long
      this.detail = null; // {first, last, columns}: steps of which there is more
      this.early = []; // what came before plotly had drawn the first figure
      this.changed = false;
      this.high = null; // the part of the value axis that somebody zoomed into
      this.end = null; // the last step that is drawn, null for all there are
      this.points = Infinity; // of a series that the server does not thin
      this.zoomed = (from, to) => this.look({ zoom: from === null ? null : [from, to] });
      // how one looks at it: the steps in view, null for all; the axis; the weight of smoothing; whether values are on a log axis
      this.now = {
        zoom: ends,
        axis: new rolloutwatch.Axis("step", new rolloutwatch.Clock(), 0),
        smooth: 0,
        isLog: told.floor > 0,
      };
    }

    // Look at it in another way: some of `now`.
    look(change) {
      const next = { ...this.now, ...change };
      if (Object.keys(change).every((name) => String(next[name]) === String(this.now[name]) && name !== "axis")) return;
      if (next.isLog !== this.now.isLog) this.high = null;
      this.now = next;
      this.changed = true;
    }

    // Draw only what came up to a step, on the axes of all of it; null draws all again.
    until(step) {
      if (this.end === step) return;
      this.end = step;
      this.changed = true;
    }

    put(step, metrics, leftOut) {
      const has = (metric) => Object.hasOwn(metrics, metric) || leftOut.includes(metric);
      if (!this.told.metrics.some(has)) return;
      if (!this.columns) {
        this.early.push([step, metrics, leftOut]);
        return;
      }
      const isDetail = this.detail && this.detail.first <= step && step <= this.detail.last;
      for (const columns of isDetail ? [this.columns, this.detail.columns] : [this.columns]) {
        this.told.metrics.forEach((metric, index) => {
          if (Object.hasOwn(metrics, metric)) columns[index].put(step, metrics[metric]);
          else if (leftOut.includes(metric)) columns[index].leaveOut(step);
        });
      }
      this.changed = true;
    }

    // All of the run anew.
    replace(series) {
      if (!this.columns) return;
      this.columns = this.fresh(series, this.columns);
      this.changed = true;
    }

    // More of the steps from `first` to `last`, which may be infinite.
    refine(series, first, last) {
      if (!this.columns) return;
      const { parts } = rolloutwatch;
      const within = this.columns.map((column) => parts.part(column, first, last));
      this.detail = { first, last, columns: this.fresh(series, within) };
      this.changed = true;
    }

    // Columns of what was fetched; a step may have come by the feed while the answer was on its way.
    fresh(series, former) {
      return this.told.metrics.map((metric, index) => {
        const { step, value } = series[metric] || { step: [], value: [] };
        const column = new rolloutwatch.Column(step, value);
        const end = step.length ? lastOf(step) : -1;
        for (let at = former[index].step.length - 1; at >= 0 && former[index].step[at] > end; at--) {
          column.put(former[index].step[at], former[index].value[at]);
        }
        return column;
      });
    }

    isLong() {
      return Boolean(this.columns) && this.columns.some((column) => column.step.length > LONG);
    }

    // Whether it is seen, and more could be had of what is in view; `first` and `last` are the steps wanted.
    isCoarse(first, last) {
      const graph = this.plot();
      if (!graph || !this.columns || !this.isSeen(graph)) return false;
      const { detail } = this;
      return !detail || first < detail.first || last > detail.last || detail.columns.some((one) => one.step.length > LONG);
    }

    // The columns that are drawn: those with more detail, where they have all that is in view.
    shown() {
      const { detail, now } = this;
      const isEnough = detail && now.zoom && detail.first <= now.zoom[0] && now.zoom[1] <= detail.last;
      return isEnough ? detail.columns : this.columns;
    }

    // The first and the last step that there are.
    extent() {
      const columns = this.columns.filter((column) => column.step.length);
      if (!columns.length) return [0, 0];
      return [Math.min(...columns.map((column) => column.step[0])), Math.max(...columns.map((column) => lastOf(column.step)))];
    }

    // The first and the last step in view.
    inView() {
      const [first, last] = this.extent();
      if (!this.now.zoom) return [first, last];
      const [from, to] = this.now.zoom;
      return [from, Number.isFinite(to) ? to : Math.max(from, last)];
    }

    // Whether painting would do something; of what nobody sees it would only hold up the next step.
    isWaiting() {
      const graph = this.plot();
      return Boolean(graph) && (!this.columns || (this.changed && this.isSeen(graph)));
    }

    plot() {
      const graph = document.querySelector(`#${CSS.escape(this.told.id)} .js-plotly-plot`);
      return graph && graph._fullLayout && graph._fullLayout.yaxis && window.Plotly ? graph : null;
    }

    isSeen(graph) {
      const box = graph.getBoundingClientRect();
      return box.bottom > -200 && box.top < innerHeight + 200;
    }

    async paint() {
      const graph = this.plot();
      if (!graph || !this.adopt(graph) || !this.changed || !this.isSeen(graph)) return;
      this.changed = false;
      const { traces, layout } = this.drawing(graph);
      const more = traces.length - graph.data.length;
      // means of lines come last, and are there only while lines are smoothed
      if (more > 0) await window.Plotly.addTraces(graph, this.means());
      if (more < 0) await window.Plotly.deleteTraces(graph, Array.from({ length: -more }, (_, at) => at + more));
      const data = {
        x: traces.map((trace) => trace.x),
        y: traces.map((trace) => trace.drawn),
        text: traces.map((trace) => trace.text),
        textposition: traces.map((trace) => trace.side),
        "marker.color": traces.map((trace) => trace.color),
        "marker.symbol": traces.map((trace) => trace.symbol),
        opacity: traces.map((_, at) => (at < this.columns.length ? (this.now.smooth ? FAINT : 1) : undefined)),
      };
      await window.Plotly.update(graph, data, layout);
      graph.dataset.isOurs = ""; // before, it is as it came with the page: all of the run
    }

    // What is drawn now: traces in the order of those that came with the page, and what changes of the layout.
    drawing(graph) {
      const { parts } = rolloutwatch;
      const shown = this.shown();
      const { axis, isLog, smooth } = this.now;
      const scale = { ...this.told, floor: !isLog ? 0 : this.told.floor || rolloutwatch.floorOf(shown.map((one) => one.value)) };
      const come = this.end === null ? shown : shown.map((column) => parts.part(column, -1, this.end));
      const [whole, lines] = [shown.map((one) => parts.lineOf(one, scale)), come.map((one) => parts.lineOf(one, scale))];
      const [first, last] = this.inView();
      const steps = parts.stepsOf(come);
      const placed = this.place(graph, steps, first, last);
      const means = smooth ? lines.map((line) => parts.meanOf(line, smooth, scale)) : [];
      this.drawn = { columns: come, words: new Map(placed.words), ranges: this.usual(come), means };
      const traces = [...lines, ...lines.map(parts.dotsOf), rolloutwatch.lostValues(come, this.colors), parts.labelsOf(placed), ...means];
      const x = (step) => axis.x(step);
      for (const trace of traces) trace.x = axis.kind === "step" || trace.isPlaced ? trace.step : trace.step.map(x);
      const range = rolloutwatch.valueRange(
        whole.map((line) => line.drawn.filter((_, at) => first <= line.step[at] && line.step[at] <= last)),
        scale,
      );
      const layout = {
        "annotations[0].visible": lines.every((line) => line.drawn.every((value) => value === null)),
        "xaxis.range": rangeOf([x(first), x(last)]),
        "yaxis.range": this.high || range,
        ...axis.ticks(...rangeOf([x(first), x(last)])),
        ...this.scaleOf(this.high || range, isLog),
        ...this.shapesOf(placed, isLog, scale.floor, x),
      };
      return { traces, layout };
    }

    // How far from a step a value may stand that is told there: a figure may come seldom, and of many steps few are drawn.
    reach(column) {
      let [first, last] = this.extent();
      if (this.shown() !== this.columns) [first, last] = [this.detail.first, Math.min(this.detail.last, last)];
      const usual = rolloutwatch.usualDistance(column.step);
      return last - first < this.points ? Math.floor(usual / 2) : 2 * usual;
    }

    // How each line is called, and what looks like it.
    rows() {
      const labels = Array.from(new Set(this.told.labels));
      return this.told.labels.map((label) => ({ label, kind: `series-${labels.indexOf(label)}` }));
    }

    // What is said beside a value at a step, which is so far from the one that is pointed at.
    beside(index, step, distance) {
      return distance ? `at ${step}` : "";
    }

    // What a picture shows, and by which variable of the style sheet a colour of plotly's is seen.
    picture() {
      return this.graph;
    }

    variable(color) {
      const index = Array.from(new Set(this.colors)).indexOf(color);
      return index < 0 ? null : `--series-${index}`;
    }

    // What one sees: its columns, what is marked by step, the usual range, and means of lines.
    seen() {
      if (this.drawn) return this.drawn;
      const { parts } = rolloutwatch;
      const { smooth } = this.now;
      const columns = this.shown();
      const means = smooth ? columns.map((one) => parts.meanOf(parts.lineOf(one, this.told), smooth, this.told)) : [];
      return (this.drawn = { columns, words: new Map(), ranges: this.usual(columns), means });
    }

    // The usual range of the chart's own figure, the first one: by what came before these columns too.
    usual([column]) {
      const [whole] = this.columns;
      return rolloutwatch.parts.usualOf(column, whole, this.told.usual, this.marks.list());
    }

    // The value axis: its labels where it is logarithmic are ours.
    scaleOf(range, isLog) {
      const wasLog = this.wasLog;
      this.wasLog = isLog;
      const kind = isLog === wasLog ? {} : { "yaxis.type": isLog ? "log" : "linear" };
      if (!isLog) return wasLog ? { ...kind, "yaxis.tickmode": "auto", "yaxis.nticks": 6 } : {};
      const ticks = Object.entries(rolloutwatch.ticksOf(...range));
      return { ...kind, ...Object.fromEntries(ticks.map(([name, value]) => [`yaxis.${name}`, value])) };
    }

    // Limits, marks, and the usual range; nothing where they are as they were.
    shapesOf(placed, isLog, floor, x) {
      const bands = rolloutwatch.band(this.drawn.ranges, floor, x).map((path) => [BAND, path]);
      const lines = Object.entries(placed.paths);
      const key = JSON.stringify([isLog, bands, lines]);
      if (key === this.shapes) return {};
      this.shapes = key;
      const drawn = (name, path, called) => ({ ...this.styles[name], name: called, path });
      return {
        shapes: [
          ...bands.map(([name, path]) => drawn(name, path, name)),
          ...this.told.bounds[isLog ? "log" : "linear"],
          ...lines.map(([name, path]) => drawn(name, path, `mark: ${name}`)),
        ],
      };
    }

    // Traces for the means of lines, empty yet.
    means() {
      const named = ({ name, legendgroup, line }) => ({ name: `${name}, smoothed`, legendgroup, line: { color: line.color, width: 2 } });
      const common = { type: "scatter", mode: "lines", connectgaps: false, hoverinfo: "skip", showlegend: false, zorder: 1 };
      return this.graph.data.slice(0, this.columns.length).map((line) => ({ ...common, ...named(line), x: [], y: [] }));
    }

    // Take over the figure that came with the page.
    adopt(graph) {
      if (this.graph === graph) return true;
      if (!graph.data || graph.layout.meta !== this.page) return false;
      this.graph = graph;
      const { parts } = rolloutwatch;
      const count = this.told.metrics.length; // of lines, which come first; then as many dots, and then the lost
      const lines = graph.data.slice(0, count);
      this.colors = lines.map((line) => line.line.color);
      this.columns = lines.map((line, index) => parts.columnOf(line, index, graph.data[2 * count]));
      this.wasLog = graph.layout.yaxis.type === "log";
      const ends = parts.endsOf(graph);
      const drawn = rangeOf(ends || this.extent());
      if (ends) {
        const [first, last] = ends;
        this.detail = { first, last, columns: this.columns.map((column) => parts.part(column, first, last)) };
      }
      for (const early of this.early.splice(0)) this.put(...early);
      // drawn for a usual width, and this is the real one
      if (this.allMarks().length) this.changed = true;
      // somebody may have been quicker
      const [from, to] = graph._fullLayout.xaxis.range;
      if (from !== drawn[0] || to !== drawn[1]) this.relayout({ "xaxis.range[0]": from, "xaxis.range[1]": to });
      graph.on("plotly_relayout", (change) => this.relayout(change));
      graph.on("plotly_doubleclick", () => {
        this.high = null;
        this.changed = true;
        this.zoomed(null, null);
      });
      return true;
    }

    // What is drawn of the marks on the part of the plot that is seen.
    place(graph, steps, first, last) {
      const { axis } = this.now;
      const marks = steps.length || this.now.zoom ? this.allMarks() : [];
      const come = this.end === null ? marks : marks.filter((mark) => mark.step <= this.end);
      const x = axis.kind === "step" ? undefined : (step) => axis.x(step);
      return rolloutwatch.placeMarks(come, steps, first, last, graph._fullLayout.xaxis._length, x);
    }

    // All that is marked here, in order.
    allMarks() {
      if (!this.alerts.length) return this.marks.list();
      return [...this.marks.list(), ...this.alerts].sort((one, other) => one.step - other.step || one.time - other.time);
    }

    // These are the alerts of the run; those that watch no figure stand everywhere.
    alerted(alerts) {
      const mine = alerts.filter(({ metrics }) => !metrics.length || metrics.some((metric) => this.told.metrics.includes(metric)));
      if (JSON.stringify(mine) === JSON.stringify(this.alerts)) return;
      this.alerts = mine;
      this.changed = true;
    }

    // A mark has come.
    marked() {
      this.changed = true;
    }

    // Somebody has drawn a box on the chart: its values are for this chart, its steps for whoever is told.
    relayout(change) {
      const ends = (name) => [change[`${name}.range[0]`], change[`${name}.range[1]`]];
      const [[from, to], [low, high]] = [ends("xaxis"), ends("yaxis")];
      if (low !== undefined) this.high = [low, high];
      if (low !== undefined || from !== undefined) this.changed = true; // what is zoomed into needs labels of its own
      if (from === undefined) return;
      const { axis } = this.now;
      const steps = axis.kind === "step" ? [Math.ceil(from), Math.floor(to)] : [axis.step(from), axis.step(to)];
      if (steps[0] > steps[1]) steps[0] = steps[1] = Math.round((from + to) / 2);
      this.zoomed(Math.max(0, steps[0]), Math.max(0, steps[1]));
    }
  };
})();
