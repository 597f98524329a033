// Runs laid over each other as they go on: the page, and what part of it is in view.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const MS_BETWEEN_LOOKS = 3000;
  const MS_UNTIL_THERE = 100;
  const API = "/api/v1/runs";

  const $ = (id) => document.getElementById(id);
  const { LATE, TITLE, say, notice, paintIcon } = rolloutwatch.head;
  const { asked, write, endsOf, rounded } = rolloutwatch.compared;

  class ComparePage {
    constructor(told) {
      this.told = told;
      this.connected = true;
      document.body.classList.remove("out-of-date");
      notice("");
      this.paintTab("unknown");
      this.ends = told.runs.length ? endsOf(asked()) : null;
      const axis = told.runs.length ? new rolloutwatch.CommonAxis(told.axis) : null;
      this.charts = told.charts.map((chart) => new rolloutwatch.Overlay(chart, this, axis));
      this.quiet = 0;
      this.news = new rolloutwatch.CompareNews(this);
      this.choice = new rolloutwatch.CompareChoice(this);
      this.board = new rolloutwatch.CompareBoard(this);
      this.onScroll = () => this.paint();
      addEventListener("scroll", this.onScroll, { passive: true });
      this.clock = setInterval(() => this.tick(), 1000);
      this.soon = setInterval(() => this.begin(), MS_UNTIL_THERE);
      this.lookedAt = Date.now();
      this.tick();
    }

    close() {
      this.closed = true;
      clearInterval(this.clock);
      clearInterval(this.soon);
      this.news.close();
      this.choice.close();
      this.board.close();
      removeEventListener("scroll", this.onScroll);
    }

    // Charts are drawn one after the other; until all of them are there, one looks often.
    begin() {
      if (!this.charts.every((chart) => chart.adopt())) return;
      clearInterval(this.soon);
      const page = $("compared");
      if (page) page.removeAttribute("aria-busy");
      const chart = this.charts.find(({ told }) => location.hash === `#${told.id}`);
      if (chart) chart.graph.scrollIntoView({ block: "center" });
      this.paint();
    }

    tick() {
      this.dress();
      this.tellIfLate();
      this.paint();
      if (document.hidden || this.news.isAsking || Date.now() - this.lookedAt < MS_BETWEEN_LOOKS) return;
      this.lookedAt = Date.now();
      if (this.told.runs.some((run) => !run.over)) this.news.look();
    }

    // What the page says of itself that the server cannot know, also after dash has made a part of it anew.
    dress() {
      const page = $("compared");
      if (!page) return;
      this.board.dress();
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
      this.worst = kind;
      const word = ["warning", "critical"].includes(kind) ? kind : "";
      document.title = [this.late ? "disconnected" : word, this.told.title, TITLE].filter(Boolean).join(" · ");
      paintIcon(this.late ? "unknown" : kind);
    }

    async paint() {
      if (this.isPainting) return;
      this.isPainting = true;
      try {
        for (const chart of this.charts) if (!this.closed) await chart.paint();
      } finally {
        this.isPainting = false;
      }
      if (this.closed) return;
      this.board.painted();
      if (this.charts.every((chart) => chart.whole)) this.news.complete();
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
      this.news.isDetailed = false;
      this.dress();
      this.paint();
    }

    isConnected(yes) {
      if (!yes && this.connected) rolloutwatch.leaveIfUnknown(API);
      this.connected = yes;
      this.tellIfLate();
    }

    // Of runs that are over nothing is asked but what alerts there are.
    tellIfLate() {
      const late = !this.connected || rolloutwatch.firing.waited() > LATE;
      if (late !== Boolean(this.late)) {
        this.late = late;
        this.paintTab(this.worst);
      }
      document.body.classList.toggle("out-of-date", late);
      notice(late ? "The server does not answer; trying again. What you see is the past." : "");
    }

    rebuild() {
      if (!this.closed) window.dash_clientside.set_props("refresh", { data: Date.now() });
    }
  }

  rolloutwatch.pages.compare = ComparePage;
})();
