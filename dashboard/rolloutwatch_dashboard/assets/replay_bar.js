// The bar of a replay: its slider with ticks, its buttons and its keys, and what it says. What they do is in replay.js.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const STEPS_OF_A_SHIFT = 10;
  const WIDTH = 1000; // of the drawing of ticks, in its own units
  const HEIGHTS = { marks: 4, warning: 7, critical: 10 };
  const SVG = "http://www.w3.org/2000/svg";

  const $ = (id) => document.getElementById(id);
  const button = (name) => document.querySelector(`[data-replay=${name}]`);
  const { say } = rolloutwatch.head;

  // A line downwards at each step, no two at one place.
  rolloutwatch.tickPath = function (steps, first, last, width, height) {
    const seen = steps.filter((step) => first <= step && step <= last);
    const places = new Set(seen.map((step) => Math.round((width * (step - first)) / Math.max(1, last - first))));
    return Array.from(places, (place) => `M${place} 0V${height}`).join("");
  };

  rolloutwatch.ReplayBar = class {
    // page: which drawing of the page the bar has to belong to; the one before it may still be there
    // acts: {toggle(), close(), play(), by(steps), first(), last(), go(step), alert(), worst(), pace(text)}
    constructor(page, acts) {
      this.page = page;
      this.acts = acts;
      this.isOpen = false;
      this.onClick = (event) => this.clicked(event);
      document.addEventListener("click", this.onClick);
      this.onChange = (event) => event.target.id === "replay-pace" && this.acts.pace(event.target.value);
      this.endKeys = rolloutwatch.addKeys({ of: "Replay, when it is open", heeds: (event) => this.heeds(event), keys: this.keys() });
      document.addEventListener("change", this.onChange);
    }

    // What Dash draws in the place of this page may be the same elements.
    leave() {
      document.removeEventListener("click", this.onClick);
      this.endKeys();
      document.removeEventListener("change", this.onChange);
      if (this.slider) this.slider.remove();
      if (this.drawing) this.drawing.remove();
    }

    // Show it, or hide it, as soon as it is on the page.
    show(isOpen, pace) {
      this.isOpen = isOpen;
      const bar = $("replay");
      if (!bar || bar.closest("[data-page]").dataset.page !== this.page) return;
      bar.hidden = !isOpen;
      button("open").setAttribute("aria-expanded", String(isOpen));
      if (isOpen && !(this.slider && this.slider.isConnected)) this.build(pace);
    }

    // The slider, which Dash has no element for.
    build(pace) {
      const slider = (this.slider = document.createElement("input"));
      Object.assign(slider, { type: "range", id: "replay-slider", step: 1, min: 0, max: 0 });
      slider.setAttribute("aria-label", "Step that is shown");
      slider.addEventListener("input", () => this.acts.go(Number(slider.value)));
      const ticks = (this.drawing = document.createElementNS(SVG, "svg"));
      ticks.id = "replay-ticks";
      ticks.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHTS.critical}`);
      ticks.setAttribute("preserveAspectRatio", "none");
      ticks.setAttribute("aria-hidden", "true");
      this.drawn = null;
      $("replay-track").append(slider, ticks);
      $("replay-pace").value = pace;
    }

    clicked(event) {
      const pressed = event.target.closest && event.target.closest("[data-replay]");
      if (!pressed) return;
      const acts = {
        open: () => this.acts.toggle(),
        close: () => this.acts.close(),
        play: () => this.acts.play(),
        back: () => this.acts.by(-1),
        forward: () => this.acts.by(1),
        alert: () => this.acts.alert(),
        worst: () => this.acts.worst(),
      };
      if (Object.hasOwn(acts, pressed.dataset.replay)) acts[pressed.dataset.replay]();
      // whoever opens it wants its keys, of which Space would press the opener again
      if (pressed.dataset.replay === "open" && this.isOpen && this.slider) this.slider.focus({ preventScroll: true });
    }

    // Keys are the replay's unless somebody writes, chooses or presses something else by them.
    heeds({ target, key }) {
      const isPressed = Boolean(target.matches && target.matches("a, button, summary"));
      if (!this.isOpen || (key === " " && isPressed)) return false;
      return target === document.body || isPressed || Boolean(target.closest && target.closest("#replay") && target.id !== "replay-pace");
    }

    keys() {
      const by = (steps) => ({ key }) => this.acts.by(key === "ArrowLeft" ? -steps : steps);
      return [
        { on: [" "], does: "play, or pause", act: () => this.acts.play() },
        { on: ["ArrowLeft", "ArrowRight"], does: "one step back, one step on", act: by(1) },
        { on: ["Shift+ArrowLeft", "Shift+ArrowRight"], does: `${STEPS_OF_A_SHIFT} steps back, ${STEPS_OF_A_SHIFT} on`, act: by(STEPS_OF_A_SHIFT) },
        { on: ["Home", "End"], does: "the first step, the last one", act: ({ key }) => (key === "Home" ? this.acts.first() : this.acts.last()) },
      ];
    }

    // past: a PastStanding, null before there is one; wanted: the step that is about to be shown, undefined if none is
    paint({ past, wanted, playing, first, last, note, isLive, alerts, marks }) {
      const { slider } = this;
      if (!this.isOpen || !slider || !slider.isConnected) return;
      [slider.min, slider.max] = [first, last];
      say(button("play"), playing ? "Pause" : "Play");
      say(button("close"), isLive ? "Back to live" : "Close replay");
      button("alert").disabled = rolloutwatch.firstAlert(alerts) === null;
      say($("replay-note"), note);
      this.paintTicks(first, last, alerts, marks);
      if (wanted !== undefined) slider.value = wanted;
      if (!past) return say($("replay-step"), note || wanted === undefined ? "" : `reading step ${wanted} …`);
      if (wanted === undefined) slider.value = past.step;
      slider.setAttribute("aria-valuetext", `step ${past.step}, ${past.moment()}`);
      say($("replay-step"), `step ${past.step} of ${last}`);
      say($("replay-time"), past.moment());
    }

    paintTicks(first, last, alerts, marks) {
      const known = alerts.filter((one) => !one.given_up);
      const of = (severity) => known.filter((one) => one.severity === severity).map((one) => one.firing_step);
      const steps = { marks: marks.map((mark) => mark.step), warning: of("warning"), critical: of("critical") };
      const paths = Object.entries(HEIGHTS).map(([kind, height]) => [kind, rolloutwatch.tickPath(steps[kind], first, last, WIDTH, height)]);
      const key = JSON.stringify(paths);
      if (key === this.drawn) return;
      this.drawn = key;
      this.drawing.replaceChildren(
        ...paths.map(([kind, drawn]) => {
          const path = document.createElementNS(SVG, "path");
          path.setAttribute("class", kind);
          path.setAttribute("d", drawn);
          return path;
        }),
      );
    }
  };
})();
