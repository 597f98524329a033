// All charts of runs that are compared: one view, which stands in the address, and what can be done with each of them.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const API = "/api/v1/runs";
  const { windowOf } = rolloutwatch.compared;

  rolloutwatch.CompareBoard = class {
    // page: {told, charts, ends, news, paint()}; what is in view is the page's, since it need not be steps
    constructor(page) {
      this.page = page;
      this.name = page.told.name;
      this.charts = page.charts;
      this.view = rolloutwatch.view;
      this.menus = new rolloutwatch.ChartMenus(this);
      this.pointer = new rolloutwatch.Pointer(this.charts);
      this.keys = new rolloutwatch.PointerKeys(this.pointer);
      this.smooth = new rolloutwatch.Smoothing(this.view);
      this.end = this.view.subscribe(() => this.looked());
      this.apply();
    }

    close() {
      this.end();
      this.menus.close();
      this.pointer.close();
      this.keys.close();
    }

    apply() {
      const view = this.view.get();
      for (const chart of this.charts) chart.look({ smooth: view.smooth, isLog: rolloutwatch.isLog(chart.told, view) });
    }

    looked() {
      this.apply();
      this.dress();
      this.page.paint();
    }

    // The tools of all charts, once there is a place for them.
    dress() {
      const tools = document.getElementById("chart-tools");
      if (tools && this.smooth.label.parentNode !== tools) tools.replaceChildren(this.smooth.label);
      this.smooth.paint(this.view.get());
      this.menus.paint();
    }

    painted() {
      this.keys.dress();
      this.pointer.again();
    }

    // What a chart shows of each run, in full: of the part in view, and with the place of each value on the axis.
    async figures({ told, whole }) {
      const { column } = this.page.told.axis;
      const head = ["run", ...(column ? [column] : []), "step", "time", told.metric].join();
      const rows = [];
      for (const [number, run] of this.page.told.runs.entries()) {
        if (run.origin === null || !run.metrics.includes(told.metric)) continue;
        rows.push(...(await this.rowsOf(run, whole[number], told.metric)));
      }
      if (!rows.length) throw new rolloutwatch.Refused("No figure of this chart has come yet.");
      return new Blob([[head, ...rows, ""].join("\n")], { type: "text/csv" });
    }

    async rowsOf(run, series, metric) {
      const { ends } = this.page;
      const query = new URLSearchParams({ format: "csv", metric });
      const window = ends && windowOf([series], ends[0] + run.origin, ends[1] + run.origin);
      if (ends && !window) return [];
      if (window) [["from_step", 0], ["to_step", 1]].forEach(([name, at]) => query.set(name, window[at]));
      const { timed, column } = this.page.told.axis;
      const lines = (await (await rolloutwatch.exported(`${API}/${encodeURIComponent(run.id)}`, query)).text()).split("\n").slice(1, -1);
      return lines.flatMap((line) => {
        const [step, time, value] = line.split(",");
        const place = Math.round(1e6 * (Number(timed ? time : step) - run.origin)) / 1e6;
        const isInView = !ends || (ends[0] <= place && place <= ends[1]);
        if (value === "" || (timed && time === "") || !isInView) return [];
        return [[run.id, ...(column ? [place] : []), step, time, value].join()];
      });
    }
  };
})();
