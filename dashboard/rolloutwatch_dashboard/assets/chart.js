// A chart that grows: it owns its columns, and draws them when it is seen.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const LONG = 3000; // points of a line; past it they are fetched anew, thinned

  // The labels of marks, and the words that are said when one points at their step.
  function markTraces({ labels, words }) {
    return [
      {
        step: labels.map(([step]) => step),
        drawn: labels.map(([, height]) => height),
        value: [],
        text: labels.map(([, , text]) => text),
        side: labels.map(([, , , side]) => side),
      },
      { step: words.map(([step]) => step), drawn: words.map(() => 0.5), value: words.map(([, text]) => text) },
    ];
  }

  // timeseries.ends_of_axis
  function endsOfAxis(steps) {
    const [first, last] = [steps[0], steps[steps.length - 1]];
    if (!(first < last)) return {};
    return { "xaxis.autorangeoptions.clipmin": first, "xaxis.autorangeoptions.clipmax": last };
  }

  // timeseries.range_of
  function rangeOf([first, last]) {
    return first < last ? [first, last] : [first - 1, first + 1];
  }

  rolloutwatch.LiveChart = class {
    // page: which drawing of the page the figure has to belong to; the one before it may still be there
    // marks: what is marked in the run, shared by its charts; styles: how each style of line is drawn
    // ends: the first and the last step that are in view, null for all of the run
    constructor(told, page, marks, styles, ends) {
      this.ends = ends;
      this.told = told;
      this.page = page;
      this.marks = marks;
      this.styles = styles;
      this.alerts = []; // marks too, of those whose figures are drawn here
      this.columns = null;
      this.early = []; // what came before plotly had drawn the first figure
      this.changed = false;
      this.isZoomed = false;
      this.end = null; // the last step that is drawn, null for all there are
    }

    // Draw only what came up to a step, on the axes of all of it; null draws all again.
    until(step) {
      if (this.end === step) return;
      this.end = step;
      this.changed = true;
    }

    // What is drawn of a column.
    part(column) {
      if (this.end === null) return column;
      const after = column.step.findIndex((step) => step > this.end);
      const count = after < 0 ? column.step.length : after;
      return { step: column.step.slice(0, count), value: column.value.slice(0, count) };
    }

    put(step, metrics, leftOut) {
      const has = (metric) => Object.hasOwn(metrics, metric) || leftOut.includes(metric);
      if (!this.told.metrics.some(has)) return;
      if (!this.columns) {
        this.early.push([step, metrics, leftOut]);
        return;
      }
      this.told.metrics.forEach((metric, index) => {
        if (Object.hasOwn(metrics, metric)) this.columns[index].put(step, metrics[metric]);
        else if (leftOut.includes(metric)) this.columns[index].leaveOut(step);
      });
      this.changed = true;
    }

    replace(series) {
      if (!this.columns) return;
      const last = this.columns.map((column) => column.step[column.step.length - 1]);
      this.columns = this.told.metrics.map((metric, index) => {
        const fetched = series[metric];
        const fresh = new rolloutwatch.Column(fetched.step, fetched.value);
        // a step may have come by the feed while this answer was on its way
        const old = this.columns[index];
        const end = fresh.step.length ? fresh.step[fresh.step.length - 1] : -1;
        for (let at = old.step.length - 1; at >= 0 && old.step[at] > end && last[index] > end; at--) {
          fresh.put(old.step[at], old.value[at]);
        }
        // what is looked at closely is not thinned
        old.step.forEach((step, at) => this.isInView(step) && this.ends && fresh.put(step, old.value[at]));
        return fresh;
      });
      this.changed = true;
    }

    isLong() {
      // what is looked at closely stays whole, however much that is
      const count = (column) => (this.ends ? column.step.filter((step) => !this.isInView(step)).length : column.step.length);
      return Boolean(this.columns) && this.columns.some((column) => column.step.length > LONG && count(column) > LONG);
    }

    isInView(step) {
      return !this.ends || (this.ends[0] <= step && step <= this.ends[1]);
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
      const whole = this.columns.map((column) => this.line(column));
      const lines = this.end === null ? whole : this.columns.map((column) => this.line(this.part(column)));
      const dots = lines.map((line) => {
        const alone = rolloutwatch.isolated(line.drawn);
        return { step: alone.map((at) => line.step[at]), drawn: alone.map((at) => line.drawn[at]), value: [] };
      });
      const steps = Array.from(new Set(this.columns.flatMap((column) => column.step))).sort((one, other) => one - other);
      const placed = this.place(graph, steps);
      const traces = [...lines, ...dots, ...markTraces(placed)];
      const data = {
        x: traces.map((trace) => trace.step),
        y: traces.map((trace) => trace.drawn),
        customdata: traces.map((trace) => trace.value),
        text: traces.map((trace) => trace.text || null),
        textposition: traces.map((trace) => trace.side || "middle center"),
      };
      const layout = { "annotations[0].visible": lines.every((line) => line.drawn.every((value) => value === null)) };
      const paths = Object.entries(placed.paths).map(([name, path]) => ({ ...this.styles[name], name: `mark: ${name}`, path }));
      if (JSON.stringify(paths) !== this.paths) {
        this.paths = JSON.stringify(paths);
        layout.shapes = [...this.limits, ...paths];
      }
      const inView = (line) => line.drawn.filter((_, at) => this.isInView(line.step[at]));
      const range = rolloutwatch.valueRange(whole.map(inView), this.told);
      if (!this.isZoomed) layout["yaxis.range"] = range;
      if (!this.ends) Object.assign(layout, endsOfAxis(steps));
      if (!this.ends && !this.isZoomed) Object.assign(layout, this.keptRange(steps));
      Object.assign(layout, this.ticks(this.isZoomed ? graph._fullLayout.yaxis.range : range));
      await window.Plotly.update(graph, data, layout);
    }

    // A line through a column, broken where values stopped coming.
    line(column) {
      const line = rolloutwatch.withGaps(column.step, column.value);
      line.drawn = rolloutwatch.drawn(line.value, this.told);
      return line;
    }

    // While not all is drawn plotly cannot see how far the axis of steps reaches.
    keptRange(steps) {
      const isKept = this.end !== null && steps.length > 0;
      const wasKept = this.isKept;
      this.isKept = isKept;
      if (isKept) return { "xaxis.range": rangeOf([steps[0], steps[steps.length - 1]]) };
      return wasKept ? { "xaxis.autorange": true } : {};
    }

    // Take over the figure that came with the page.
    adopt(graph) {
      if (this.graph === graph) return true;
      if (!graph.data || graph.layout.meta !== this.page) return false;
      this.graph = graph;
      const lines = graph.data.slice(0, this.told.metrics.length); // the rest are dots
      this.columns = lines.map((line) => new rolloutwatch.Column(line.x, line.customdata));
      for (const early of this.early.splice(0)) this.put(...early);
      const isMark = (shape) => shape.name.startsWith("mark: ");
      this.limits = (graph.layout.shapes || []).filter((shape) => !isMark(shape));
      // drawn for a usual width, and this is the real one
      if (this.allMarks().length) this.changed = true;
      // somebody may have been quicker
      const axis = graph._fullLayout.xaxis;
      this.isZoomed = this.ends ? axis.range.join() !== rangeOf(this.ends).join() : axis.autorange === false;
      graph.on("plotly_relayout", (change) => this.zoomed(change));
      return true;
    }

    // What is drawn of the marks on the part of the plot that is seen.
    place(graph, steps) {
      const axis = graph._fullLayout.xaxis;
      const [first, last] = this.isZoomed ? axis.range : this.ends || [steps[0], steps[steps.length - 1]];
      const marks = steps.length || this.ends ? this.allMarks() : [];
      const come = this.end === null ? marks : marks.filter((mark) => mark.step <= this.end);
      return rolloutwatch.placeMarks(come, steps, first, last, axis._length);
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

    // The labels of a log axis between two powers of ten; others plotly finds by itself.
    ticks(range) {
      if (!(this.told.floor > 0)) return {};
      const ticks = rolloutwatch.ticksOf(...range);
      return Object.fromEntries(Object.entries(ticks).map(([name, value]) => [`yaxis.${name}`, value]));
    }

    zoomed(change) {
      const names = Object.keys(change);
      if (names.some((name) => name.endsWith("range[0]"))) {
        this.isZoomed = true;
        this.changed = true; // what is zoomed into needs labels of its own
      }
      if (names.some((name) => name.endsWith("autorange") || name === "xaxis.range" || name === "yaxis.range")) {
        this.isZoomed = false;
        this.changed = true;
      }
    }
  };
})();
