// Pointing at charts by keys: a chart that has the focus moves the line that stands on all of them, and what it has there is said.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const STEPS_OF_A_SHIFT = 10;
  const MS_BETWEEN_WORDS = 400; // whoever holds a key down would never hear the end of it
  const element = (...told) => rolloutwatch.element(...told);

  rolloutwatch.PointerKeys = class {
    // pointer: a Pointer; open(step) leads to a step, where there is one to lead to
    constructor(pointer, open) {
      this.pointer = pointer;
      this.said = element("div", { class: "hidden", "aria-live": "polite", id: "pointed-at" });
      document.body.append(this.said);
      this.end = rolloutwatch.addKeys({
        of: "Charts, when one has the focus",
        heeds: ({ target }) => Boolean(this.chartOf(target)),
        keys: [
          { on: ["ArrowLeft", "ArrowRight"], does: "point at the step before, the next one", act: (event) => this.by(event, 1) },
          { on: ["Shift+ArrowLeft", "Shift+ArrowRight"], does: `${STEPS_OF_A_SHIFT} steps back, ${STEPS_OF_A_SHIFT} on`, act: (event) => this.by(event, STEPS_OF_A_SHIFT) },
          { on: ["Home", "End"], does: "the first step in view, the last one", act: ({ key, target }) => this.to(target, (steps) => (key === "Home" ? 0 : steps.length - 1)) },
          ...(open ? [{ on: ["Enter"], does: "open the step that is pointed at", act: () => this.enter(open) }] : []),
          { on: ["Escape"], does: "leave the chart", act: ({ target }) => this.leave(target) },
        ],
      });
    }

    close() {
      this.end();
      this.said.remove();
      clearTimeout(this.timer);
    }

    // Charts that are drawn can have the focus.
    dress() {
      for (const { graph, told } of this.pointer.charts) {
        if (!graph || graph.tabIndex === 0) continue;
        graph.tabIndex = 0;
        graph.addEventListener("mousedown", leaveFocus);
        graph.setAttribute("role", "application"); // in which arrows are not the screen reader's
        graph.setAttribute("aria-roledescription", "chart");
        graph.setAttribute("aria-label", `${told.title}: arrows point at steps`);
      }
    }

    chartOf(target) {
      return this.pointer.charts.find((chart) => chart.graph === target && chart.columns);
    }

    by({ key, target }, count) {
      const { step } = this.pointer;
      const way = key === "ArrowLeft" ? -count : count;
      const isNone = step === null || step === undefined;
      this.to(target, (steps) => (isNone ? steps.length - 1 : rolloutwatch.placeFrom(steps, step) + way));
    }

    // Point at another of the steps in view; `place` tells where among them.
    to(target, place) {
      const chart = this.chartOf(target);
      const [first, last] = chart.inView();
      const steps = rolloutwatch.parts.stepsOf(chart.seen().columns).filter((step) => first <= step && step <= last);
      if (!steps.length) return this.say(`${chart.told.title}: nothing in view`);
      const step = steps[Math.min(Math.max(0, place(steps)), steps.length - 1)];
      this.pointer.show(step, chart);
      this.say(rolloutwatch.wordsAt(chart, step));
    }

    enter(open) {
      const { step } = this.pointer;
      if (step === null || step === undefined) return false;
      open(step);
      return true;
    }

    leave(target) {
      this.pointer.show(null);
      this.say("");
      target.blur();
    }

    // The newest words, and no more often than somebody can hear them.
    say(words) {
      this.words = words;
      if (this.timer) return;
      rolloutwatch.head.say(this.said, words);
      this.timer = setTimeout(() => {
        this.timer = null;
        if (this.words !== this.said.textContent) this.say(this.words);
      }, MS_BETWEEN_WORDS);
    }
  };

  // A click is no wish to use keys here: as on whatever cannot have the focus it goes to the page, whose keys others have.
  function leaveFocus(event) {
    event.preventDefault();
    document.activeElement.blur();
  }

  // What a chart has at a step, in one line: as `pointedAt` shows it.
  rolloutwatch.wordsAt = function (chart, step) {
    const line = ({ cells }) => Array.from(cells, (cell) => cell.textContent).join(" ");
    const words = rolloutwatch.pointedAt(chart, step, true).flatMap((one) => (one.rows ? Array.from(one.rows, line) : [one.textContent]));
    return words.filter(Boolean).join("; ");
  };
})();
