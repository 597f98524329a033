// What pages with charts have: a menu for each of them, and how much lines are smoothed.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const element = (...told) => rolloutwatch.element(...told);

  // The menus of components/chart_menu.py.
  rolloutwatch.ChartMenus = class {
    // board: {charts, others, view, name, figures(chart)}; figures() gives those of a chart as a file, or says why not by a Refused
    constructor(board) {
      this.board = board;
      this.onMenu = (event) => this.chosen(event);
      document.addEventListener("click", this.onMenu);
      document.addEventListener("keydown", this.onMenu);
    }

    close() {
      document.removeEventListener("click", this.onMenu);
      document.removeEventListener("keydown", this.onMenu);
    }

    // Which value axes are logarithmic.
    paint() {
      const isLog = new Map(this.board.charts.map(({ told, now }) => [told.name, now.isLog]));
      for (const button of document.querySelectorAll(".chart-menu [data-do=log]")) {
        const { chart } = button.closest(".chart-menu").dataset;
        if (isLog.has(chart)) button.setAttribute("aria-pressed", String(isLog.get(chart)));
      }
    }

    // Something was chosen from the menu of a chart, or the menu is to be closed.
    chosen(event) {
      if (event.type === "keydown" && event.key !== "Escape") return;
      const button = event.type === "click" && event.target.closest ? event.target.closest(".chart-menu [data-do]") : null;
      const open = document.querySelectorAll(".chart-menu[open]");
      const here = event.target.closest && event.target.closest(".chart-menu");
      if (here && !button) this.paint(); // it may have come since
      if (button) {
        const { chart: name } = here.dataset;
        const { charts, others = [] } = this.board;
        const chart = [...charts, ...others].find((one) => one.told.name === name);
        if (chart) rolloutwatch.chartActions[button.dataset.do](chart, this.board);
      }
      for (const menu of open) {
        if (menu === here && event.type === "click" && !button) continue;
        menu.open = false;
        if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
      }
    }
  };

  // How much the lines of all charts are smoothed.
  rolloutwatch.Smoothing = class {
    constructor(view) {
      this.input = element("input", { type: "range", min: 0, max: 0.99, step: 0.01, "aria-label": "Smoothing" });
      this.weight = element("output", {});
      this.label = element("label", {}, "Smoothing ", this.input, this.weight);
      this.input.addEventListener("input", () => view.set({ smooth: Number(this.input.value) }));
    }

    paint({ smooth }) {
      if (Number(this.input.value) !== smooth) this.input.value = smooth;
      this.weight.textContent = smooth ? smooth.toFixed(2) : "off";
    }
  };

  // Which steps are in view, and the way back to all of them.
  rolloutwatch.InView = class {
    constructor(view) {
      this.said = element("span", { role: "status" });
      this.all = element("button", { type: "button", class: "act" }, "Show all");
      this.element = element("span", { class: "zoomed" }, this.said, this.all);
      this.all.addEventListener("click", () => view.set({ from: null, to: null }));
    }

    paint(view) {
      const isZoomed = view.from !== null || view.to !== null;
      this.said.textContent = isZoomed ? stepsText(view) : "";
      this.all.hidden = !isZoomed;
    }
  };

  function stepsText({ from, to }) {
    if (to === null) return `From step ${from} on`;
    return from === null ? `Up to step ${to}` : `Steps ${from} to ${to}`;
  }

  // Whether a chart with such a floor has a logarithmic value axis.
  rolloutwatch.isLog = ({ name, floor }, { log }) => (floor > 0 ? !log.includes(`-${name}`) : log.includes(name));
})();
