// A chart of one figure of several runs, laid over each other: figures/compare.py draws it first, this goes on.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const EMPTY = { step: [], value: [], time: null };
  const FAINT = 0.3; // of a line that is smoothed
  const RUN_COLORS = 6; // theme.RUNS; then they come again, dashed
  const [MOST_LETTERS, PX_OF_NAMES] = [26, 210]; // of the runs' names beside a picture

  const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

  rolloutwatch.Overlay = class {
    // told: the chart; page: what all charts of the page have; axis: that of all charts
    constructor(told, page, axis) {
      this.told = told;
      this.page = page;
      this.whole = null; // of each run, once the first figure is there
      this.close = page.told.runs.map(() => EMPTY);
      this.columns = null; // of each run what is drawn, by its places on the axis
      this.changed = false;
      this.isStretched = false; // somebody has chosen a part of the value axis
      this.now = { axis, smooth: 0, isLog: told.floor > 0 };
    }

    // Look at it in another way: some of `now`.
    look(change) {
      const next = { ...this.now, ...change };
      if (next.smooth === this.now.smooth && next.isLog === this.now.isLog) return;
      if (next.isLog !== this.now.isLog) this.isStretched = false;
      this.now = next;
      this.changed = true;
    }

    plot() {
      const graph = document.querySelector(`#${CSS.escape(this.told.id)} .js-plotly-plot`);
      return graph && graph._fullLayout && graph._fullLayout.yaxis && window.Plotly ? graph : null;
    }

    // Take over the figure that came with the page.
    adopt() {
      const graph = this.plot();
      if (!graph || !graph.data || graph.layout.meta !== this.page.told.page) return null;
      if (this.graph === graph) return graph;
      this.graph = graph;
      const { runs } = this.page.told;
      this.colors = runs.map((_, at) => graph.data[at].line.color);
      this.wasLog = graph.layout.yaxis.type === "log";
      this.whole = runs.map((run, at) => this.columnOf(graph.data[at], graph.data[2 * runs.length + at], run));
      if (!same(this.page.ends, this.page.told.ends) || this.now.smooth || this.now.isLog !== this.wasLog) this.changed = true;
      else this.remember(this.lines());
      graph.on("plotly_relayout", (change) => this.page.relaid(this, change));
      graph.on("plotly_doubleclick", () => this.page.look(null));
      // somebody may have been quicker
      const { autorange, range } = graph._fullLayout.xaxis;
      if (!this.page.ends && !this.page.told.ends && autorange === false) this.page.relaid(this, { "xaxis.range[0]": range[0], "xaxis.range[1]": range[1] });
      return graph;
    }

    // What a line shows that came with the page; of what has no place its marks know.
    columnOf({ x, customdata }, lost, run) {
      const { axis } = this.page.told;
      const came = new Map(lost.customdata.map(([step, words]) => [step, rolloutwatch.parts.spelt(words)]));
      const rows = customdata.flatMap(([value, step], row) => (step === null ? [] : [[step, came.has(step) ? came.get(step) : value, x[row]]]));
      const time = axis.timed ? rows.map(([, , place]) => place * axis.unit + run.origin) : null;
      return { step: rows.map(([step]) => step), value: rows.map(([, value]) => value), time };
    }

    isSeen(graph) {
      const box = graph.getBoundingClientRect();
      return box.bottom > -200 && box.top < innerHeight + 200;
    }

    // The place on the common axis, in steps or seconds, that stands at an end of the axis; dates are told in the viewer's zone.
    toPlace(x) {
      const { unit, dated } = this.page.told.axis;
      return unit * (dated && typeof x !== "number" ? Date.parse(String(x).replace(" ", "T")) : x);
    }

    async paint() {
      const graph = this.adopt();
      if (!graph || !this.changed || !this.isSeen(graph)) return;
      this.changed = false;
      const lines = this.lines();
      const { isLog, smooth } = this.now;
      const scale = { ...this.told, floor: isLog ? this.told.floor || rolloutwatch.floorOf(lines.map((line) => line.value)) : 0 };
      for (const line of lines) line.drawn = rolloutwatch.drawn(line.value, scale);
      this.remember(lines);
      const means = smooth ? lines.map((line, at) => ({ x: line.x, y: rolloutwatch.drawn(this.means[at], scale), custom: [] })) : [];
      await this.page.quietly(async () => {
        await this.makeMeans(graph, means.length);
        await window.Plotly.update(graph, this.traces(lines, means), this.layout(lines, scale));
      });
    }

    lines() {
      const { axis, runs } = this.page.told;
      return runs.map((run, at) => rolloutwatch.lineOf(this.whole[at], run.origin || 0, axis, this.close[at]));
    }

    // Means of lines come last, and are there only while lines are smoothed.
    async makeMeans(graph, count) {
      const more = graph.data.length - 3 * this.colors.length;
      if (!count && more) await window.Plotly.deleteTraces(graph, Array.from({ length: more }, (_, at) => at - more));
      if (!count || more) return;
      const common = { type: "scatter", mode: "lines", connectgaps: false, hoverinfo: "skip", showlegend: false, zorder: 1 };
      const lines = graph.data.slice(0, this.colors.length);
      await window.Plotly.addTraces(graph, lines.map(({ name, line }) => ({ ...common, name, line: { ...line, width: 2 }, x: [], y: [] })));
    }

    traces(lines, means) {
      const dots = lines.map((line) => {
        const alone = rolloutwatch.isolated(line.drawn);
        return { x: alone.map((at) => line.x[at]), y: alone.map((at) => line.drawn[at]), custom: [] };
      });
      const drawn = lines.map((line) => ({ x: line.x, y: line.drawn, custom: line.value.map((value, at) => [value, line.step[at]]) }));
      const all = [...drawn, ...dots, ...lines.map(rolloutwatch.lostOf), ...means];
      return {
        x: all.map(({ x }) => x),
        y: all.map(({ y }) => y),
        customdata: all.map(({ custom }) => custom),
        "marker.symbol": all.map(({ symbol }) => symbol),
        opacity: all.map((_, at) => (at < lines.length ? (means.length ? FAINT : 1) : undefined)),
      };
    }

    layout(lines, scale) {
      const ends = this.page.ends && this.page.ends.map((end) => end / this.page.told.axis.unit);
      const isInView = (x) => !ends || (ends[0] <= x && x <= ends[1]);
      const seen = lines.map((line) => line.drawn.filter((value, at) => isInView(line.x[at])));
      const layout = { "annotations[0].visible": seen.every((line) => line.every((value) => value === null)) };
      if (!this.isStretched) layout["yaxis.range"] = rolloutwatch.valueRange(seen, scale);
      Object.assign(layout, this.scaleOf(layout["yaxis.range"]));
      if (this.page.told.axis.dated) layout["xaxis.type"] = "date"; // plotly guesses anew from what it is given
      if (ends) return { ...layout, "xaxis.range": ends, "xaxis.autorange": false };
      const [first, last] = rolloutwatch.extentOf(lines);
      const clip = first < last ? { "xaxis.autorangeoptions.clipmin": first, "xaxis.autorangeoptions.clipmax": last } : {};
      return { ...layout, "xaxis.autorange": true, ...clip };
    }

    // The value axis: its labels where it is logarithmic are ours.
    scaleOf(range) {
      const { isLog } = this.now;
      const isOther = isLog !== this.wasLog;
      this.wasLog = isLog;
      const kind = isOther ? { "yaxis.type": isLog ? "log" : "linear", shapes: this.told.shapes[isLog ? "log" : "linear"] } : {};
      if (!isLog) return isOther ? { ...kind, "yaxis.tickmode": "auto", "yaxis.nticks": 6 } : {};
      const ticks = range ? Object.entries(rolloutwatch.ticksOf(...range)) : [];
      return { ...kind, ...Object.fromEntries(ticks.map(([name, value]) => [`yaxis.${name}`, value])) };
    }

    // Keep what is drawn of each run, in order of places, for whoever points at it.
    remember(lines) {
      const { smooth } = this.now;
      this.means = lines.map((line) => (smooth ? rolloutwatch.meanOfRun(line, smooth) : null));
      const { unit } = this.page.told.axis;
      this.columns = lines.map((line, run) => {
        const there = Array.from(line.step.keys()).filter((at) => line.step[at] !== null);
        there.sort((one, other) => line.x[one] - line.x[other]);
        const mean = this.means[run];
        return {
          step: there.map((at) => line.x[at] * unit), // its place
          value: there.map((at) => line.came[at]),
          own: there.map((at) => line.step[at]),
          mean: mean && there.map((at) => mean[at]),
        };
      });
    }

    // The first and the last place in view.
    inView() {
      return this.page.ends || rolloutwatch.extentOf(this.columns.map(({ step }) => ({ x: step })));
    }

    // What pointer.js tells of.
    seen() {
      const means = this.now.smooth ? this.columns.map(({ step, mean }) => ({ step, value: mean })) : [];
      return { columns: this.columns, words: new Map(), means, ranges: [] };
    }

    rows() {
      return this.page.told.runs.map(({ name }, at) => ({ label: name, kind: `of-run-${at % RUN_COLORS}${at < RUN_COLORS ? "" : " again"}` }));
    }

    // Runs have no times in common, and of many steps few are drawn.
    reach({ step }) {
      const usual = rolloutwatch.usualDistance(step);
      const isAll = !this.page.told.axis.timed && step.length < this.page.told.points;
      return isAll ? Math.floor(usual / 2) : 2 * usual;
    }

    // Where it is not the place, its own step is said of a value.
    beside(run, place, distance) {
      const { step, own } = this.columns[run];
      if (this.now.axis.kind === "step") return distance ? `at ${place}` : "";
      return `step ${own[rolloutwatch.placeFrom(step, place)]}`;
    }

    // A picture has no legend above it, and gets one of its own.
    picture() {
      const { data, layout } = this.graph;
      const [first, last] = this.now.smooth ? [3 * this.colors.length, Infinity] : [0, this.colors.length];
      const isNamed = (at) => first <= at && at < last; // a line that is smoothed is faint
      const named = data.map((trace, at) => (isNamed(at) ? { ...trace, name: short(trace.name), showlegend: true } : trace));
      const legend = { orientation: "v", x: 1.01, xanchor: "left", y: 1, yanchor: "top", font: { size: 11 } };
      return { data: named, layout: { ...layout, showlegend: true, legend }, margin: { r: PX_OF_NAMES } };
    }

    variable(color) {
      const at = this.colors.indexOf(color);
      return at < 0 ? null : `--run-${at % RUN_COLORS}`;
    }

    // Only one run is to be seen clearly; null for all of them.
    lift(number) {
      const graph = this.plot();
      if (!graph) return;
      graph._fullData.forEach((trace) => {
        const group = graph.querySelector(`.trace${CSS.escape(trace.uid)}`);
        const isOther = number !== null && trace.index % this.page.told.runs.length !== number;
        if (group) group.classList.toggle("faded", isOther);
      });
    }
  };

  const short = (name) => (name.length > MOST_LETTERS ? `${name.slice(0, MOST_LETTERS - 1)}…` : name);
})();
