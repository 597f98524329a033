// A chart of one figure of several runs, laid over each other: figures/compare.py draws it first, this goes on.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const LARGEST = 1e200;
  const NOT_FINITE = 0.02;
  const EMPTY = { step: [], value: [], time: null };

  const part = (series, which) => ({
    step: series.step.filter((_, at) => which(at)),
    value: series.value.filter((_, at) => which(at)),
    time: series.time && series.time.filter((_, at) => which(at)),
  });

  function joined(one, other) {
    const time = one.time && other.time ? [...one.time, ...other.time] : null;
    return { step: [...one.step, ...other.step], value: [...one.value, ...other.value], time };
  }

  // The points of a series, with one that has no step in each gap.
  function gapped(series) {
    const places = series.time || series.step;
    const known = new Map(series.step.map((step, at) => [step, places[at]]));
    const values = series.value.map((value) => (value === null || Math.abs(value) > LARGEST ? null : value));
    const line = rolloutwatch.withGaps(series.step, values);
    const found = [];
    line.step.forEach((step, at) => {
      if (known.has(step)) found.push([step, line.value[at], known.get(step)]);
      else found.push([null, null, found[found.length - 1][2]]);
    });
    return found;
  }

  // compare.line_of
  rolloutwatch.lineOf = function (whole, origin, axis, close) {
    let points;
    if (close && close.step.length) {
      const [first, last, end] = [close.step[0], close.step[close.step.length - 1], close.step.length - 1];
      const before = part(whole, (at) => whole.step[at] < first);
      const after = part(whole, (at) => whole.step[at] > last);
      points = [
        ...gapped(joined(before, part(close, (at) => at === 0))).slice(0, -1),
        ...gapped(close),
        ...gapped(joined(part(close, (at) => at === end), after)).slice(1),
      ];
    } else {
      points = gapped(whole);
    }
    return {
      step: points.map(([step]) => step),
      value: points.map(([, value]) => value),
      x: points.map(([, , place]) => (place - origin) / axis.unit),
    };
  };

  // What is known of a series up to a step, and what has come from there on.
  rolloutwatch.withNews = function (series, fresh, from) {
    return joined(part(series, (at) => series.step[at] < from), fresh);
  };

  rolloutwatch.Overlay = class {
    // told: the chart; page: what all charts of the page have
    constructor(told, page) {
      this.told = told;
      this.page = page;
      this.whole = null; // of each run, once the first figure is there
      this.close = page.told.runs.map(() => EMPTY);
      this.changed = false;
      this.isStretched = false; // somebody has chosen a part of the value axis
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
      const { axis, runs } = this.page.told;
      this.whole = runs.map((run, at) => {
        const { x, customdata } = graph.data[at];
        const rows = customdata.map(([value, step], row) => [step, value, x[row]]).filter(([step]) => step !== null);
        const time = axis.timed ? rows.map(([, , place]) => place * axis.unit + run.origin) : null;
        return { step: rows.map(([step]) => step), value: rows.map(([, value]) => value), time };
      });
      if (!same(this.page.ends, this.page.told.ends)) this.changed = true;
      graph.on("plotly_relayout", (change) => this.page.relaid(this, change));
      graph.on("plotly_doubleclick", () => this.page.look(null));
      graph.on("plotly_hover", ({ xvals }) => this.page.point(xvals[0]));
      graph.on("plotly_unhover", () => this.page.point(null));
      // somebody may have been quicker
      const { autorange, range } = graph._fullLayout.xaxis;
      if (!this.page.ends && !this.page.told.ends && autorange === false) this.page.relaid(this, { "xaxis.range[0]": range[0], "xaxis.range[1]": range[1] });
      return graph;
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
      const { axis, runs } = this.page.told;
      const lines = runs.map((run, at) => rolloutwatch.lineOf(this.whole[at], run.origin || 0, axis, this.close[at]));
      for (const line of lines) line.drawn = rolloutwatch.drawn(line.value, this.told);
      const data = this.traces(lines);
      await this.page.quietly(() => window.Plotly.update(graph, data, this.layout(lines)));
    }

    traces(lines) {
      const dots = lines.map((line) => {
        const alone = rolloutwatch.isolated(line.drawn);
        return { x: alone.map((at) => line.x[at]), y: alone.map((at) => line.drawn[at]), custom: [] };
      });
      const crosses = lines.map((line) => {
        const odd = line.step.flatMap((step, at) => (step !== null && line.value[at] === null ? [at] : []));
        return { x: odd.map((at) => line.x[at]), y: odd.map(() => NOT_FINITE), custom: odd.map((at) => line.step[at]) };
      });
      const drawn = lines.map((line) => ({ x: line.x, y: line.drawn, custom: line.value.map((value, at) => [value, line.step[at]]) }));
      const all = [...drawn, ...dots, ...crosses];
      return { x: all.map(({ x }) => x), y: all.map(({ y }) => y), customdata: all.map(({ custom }) => custom) };
    }

    layout(lines) {
      const ends = this.page.ends && this.page.ends.map((end) => end / this.page.told.axis.unit);
      const isInView = (x) => !ends || (ends[0] <= x && x <= ends[1]);
      const seen = lines.map((line) => line.drawn.filter((value, at) => isInView(line.x[at])));
      const layout = { "annotations[0].visible": seen.every((line) => line.every((value) => value === null)) };
      if (!this.isStretched) {
        const range = rolloutwatch.valueRange(seen, this.told);
        layout["yaxis.range"] = range;
        Object.assign(layout, this.ticks(range));
      }
      if (this.page.told.axis.dated) layout["xaxis.type"] = "date"; // plotly guesses anew from what it is given
      if (ends) return { ...layout, "xaxis.range": ends, "xaxis.autorange": false };
      const [first, last] = extent(lines);
      const clip = first < last ? { "xaxis.autorangeoptions.clipmin": first, "xaxis.autorangeoptions.clipmax": last } : {};
      return { ...layout, "xaxis.autorange": true, ...clip };
    }

    // The labels of a log axis between two powers of ten; others plotly finds by itself.
    ticks(range) {
      if (!(this.told.floor > 0)) return {};
      return Object.fromEntries(Object.entries(rolloutwatch.ticksOf(...range)).map(([name, value]) => [`yaxis.${name}`, value]));
    }

    // A line at a place of the axis, which somebody points at on one of the charts; null for none.
    point(x) {
      const graph = this.plot();
      if (!graph || !this.isSeen(graph)) return;
      this.line = this.line || rolloutwatch.element("div", { class: "pointed" });
      const place = graph.querySelector(".svg-container");
      if (this.line.parentNode !== place) place.append(this.line);
      const { xaxis, yaxis } = graph._fullLayout;
      const at = x === null ? -1 : xaxis.c2p(x);
      this.line.hidden = !(at >= 0 && at <= xaxis._length);
      this.line.style.cssText = `left: ${xaxis._offset + at}px; top: ${yaxis._offset}px; height: ${yaxis._length}px`;
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

  function same(one, other) {
    return JSON.stringify(one) === JSON.stringify(other);
  }

  function extent(lines) {
    let [first, last] = [Infinity, -Infinity];
    for (const line of lines) {
      for (const x of line.x) {
        if (x < first) first = x;
        if (x > last) last = x;
      }
    }
    return [first, last];
  }
})();
