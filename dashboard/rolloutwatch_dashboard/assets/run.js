// A run's page as it moves: tiles, health, charts. `follow` is called by Dash with what pages/run.py tells.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const OVER = ["finished", "crashed"];
  const LEAST_MS_BETWEEN_PAINTS = 250;
  const SHARE_OF_TIME = 4; // painting takes at most one part in so many of the browser's time
  const MS_FOR_REBUILDING = 5000;

  class RunPage {
    // told: what pages/run.py tells of the run
    constructor(told) {
      this.told = told;
      this.live = new rolloutwatch.Standing(told);
      this.known = new Set(told.metrics);
      this.drawn = new Set(told.charts.flatMap((chart) => chart.metrics));
      this.marks = new rolloutwatch.Marks(told.marks, told.most_marks);
      this.charts = told.charts.map((chart) => new rolloutwatch.LiveChart(chart, told.page, this.marks, told.mark_styles, told.ends));
      this.heat = told.heatmap ? [new rolloutwatch.HeatMap(told.run, told.heatmap, told.ends)] : [];
      this.groups = new rolloutwatch.Groups(told, this.charts, (charts) => this.follow(charts));
      this.charts.push(...this.heat);
      const wanted = new Set([...this.following().flatMap((chart) => chart.told.metrics), ...Object.keys(told.recent)]);
      this.feed = new rolloutwatch.Feed(told.run, told.generation, [...wanted], told.points, told.step, {
        run: (summary) => this.began(summary),
        step: (step, metrics, time) => this.stepped(step, metrics, time),
        mark: (mark) => this.marked(mark),
        alerted: () => rolloutwatch.lookSoon(),
        caughtUp: (last) => this.caughtUp(last),
        rewound: () => this.rebuild(),
        connected: (yes) => this.isConnected(yes),
      });
      this.about = new rolloutwatch.RunAbout(told);
      this.diagnosis = new rolloutwatch.RunDiagnosis();
      this.board = new rolloutwatch.Board(this);
      this.replay = new rolloutwatch.Replay(this);
      this.clock = setInterval(() => this.tick(), 1000);
      this.onScroll = () => this.schedule();
      addEventListener("scroll", this.onScroll, { passive: true });
      document.addEventListener("visibilitychange", this.onScroll);
      this.paintNow();
    }

    close() {
      this.feed.close();
      this.replay.leave();
      this.groups.close();
      this.board.close();
      this.about.close();
      this.diagnosis.close();
      for (const chart of this.heat) chart.close();
      clearInterval(this.clock);
      clearTimeout(this.timer);
      removeEventListener("scroll", this.onScroll);
      document.removeEventListener("visibilitychange", this.onScroll);
      this.closed = true;
    }

    began(summary) {
      if (this.live.state !== summary.state && summary.state === "live") this.rebuild();
      if (names(this.live.rivals) !== names(summary.rivals)) this.fetchMarks();
      this.live.began(summary);
      this.schedule();
    }

    // A step that came before the page listened, with figures that it does not know, is not among those it asked for.
    caughtUp(last) {
      if (last !== null && (this.live.step === null || this.live.step < last)) this.rebuild();
    }

    marked(mark) {
      if (!this.marks.put(mark)) return;
      for (const chart of this.charts) chart.marked();
      this.schedule();
    }

    // That two trainers write to a run is found and not sent, and so is where it began.
    async fetchMarks() {
      try {
        const marks = await this.feed.marks(0);
        if (!this.closed) marks.forEach((mark) => this.marked(mark));
      } catch {
        return; // the feed finds out by itself that the server is gone
      }
    }

    // page.js asks it, and whether the page is connected
    link() {
      return rolloutwatch.view.link();
    }

    get connected() {
      return this.live.connected;
    }

    // of a run that is over nothing ages, and of alerts the feed tells
    isTold() {
      return this.connected && OVER.includes(this.live.state);
    }

    isConnected(yes) {
      this.live.isConnected(yes);
      if (yes) rolloutwatch.lookSoon(); // of what happened meanwhile nobody tells
      this.schedule();
    }

    stepped(step, metrics, time) {
      this.live.stepped(step, metrics, time);
      const isNews = ([metric, value]) => !this.known.has(metric) || this.isToBeShown(metric, value);
      if (Object.entries(metrics).some(isNews)) this.rebuild();
      const leftOut = this.live.leftOut(metrics);
      this.board.stepped(step, time);
      for (const chart of this.following()) chart.put(step, metrics, leftOut);
      this.schedule();
    }

    // The charts that somebody has looked at, or is about to.
    following() {
      return [...this.groups.following(), ...this.heat];
    }

    // These are about to be drawn: from now on they need what comes.
    follow(charts) {
      for (const metric of charts.flatMap((chart) => chart.told.metrics)) {
        if (!this.feed.metrics.includes(metric)) this.feed.metrics.push(metric);
      }
    }

    isToBeShown(metric, value) {
      return this.told.shown_when_not_zero.includes(metric) && value !== 0 && !this.drawn.has(metric);
    }

    // A metric nobody drew yet, or steps that are given up: the server draws the page anew, which is rare.
    rebuild() {
      if (this.rebuilding) return;
      this.rebuilding = setTimeout(() => {
        if (!this.closed) window.dash_clientside.set_props("refresh", { data: { at: Date.now(), search: location.search } });
        // this page is closed when the new one is there; if it does not come, it is asked for again
        this.rebuilding = setTimeout(() => (this.rebuilding = null), MS_FOR_REBUILDING);
      }, 500);
    }

    // Paint soon; what comes while that goes on is painted after a rest.
    schedule() {
      if (this.closed || document.hidden) return;
      if (this.timer) {
        this.again = true;
        return;
      }
      this.again = false;
      this.timer = setTimeout(async () => {
        const began = performance.now();
        await this.paintNow();
        const rest = Math.max(LEAST_MS_BETWEEN_PAINTS, SHARE_OF_TIME * (performance.now() - began));
        this.timer = setTimeout(() => {
          this.timer = null;
          if (this.again) this.schedule();
        }, rest);
      }, 0);
    }

    // The alerts of the run, as the server has put them above its figures.
    takeAlerts() {
      const shown = document.querySelector("#run-alerts [data-marks]");
      if (!shown) return;
      if (shown.dataset.firing !== this.firing) {
        this.firing = shown.dataset.firing;
        this.live.alerts = JSON.parse(this.firing);
      }
      if (shown.dataset.marks === this.alerts) return;
      this.alerts = shown.dataset.marks;
      const marks = (this.live.alertMarks = JSON.parse(this.alerts));
      for (const chart of this.charts) chart.alerted(marks);
      this.schedule();
    }

    // Once a second: ages, and whatever was not there yet when it was to be painted.
    tick() {
      this.replay.tick();
      this.paintWords();
      if (this.charts.some((chart) => chart.isWaiting())) this.schedule();
    }

    // All but the charts.
    paintWords() {
      this.takeAlerts();
      this.about.paint();
      this.groups.look(this.live.connected);
      const standing = this.replay.heard() || this.live;
      this.diagnosis.look(standing, this.live.connected);
      rolloutwatch.paintTiles(standing);
      rolloutwatch.paintHead(standing);
      rolloutwatch.paintTab(this.live);
      this.groups.paint(standing.broken());
    }

    async paintNow() {
      this.paintWords();
      for (const chart of this.following()) {
        if (this.closed) return;
        chart.until(this.replay.step);
        await chart.paint();
        if (chart.isLong()) await this.board.readAll();
      }
      this.board.painted();
    }
  }

  const names = (rivals) => rivals.map((rival) => rival.session).join();

  rolloutwatch.pages.run = RunPage;
})();
