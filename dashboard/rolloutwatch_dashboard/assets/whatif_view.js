// Which steps the charts of the what-if page show: those in view are the same for all, and stand in the address.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});
  const whatif = (rolloutwatch.whatif = rolloutwatch.whatif || {});

  const GRAPHS = "#whatif-charts .js-plotly-plot";
  const isAll = ({ from, to }) => from === null && to === null;

  whatif.View = class {
    constructor(told) {
      this.told = told;
      this.view = rolloutwatch.view;
      this.inView = new rolloutwatch.InView(this.view);
      this.unsubscribe = this.view.subscribe(() => this.frameAll());
    }

    close() {
      this.unsubscribe();
    }

    // The first and the last step in view.
    range() {
      const { from, to } = this.view.get();
      return [from === null ? 0 : from, to === null ? Math.max(from || 0, this.told.last_step) : to];
    }

    // Who looks closely at some steps of one chart looks at them in all.
    followed(graph) {
      this.dress();
      if (graph.dataset.followed) return graph;
      graph.dataset.followed = "yes";
      graph.on("plotly_relayout", (change) => this.zoomed(graph, change));
      graph.on("plotly_doubleclick", () => this.back());
      return graph;
    }

    // The tools of all charts, once there is a place for them.
    dress() {
      const tools = document.getElementById("chart-tools");
      if (tools && this.inView.element.parentNode !== tools) tools.replaceChildren(this.inView.element);
      this.inView.paint(this.view.get());
    }

    // Somebody has drawn a box on a chart: its values are for this chart, its steps for all.
    zoomed(graph, change) {
      if (change["yaxis.range[0]"] !== undefined) graph.isHigh = true;
      if (change["xaxis.autorange"]) return isAll(this.view.get()) ? null : this.back();
      const [first, last] = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
      if (first === undefined) return null;
      const [from, to] = [Math.ceil(first), Math.floor(last)];
      const middle = Math.round((first + last) / 2);
      this.view.set(from <= to ? { from: Math.max(0, from), to: Math.max(0, to) } : { from: Math.max(0, middle), to: Math.max(0, middle) });
      return this.frame(graph); // no step is cut, though those in view may be as before
    }

    // All steps, and all values.
    back() {
      for (const graph of drawn()) graph.isHigh = false;
      this.view.set({ from: null, to: null });
      return this.frameAll();
    }

    frameAll() {
      this.dress();
      return Promise.all(drawn().map((graph) => this.frame(graph)));
    }

    frame(graph) {
      const [first, last] = this.range();
      const change = isAll(this.view.get()) ? { "xaxis.autorange": true } : { "xaxis.range": first < last ? [first, last] : [first - 1, first + 1] };
      if (!graph.isHigh && graph.home) change["yaxis.range"] = graph.home;
      return window.Plotly.relayout(graph, change);
    }
  };

  const drawn = () => Array.from(document.querySelectorAll(GRAPHS)).filter((one) => one._fullLayout);

  // What a chart shows of the steps in view, as columns: what was, and the bounds of what would have been.
  whatif.tableOf = function (graph, [first, last]) {
    const was = new Map(graph.data[0].x.map((step, at) => [step, graph.data[0].y[at]]));
    const would = graph.would || { step: [], low: [], high: [] };
    const bounds = new Map(would.step.map((step, at) => [step, [would.low[at], would.high[at]]]));
    const isThere = (step) => first <= step && step <= last && (bounds.has(step) || Number.isFinite(was.get(step)));
    const steps = Array.from(new Set([...was.keys(), ...bounds.keys()])).filter(isThere).sort((one, other) => one - other);
    const bound = (side) => steps.map((step) => (bounds.get(step) || [])[side]);
    return [
      { name: "step", values: steps },
      { name: "was", values: steps.map((step) => was.get(step)) },
      { name: "would_have_been_from", values: bound(0) },
      { name: "would_have_been_to", values: bound(1) },
    ];
  };
})();
