// What is fetched of runs that are compared: all of them, the part that is in view, and what has come since.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const MS_UNTIL_DETAIL = 200; // whoever turns a wheel turns on
  const API = "/api/v1/runs";
  const { windowOf, taken } = rolloutwatch.compared;

  rolloutwatch.CompareNews = class {
    // page: {told, charts, ends, closed, connected, paint(), rebuild(), isConnected(yes)}
    constructor(page) {
      this.page = page;
      this.isWhole = !page.told.ends; // whether the page was drawn with all there is
      this.isDetailed = false;
      this.isAsking = false;
    }

    close() {
      clearTimeout(this.timer);
    }

    // Once all charts are there: what is missing of what they show.
    complete() {
      if (!this.isWhole) this.readWhole();
      else if (this.page.ends && !this.isDetailed) this.detail();
    }

    // The page came with the part that is in view; whoever looks at all of it has it then.
    async readWhole() {
      this.isWhole = true;
      for (const [number, run] of this.page.told.runs.entries()) {
        if (run.origin !== null && !this.page.closed) await this.shorten(number, run);
      }
      this.page.paint();
    }

    // What is in view is fetched with as many points as a screen can show.
    detail() {
      this.isDetailed = true;
      const ends = this.page.ends;
      clearTimeout(this.timer);
      this.timer = setTimeout(async () => {
        for (const [number, run] of this.page.told.runs.entries()) {
          if (run.origin === null || this.page.ends !== ends || this.page.closed) continue;
          const steps = windowOf(this.page.charts.map((chart) => chart.whole[number]), ends[0] + run.origin, ends[1] + run.origin);
          const found = steps && (await this.series(run, { from_step: steps[0], to_step: steps[1] }));
          if (!found || this.page.ends !== ends || this.page.closed) continue;
          this.each((chart) => {
            chart.close[number] = taken(found, chart.told.metric, this.page.told);
            chart.changed = true;
          });
        }
        if (!this.page.closed) this.page.paint();
      }, MS_UNTIL_DETAIL);
    }

    each(act) {
      this.page.charts.filter((chart) => chart.whole).forEach(act);
    }

    // Ask for the series of a run; null if there is no answer, which is said.
    async series(run, which) {
      const query = new URLSearchParams({ points: this.page.told.points, ...which });
      if (this.page.told.axis.timed) query.set("x", "time");
      for (const metric of new Set([...this.page.told.drawn, this.page.told.unreadable])) query.append("metric", metric);
      try {
        const answer = await fetch(`${API}/${encodeURIComponent(run.id)}/series?${query}`);
        if (answer.status === 404) this.page.rebuild(); // it is deleted, and the page says so
        if (!answer.ok) throw new Error(`${answer.status}`);
        this.page.isConnected(true);
        return await answer.json();
      } catch {
        if (!this.page.closed) this.page.isConnected(false);
        return null;
      }
    }

    // Whether runs that are not over have gone on.
    async look() {
      this.isAsking = true;
      const states = this.states();
      for (const [number, run] of this.page.told.runs.entries()) {
        if (run.over || this.page.closed) continue;
        if (run.origin !== null) await this.follow(number, run);
        const state = states.find(({ id }) => id === run.id);
        if (state) run.over = state.over; // asked once more since
      }
      this.isAsking = false;
      if (this.page.closed) return;
      if (this.page.connected) window.dash_clientside.set_props("compared-watch", { data: Date.now() });
      this.page.paint();
    }

    // How runs are, as the tables say; a mark that has come moves a run.
    states() {
      const told = document.querySelector("#compared-tables [data-runs]");
      const states = told ? JSON.parse(told.dataset.runs) : [];
      const isMoved = ({ id, origin }) => this.page.told.runs.some((run) => run.id === id && run.origin !== origin);
      if (states.some(isMoved)) this.page.rebuild();
      return states;
    }

    async follow(number, run) {
      const found = await this.series(run, { after: run.changes });
      if (!found || this.page.closed) return;
      if (found.generation !== run.generation) return this.page.rebuild();
      if (found.changes === run.changes) return;
      run.changes = found.changes;
      this.each((chart) => {
        const fresh = taken(found, chart.told.metric, this.page.told);
        chart.whole[number] = rolloutwatch.withNews(chart.whole[number], fresh, found.from_step || 0);
        if (this.isInView(fresh, run.origin)) this.isDetailed = false;
        chart.changed = true;
        if (chart.whole[number].step.length > 2 * this.page.told.points) this.isLong = true;
      });
      if (this.isLong) await this.shorten(number, run);
    }

    isInView(series, origin) {
      const [first, last] = this.page.ends || [Infinity, -Infinity];
      return (series.time || series.step).some((place) => first <= place - origin && place - origin <= last);
    }

    // Long columns are fetched anew, thinned by the server, which loses no extreme.
    async shorten(number, run) {
      this.isLong = false;
      const found = await this.series(run, {});
      if (!found || this.page.closed) return;
      run.changes = found.changes;
      this.each((chart) => {
        chart.whole[number] = taken(found, chart.told.metric, this.page.told);
        chart.changed = true;
      });
    }
  };
})();
