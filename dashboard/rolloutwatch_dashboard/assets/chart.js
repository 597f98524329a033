// A chart that grows: it owns its columns, and draws them when it is seen.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const LONG = 3000; // points of a line; past it they are fetched anew, thinned

  rolloutwatch.LiveChart = class {
    // page: which drawing of the page the figure has to belong to; the one before it may still be there
    constructor(told, page) {
      this.told = told;
      this.page = page;
      this.columns = null;
      this.early = []; // what came before plotly had drawn the first figure
      this.changed = false;
      this.isZoomed = false;
    }

    put(step, metrics) {
      if (!this.told.metrics.some((metric) => metric in metrics)) return;
      if (!this.columns) {
        this.early.push([step, metrics]);
        return;
      }
      this.told.metrics.forEach((metric, index) => {
        if (metric in metrics) this.columns[index].put(step, this.drawable(metrics[metric]));
      });
      this.changed = true;
    }

    drawable(value) {
      return value === null || (this.told.log && value <= 0) ? null : value;
    }

    replace(series) {
      if (!this.columns) return;
      const last = this.columns.map((column) => column.step[column.step.length - 1]);
      this.columns = this.told.metrics.map((metric, index) => {
        const fetched = series[metric];
        const fresh = new rolloutwatch.Column(fetched.step, fetched.value.map((value) => this.drawable(value)));
        // a step may have come by the feed while this answer was on its way
        const old = this.columns[index];
        const end = fresh.step.length ? fresh.step[fresh.step.length - 1] : -1;
        for (let at = old.step.length - 1; at >= 0 && old.step[at] > end && last[index] > end; at--) {
          fresh.put(old.step[at], old.value[at]);
        }
        return fresh;
      });
      this.changed = true;
    }

    isLong() {
      return Boolean(this.columns) && this.columns.some((column) => column.step.length > LONG);
    }

    isWaiting() {
      return this.changed || !this.columns;
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
      const layout = this.isZoomed ? {} : { "yaxis.range": this.range() };
      // copies: plotly keeps what it is given, and must not find it changed before the next drawing
      const data = { x: this.columns.map((c) => c.step.slice()), y: this.columns.map((c) => c.value.slice()) };
      await window.Plotly.update(graph, data, layout);
    }

    range() {
      return rolloutwatch.valueRange(this.columns.map((column) => column.value), this.told);
    }

    // Take over the figure that came with the page.
    adopt(graph) {
      if (this.graph === graph) return true;
      if (!graph.data || graph.layout.meta !== this.page) return false;
      this.graph = graph;
      this.columns = graph.data.map((trace) => new rolloutwatch.Column(trace.x, trace.y));
      for (const [step, metrics] of this.early.splice(0)) this.put(step, metrics);
      graph.on("plotly_relayout", (change) => this.zoomed(change));
      return true;
    }

    zoomed(change) {
      const names = Object.keys(change);
      if (names.some((name) => name.endsWith("range[0]"))) this.isZoomed = true;
      if (names.some((name) => name.endsWith("autorange") || name === "xaxis.range" || name === "yaxis.range")) {
        this.isZoomed = false;
        this.changed = true;
      }
    }
  };
})();
