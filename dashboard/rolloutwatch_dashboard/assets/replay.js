// The replay of a run: it moves all that the page shows to a step that has been, and plays on from there.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const MS_BETWEEN_MOVES = 100;
  const MOST_SECONDS_AT_ONCE = 2; // a page that was in the background does not leap
  const STEPS_AHEAD = 128; // whose figures come along
  const FAST = 100; // steps a second; faster than that, figures are fetched only of what is shown
  const STEPS_OF_SPEED = 20;
  const MS_BETWEEN_ALERTS = 500;
  const MS_TO_COME_BACK = 15000; // a page that is built anew goes on as it was
  const USUAL_PACE = "s10";

  let left = null; // the replay that the last page has left: of which run, at which pace, playing or not, and when

  rolloutwatch.Replay = class {
    // page: a RunPage, all of whose figures are moved
    constructor(page) {
      this.page = page;
      this.player = new rolloutwatch.Player();
      this.alerts = [];
      this.first = 0;
      this.pace = USUAL_PACE;
      this.past = null; // how the run stood, while it is replayed
      this.step = null; // up to which charts draw, while it is replayed
      this.bar = new rolloutwatch.ReplayBar(page.told.page, {
        toggle: () => (this.isOpen ? this.close() : this.open(null)),
        close: () => this.close(),
        play: () => this.play(!this.player.playing),
        by: (steps) => this.by(steps),
        first: () => this.go(this.first),
        last: () => this.go(this.page.live.step),
        go: (step) => this.go(step),
        alert: () => this.toFirstAlert(),
        worst: () => this.toWorstStep(),
        pace: (text) => this.setPace(text),
      });
      this.unsubscribe = rolloutwatch.view.subscribe((view, before) => view.at !== before.at && this.asked(view.at));
      this.asked(rolloutwatch.view.get().at);
    }

    // The page is closed, or made anew: what plays goes on on the next one, if that is of the same run.
    leave() {
      if (this.isOpen) left = { run: this.page.told.run, pace: this.pace, playing: this.player.playing, at: Date.now() };
      this.isLeft = true;
      this.player.setPlaying(false);
      clearTimeout(this.timer);
      clearTimeout(this.alertsTimer);
      this.undress();
      this.bar.leave();
      this.unsubscribe();
    }

    // The address asks for a step, or for none.
    asked(at) {
      if (at === null) this.close();
      else if (at !== this.step || !this.isOpen) this.open(at);
    }

    // Once a second: what was not on the page yet, and what has come of the run meanwhile.
    tick() {
      this.bar.show(Boolean(this.isOpen), this.pace);
      if (!this.isOpen) return;
      if (this.page.alerts !== this.knownAlerts) this.fetchAlerts();
      this.paint();
    }

    // at: where to begin, null for the newest step
    async open(at) {
      // an address asks for it: until it is there, nothing is shown of what came later
      if (at !== null && !this.past) document.body.classList.add("replaying", "awaited");
      await this.openAt(at);
      if (!this.past && !this.isLeft) this.undress();
    }

    undress() {
      document.body.classList.remove("replaying", "awaited");
    }

    async openAt(at) {
      const isNew = !this.isOpen;
      this.isOpen = true;
      if (at !== null) this.wanted = at;
      if (isNew && !(await this.begin())) return;
      const { step } = this.page.live;
      if (step === null) return this.complain("The run has no step yet, so that none can be shown.");
      await this.go(at === null ? step : at);
      if (at !== null && this.past && this.step !== at) this.complain(`There is no step ${at} in this run; this is the nearest one.`);
    }

    // Fetch what is needed throughout. Tells whether that is still wanted then.
    async begin() {
      const came = left && left.run === this.page.told.run && Date.now() - left.at < MS_TO_COME_BACK ? left : null;
      left = null;
      if (came) this.setPace(came.pace);
      this.bar.show(true, this.pace);
      this.paint();
      this.archive = new rolloutwatch.Archive(this.page.told.run, this.page.feed.metrics, () => this.page.live.state === "live");
      return this.trying(async () => {
        const [about, whole] = await Promise.all([this.archive.about(), this.archive.all(), this.fetchAlerts()]);
        [this.first, this.whole] = [about.first_step || 0, whole];
        if (came && came.playing) this.play(true);
      });
    }

    close() {
      if (!this.isOpen) return;
      this.isOpen = false;
      this.player.setPlaying(false);
      this.player.seek(null);
      [this.past, this.step, this.wanted] = [null, null, undefined];
      this.undress();
      this.bar.show(false);
      this.tellAlerts();
      rolloutwatch.view.set({ at: null });
      this.page.paintWords();
      this.page.schedule();
    }

    isWanted() {
      return this.isOpen && !this.isLeft;
    }

    // Do what asks the server; what goes wrong is said. Tells whether it went well and is still wanted.
    async trying(act) {
      try {
        await act();
        return this.isWanted();
      } catch (error) {
        this.player.setPlaying(false);
        if (this.isWanted()) this.complain(`The server does not say how it was: ${error.message}`);
        return false;
      }
    }

    complain(text) {
      this.complaint = text;
      this.paint();
    }

    // Show the run as it was when a step had come, the one before it if that was not recorded. The newest wish counts.
    async go(step) {
      this.wanted = step;
      if (this.isGoing) return;
      this.isGoing = true;
      this.complaint = "";
      await this.trying(async () => {
        while (this.wanted !== undefined && this.isWanted()) {
          const next = this.wanted;
          this.wanted = undefined;
          await this.show(next);
        }
      });
      this.isGoing = false;
      this.paint();
    }

    async show(asked) {
      const { archive, player } = this;
      const isQuick = player.playing && (player.pace.asItWas || player.pace.rate > FAST);
      const window = await archive.window(asked, isQuick ? 0 : STEPS_AHEAD);
      const { step, time } = archive.stretch;
      if (!this.isWanted() || !step.length) return;
      const at = Math.max(0, rolloutwatch.placeOf(step, asked));
      this.step = step[at];
      if (player.step !== this.step) player.seek(this.step);
      const recent = rolloutwatch.recentAt(this.step, window, this.whole, this.page.told);
      const from = Math.max(0, at + 1 - STEPS_OF_SPEED);
      this.past = new rolloutwatch.PastStanding(this.page.told, recent, step.slice(from, at + 1), time.slice(from, at + 1));
      rolloutwatch.view.set({ at: this.step });
      document.body.classList.add("replaying");
      document.body.classList.remove("awaited");
      this.tellAlerts();
      this.paint();
      this.page.paintWords();
      this.page.schedule();
    }

    // By so many recorded steps, as far as there are any.
    async by(steps) {
      if (this.step === null) return;
      await this.trying(async () => {
        const { step, next } = await this.archive.around(this.step, Math.max(0, -steps), Math.max(0, steps));
        if (steps > 0 && next === null && this.page.live.step > step[step.length - 1]) await this.archive.goOn();
        const found = this.archive.stretch.step;
        const at = rolloutwatch.placeOf(found, this.step) + steps;
        await this.go(found[Math.min(Math.max(0, at), found.length - 1)]);
      });
    }

    play(playing) {
      const isAtTheEnd = this.step !== null && this.step >= this.page.live.step;
      if (playing && isAtTheEnd) this.go(this.first); // once more from the beginning
      this.player.setPlaying(playing);
      this.paint();
      clearTimeout(this.timer);
      this.passed = performance.now();
      if (playing) this.timer = setTimeout(() => this.run(), MS_BETWEEN_MOVES);
    }

    // Let the time pass that has passed; while figures are fetched the next move waits.
    async run() {
      const now = performance.now();
      const seconds = Math.min((now - this.passed) / 1000, MOST_SECONDS_AT_ONCE);
      this.passed = now;
      if (this.player.step !== null && !this.isGoing) await this.trying(() => this.pass(seconds));
      if (this.isWanted() && this.player.playing) this.timer = setTimeout(() => this.run(), MS_BETWEEN_MOVES);
    }

    async pass(seconds) {
      const { archive, player } = this;
      await archive.around(player.step, 0, 1);
      for (let isShort = player.pass(seconds, archive.stretch); isShort && archive.stretch.next !== null; ) {
        await archive.around(player.step, 0, 1);
        isShort = player.pass(0, archive.stretch);
      }
      const { step, next } = archive.stretch;
      const isLast = next === null && player.step === step[step.length - 1];
      if (isLast && this.page.live.step > player.step) await archive.goOn();
      else if (isLast) this.play(false);
      if (this.isWanted() && player.step !== this.step) await this.go(player.step);
    }

    setPace(text) {
      this.pace = text;
      this.player.setPace(text);
    }

    async toFirstAlert() {
      const step = rolloutwatch.firstAlert(this.alerts);
      if (step === null) return;
      this.play(false);
      await this.go(step);
    }

    async toWorstStep() {
      this.play(false);
      await this.trying(async () => {
        this.whole = await this.archive.all();
        const step = rolloutwatch.worstStep(this.page.told.rules, this.whole);
        if (step === null) this.complain("No figure of this run can be compared: nothing says which step is the worst.");
        else await this.go(step);
      });
    }

    async fetchAlerts() {
      this.knownAlerts = this.page.alerts;
      await this.trying(async () => (this.alerts = await this.archive.alerts()));
      this.tellAlerts();
      this.paint();
    }

    // Have the server say which alerts stood, and what had been said of them. Other alerts are told of at once;
    // that the same ones have become older can wait.
    tellAlerts() {
      const stood = this.past ? rolloutwatch.alertsAt(this.alerts, this.past.step) : [];
      if (this.past) this.past.stood(stood);
      const key = stood.map((one) => one.id).join();
      if (key && key !== this.stood) this.askForAlerts();
      else if (key && !this.alertsTimer) this.alertsTimer = setTimeout(() => this.askForAlerts(), MS_BETWEEN_ALERTS);
      this.stood = key;
    }

    // How the run stood, with what the server has said of its alerts meanwhile; null while it is not replayed.
    heard() {
      if (!this.past) return null;
      const shown = document.querySelector("#replay-alerts [data-firing]");
      if (shown && shown.dataset.firing !== this.told) [this.told, this.said] = [shown.dataset.firing, JSON.parse(shown.dataset.firing)];
      if (this.said) this.past.hear(this.said);
      this.past.alertMarks = this.page.live.alertMarks;
      return this.past;
    }

    askForAlerts() {
      clearTimeout(this.alertsTimer);
      this.alertsTimer = null;
      if (!this.past || !this.isWanted()) return;
      const { step, times } = this.past;
      window.dash_clientside.set_props("replay-watch", { data: { step, time: times[times.length - 1] } });
    }

    paint() {
      const { live, marks } = this.page;
      this.bar.paint({
        past: this.past,
        wanted: this.wanted,
        playing: this.player.playing,
        first: this.first,
        last: live.step === null ? this.first : live.step,
        note: this.complaint || this.note(),
        isLive: live.state === "live",
        alerts: this.alerts,
        marks: marks.list(),
      });
    }

    note() {
      const { live } = this.page;
      if (!this.past || live.state !== "live") return "";
      const ahead = live.step - this.past.step;
      return ahead > 0 ? `The run goes on: it is ${rolloutwatch.countedSteps(ahead)} ahead.` : "This is the newest step so far.";
    }
  };
})();
