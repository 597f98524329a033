// Runs laid over each other as they go on: what is chosen, what part of it is in view, and what has come since.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const MS_BETWEEN_LOOKS = 3000;
  const MS_UNTIL_DETAIL = 200; // whoever turns a wheel turns on
  const MS_UNTIL_THERE = 100;
  const API = "/api/v1/runs";

  const $ = (id) => document.getElementById(id);
  const { LATE, TITLE, say, notice, paintIcon } = rolloutwatch.head;
  const { asked, write, go, endsOf, rounded, windowOf, taken } = rolloutwatch.compared;

  class ComparePage {
    constructor(told) {
      this.told = told;
      this.connected = true;
      document.body.classList.remove("out-of-date");
      notice("");
      this.paintTab("unknown");
      this.ends = told.runs.length ? endsOf(asked()) : null;
      this.isWhole = !told.ends; // whether the page was drawn with all there is
      this.charts = told.charts.map((chart) => new rolloutwatch.Overlay(chart, this));
      this.quiet = 0;
      this.heard = { click: (event) => this.clicked(event), change: (event) => this.changed(event), scroll: () => this.paint() };
      document.addEventListener("click", this.heard.click);
      document.addEventListener("change", this.heard.change);
      addEventListener("scroll", this.heard.scroll, { passive: true });
      this.clock = setInterval(() => this.tick(), 1000);
      this.soon = setInterval(() => this.begin(), MS_UNTIL_THERE);
      this.lookedAt = Date.now();
      this.tick();
    }

    close() {
      this.closed = true;
      clearInterval(this.clock);
      clearInterval(this.soon);
      clearTimeout(this.timer);
      document.removeEventListener("click", this.heard.click);
      document.removeEventListener("change", this.heard.change);
      removeEventListener("scroll", this.heard.scroll);
    }

    // Charts are drawn one after the other; until all of them are there, one looks often.
    begin() {
      if (!this.charts.every((chart) => chart.adopt())) return;
      clearInterval(this.soon);
      const page = $("compared");
      if (page) page.removeAttribute("aria-busy");
      this.paint();
    }

    tick() {
      this.dress();
      this.tellIfLate();
      this.paint();
      if (document.hidden || this.isAsking || Date.now() - this.lookedAt < MS_BETWEEN_LOOKS) return;
      if (this.told.runs.some((run) => !run.over)) this.lookForNews();
    }

    // What the page says of itself that the server cannot know, also after dash has made a part of it anew.
    dress() {
      const page = $("compared");
      if (!page) return;
      page.dataset.followed = this.told.runs.filter((run) => !run.over).length;
      page.classList.toggle("with-same", asked().get("same") === "1");
      const back = page.querySelector(".back");
      if (back) back.hidden = !this.ends;
      const minutes = -new Date().getTimezoneOffset();
      const zone = `${minutes < 0 ? "−" : "+"}${Math.floor(Math.abs(minutes) / 60)}${minutes % 60 ? `:${String(Math.abs(minutes) % 60).padStart(2, "0")}` : ""}`;
      say($("compared-zone"), `in your zone, UTC${minutes ? zone : ""}`);
      for (const chip of page.querySelectorAll(".legend [data-run]")) {
        if (chip.onpointerenter) continue;
        const lift = (number) => () => this.charts.forEach((chart) => chart.lift(number));
        chip.onpointerenter = lift(Number(chip.dataset.run));
        chip.onpointerleave = lift(null);
      }
      const tables = page.querySelector("[data-worst]");
      if (tables) this.paintTab(tables.dataset.worst);
    }

    // How the worst of the runs is.
    paintTab(kind) {
      const word = ["warning", "critical"].includes(kind) ? kind : "";
      document.title = [word, this.told.title, TITLE].filter(Boolean).join(" · ");
      paintIcon(kind);
    }

    async paint() {
      if (this.isPainting) return;
      this.isPainting = true;
      try {
        for (const chart of this.charts) if (!this.closed) await chart.paint();
      } finally {
        this.isPainting = false;
      }
      if (this.closed || !this.charts.every((chart) => chart.whole)) return;
      if (!this.isWhole) this.readWhole();
      else if (this.ends && !this.isDetailed) this.detail();
    }

    // The page came with the part that is in view; whoever looks at all of it has it then.
    async readWhole() {
      this.isWhole = true;
      for (const [number, run] of this.told.runs.entries()) {
        if (run.origin !== null && !this.closed) await this.shorten(number, run);
      }
      this.paint();
    }

    // Plotly tells what it is told to do as what somebody has done.
    async quietly(act) {
      this.quiet++;
      try {
        await act();
      } finally {
        this.quiet--;
      }
    }

    relaid(chart, change) {
      if (this.closed || this.quiet) return;
      if ("yaxis.range[0]" in change) chart.isStretched = true;
      if ("xaxis.range[0]" in change) {
        const ends = [0, 1].map((end) => chart.toPlace(change[`xaxis.range[${end}]`]));
        // steps are whole
        this.look(this.told.axis.timed ? ends.map((end) => Number(rounded(end))) : [Math.floor(ends[0]), Math.ceil(ends[1])]);
      }
    }

    point(x) {
      if (!this.closed) for (const chart of this.charts) chart.point(x);
    }

    // Show a part of the axis on all charts, or with null all of it.
    look(ends) {
      if (this.closed) return;
      this.ends = ends && ends[0] < ends[1] ? ends : null;
      const query = asked();
      for (const [at, name] of ["from", "to"].entries()) {
        if (this.ends) query.set(name, rounded(this.ends[at]));
        else query.delete(name);
      }
      history.replaceState(history.state, "", write(query));
      if (!this.ends) this.charts.forEach((chart) => (chart.isStretched = false));
      for (const chart of this.charts) chart.changed = true;
      this.isDetailed = false;
      this.dress();
      this.paint();
    }

    // What is in view is fetched with as many points as a screen can show.
    detail() {
      this.isDetailed = true;
      const ends = this.ends;
      clearTimeout(this.timer);
      this.timer = setTimeout(async () => {
        for (const [number, run] of this.told.runs.entries()) {
          if (run.origin === null || this.ends !== ends || this.closed) continue;
          const steps = windowOf(this.charts.map((chart) => chart.whole[number]), ends[0] + run.origin, ends[1] + run.origin);
          const found = steps && (await this.series(run, { from_step: steps[0], to_step: steps[1] }));
          if (!found || this.ends !== ends || this.closed) continue;
          this.each((chart) => {
            chart.close[number] = taken(found, chart.told.metric, this.told);
            chart.changed = true;
          });
        }
        if (!this.closed) this.paint();
      }, MS_UNTIL_DETAIL);
    }

    each(act) {
      this.charts.filter((chart) => chart.whole).forEach(act);
    }

    // Ask for the series of a run; null if there is no answer, which is said.
    async series(run, which) {
      const query = new URLSearchParams({ points: this.told.points, ...which });
      if (this.told.axis.timed) query.set("x", "time");
      for (const metric of new Set([...this.told.drawn, this.told.unreadable])) query.append("metric", metric);
      try {
        const answer = await fetch(`${API}/${encodeURIComponent(run.id)}/series?${query}`);
        if (answer.status === 404) this.rebuild(); // it is deleted, and the page says so
        if (!answer.ok) throw new Error(`${answer.status}`);
        this.isConnected(true);
        return await answer.json();
      } catch {
        if (!this.closed) this.isConnected(false);
        return null;
      }
    }

    isConnected(yes) {
      if (!yes && this.connected) rolloutwatch.leaveIfUnknown(API);
      this.connected = yes;
      this.tellIfLate();
    }

    // Of runs that are over nothing is asked but what alerts there are.
    tellIfLate() {
      const late = !this.connected || rolloutwatch.firing.waited() > LATE;
      document.body.classList.toggle("out-of-date", late);
      notice(late ? "The server does not answer; trying again. What you see is the past." : "");
    }

    async lookForNews() {
      this.isAsking = true;
      this.lookedAt = Date.now();
      const states = this.states();
      for (const [number, run] of this.told.runs.entries()) {
        if (run.over || this.closed) continue;
        if (run.origin !== null) await this.follow(number, run);
        const state = states.find(({ id }) => id === run.id);
        if (state) run.over = state.over; // asked once more since
      }
      this.isAsking = false;
      if (this.closed) return;
      if (this.connected) window.dash_clientside.set_props("compared-watch", { data: Date.now() });
      this.paint();
    }

    // How runs are, as the tables say; a mark that has come moves a run.
    states() {
      const told = document.querySelector("#compared-tables [data-runs]");
      const states = told ? JSON.parse(told.dataset.runs) : [];
      const isMoved = ({ id, origin }) => this.told.runs.some((run) => run.id === id && run.origin !== origin);
      if (states.some(isMoved)) this.rebuild();
      return states;
    }

    async follow(number, run) {
      const found = await this.series(run, { after: run.changes });
      if (!found || this.closed) return;
      if (found.generation !== run.generation) return this.rebuild();
      if (found.changes === run.changes) return;
      run.changes = found.changes;
      this.each((chart) => {
        const fresh = taken(found, chart.told.metric, this.told);
        chart.whole[number] = rolloutwatch.withNews(chart.whole[number], fresh, found.from_step || 0);
        if (this.isInView(fresh, run.origin)) this.isDetailed = false;
        chart.changed = true;
        if (chart.whole[number].step.length > 2 * this.told.points) this.isLong = true;
      });
      if (this.isLong) await this.shorten(number, run);
    }

    isInView(series, origin) {
      const [first, last] = this.ends || [Infinity, -Infinity];
      return (series.time || series.step).some((place) => first <= place - origin && place - origin <= last);
    }

    // Long columns are fetched anew, thinned by the server, which loses no extreme.
    async shorten(number, run) {
      this.isLong = false;
      const found = await this.series(run, {});
      if (!found || this.closed) return;
      run.changes = found.changes;
      this.each((chart) => {
        chart.whole[number] = taken(found, chart.told.metric, this.told);
        chart.changed = true;
      });
    }

    rebuild() {
      if (!this.closed) window.dash_clientside.set_props("refresh", { data: Date.now() });
    }

    clicked({ target }) {
      const button = target.closest && target.closest("#compared button");
      if (!button) return;
      if (button.dataset.choose === "runs") this.chooseRuns();
      if (button.dataset.choose === "metrics") this.chooseFigures();
      if (button.dataset.away) this.goTo("run", this.told.chosen.filter((run) => run !== button.dataset.away));
      if (button.classList.contains("back")) this.look(null);
      if (button.id === "compared-all") this.toggleSame();
    }

    changed({ target }) {
      if (!target.matches || !target.matches("#compared select[name=align]")) return;
      const query = asked();
      query.set("align", target.value);
      for (const name of ["from", "to"]) query.delete(name);
      go(query);
    }

    toggleSame() {
      const query = asked();
      if (query.get("same") === "1") query.delete("same");
      else query.set("same", "1");
      history.replaceState(history.state, "", write(query));
      this.dress();
    }

    goTo(name, values) {
      const query = asked();
      query.delete(name);
      for (const value of values) query.append(name, value);
      go(query);
    }

    async chooseRuns() {
      const answer = await rolloutwatch.ask("GET", API);
      if (!answer.ok) return rolloutwatch.say(answer.text, "bad");
      const now = Date.now() / 1000;
      const items = answer.body.runs.map((run) => ({
        value: run.id,
        label: `${run.project} / ${run.name}`,
        hint: `${run.state}, ${run.last_step === null ? "no step yet" : `step ${run.last_step}`}, ${rolloutwatch.age(now - run.updated_at)}`,
      }));
      const act = (values) => this.goTo("run", values);
      rolloutwatch.choose({ title: "Choose runs", noun: "runs", items, chosen: this.told.chosen, most: this.told.most.runs, act });
    }

    chooseFigures() {
      const act = (values) => this.goTo("metric", values);
      const { offered, drawn, most } = this.told;
      rolloutwatch.choose({ title: "Choose figures", noun: "figures", items: offered, chosen: drawn, most: most.metrics, act });
    }
  }

  rolloutwatch.pages.compare = ComparePage;
})();
