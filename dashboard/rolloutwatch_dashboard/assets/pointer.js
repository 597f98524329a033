// Pointing at a chart: a line at the same step of all charts that are seen, with what each of them has there.
// It lies over the charts, and nothing is drawn anew for it.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const PX_BESIDE = 6;
  const element = (...told) => rolloutwatch.element(...told);

  rolloutwatch.Pointer = class {
    // others: drawings that are read in another way: {graph, now, pointed(event), left(), line(step)}
    constructor(charts, others = []) {
      this.charts = charts;
      this.others = others;
      this.onMove = (event) => this.moved(event);
      this.onLeave = (event) => this.leave(event);
      document.addEventListener("pointermove", this.onMove, { passive: true });
      document.addEventListener("pointerdown", this.onMove, { passive: true });
      document.documentElement.addEventListener("pointerleave", this.onLeave);
    }

    close() {
      document.removeEventListener("pointermove", this.onMove);
      document.removeEventListener("pointerdown", this.onMove);
      document.documentElement.removeEventListener("pointerleave", this.onLeave);
      cancelAnimationFrame(this.frame);
      for (const chart of [...this.charts, ...this.others]) remove(chart);
    }

    // A finger leaves whenever it has tapped.
    leave({ pointerType }) {
      if (pointerType !== "touch") this.enter(null);
      this.show(null);
    }

    enter(other) {
      if (this.within && this.within !== other) this.within.left();
      this.within = other;
    }

    moved(event) {
      this.last = event;
      if (!this.frame) this.frame = requestAnimationFrame(() => this.look());
    }

    look() {
      this.frame = null;
      const { target } = this.last;
      const plot = target.closest && target.closest(".nsewdrag") && target.closest(".js-plotly-plot");
      const other = (plot && this.others.find((one) => one.graph === plot)) || null;
      this.enter(other);
      if (other) return this.show(other.pointed(this.last), other);
      const chart = plot && this.charts.find((one) => one.graph === plot);
      this.show(chart && chart.columns ? this.stepAt(chart, this.last.clientX) : null, chart);
    }

    // The step of a chart that is nearest to a place on the screen; null where it has none.
    stepAt(chart, clientX) {
      const { xaxis } = chart.graph._fullLayout;
      const step = chart.now.axis.step(xaxis.p2l(clientX - chart.graph.getBoundingClientRect().left - xaxis._offset));
      const [first, last] = chart.inView();
      const columns = chart.seen().columns.filter((column) => column.step.length);
      const near = columns.map((column) => nearest(column.step, step)).filter((one) => first <= one && one <= last);
      return near.length ? near.reduce((one, other) => (Math.abs(other - step) < Math.abs(one - step) ? other : one)) : null;
    }

    // Show a step on all charts, null for none; `pointed` is the chart one points at.
    show(step, pointed) {
      if (step === this.step && pointed === this.pointed) return;
      [this.step, this.pointed] = [step, pointed];
      for (const chart of this.charts) {
        if (step !== null && chart.columns && isOnScreen(chart.graph)) put(chart, step, chart === pointed);
        else remove(chart);
      }
      for (const other of this.others) other.line(other === pointed ? null : step);
    }

    // What is drawn has changed, perhaps at this very step.
    again() {
      if (this.step === null || this.step === undefined) return;
      const { step, pointed } = this;
      this.step = undefined;
      this.show(step, pointed);
    }
  };

  function isOnScreen(graph) {
    if (!graph || !graph.isConnected) return false;
    const box = graph.getBoundingClientRect();
    return box.bottom > 0 && box.top < innerHeight;
  }

  function remove(chart) {
    if (chart.overlay) chart.overlay.hidden = true;
    return null;
  }

  // Put a line over a chart, at a step; null if that is not in view.
  function putLine(chart, step) {
    const { xaxis, yaxis } = chart.graph._fullLayout;
    const place = xaxis.l2p(chart.now.axis.x(step));
    if (!(place >= -0.5 && place <= xaxis._length + 0.5)) return remove(chart);
    if (!chart.overlay || !chart.overlay.isConnected) {
      const box = element("div", { class: "pointed", hidden: true });
      chart.overlay = element("div", { class: "pointer", "aria-hidden": "true" }, element("i", {}), box);
      chart.graph.append(chart.overlay);
    }
    const [line] = chart.overlay.children;
    chart.overlay.hidden = false;
    line.style.transform = `translateX(${(xaxis._offset + place).toFixed(1)}px)`;
    line.style.top = `${yaxis._offset}px`;
    line.style.height = `${yaxis._length}px`;
    return place;
  }
  rolloutwatch.putLine = putLine;
  rolloutwatch.removeLine = remove;

  function put(chart, step, isPointed) {
    const place = putLine(chart, step);
    if (place === null) return;
    const { xaxis, yaxis } = chart.graph._fullLayout;
    const [, box] = chart.overlay.children;
    box.hidden = false;
    box.replaceChildren(...rolloutwatch.pointedAt(chart, step, isPointed));
    box.style.top = `${yaxis._offset + 2}px`;
    // beside the line, where there is room
    const wide = box.offsetWidth;
    const left = place + PX_BESIDE + wide <= xaxis._length ? place + PX_BESIDE : place - PX_BESIDE - wide;
    box.style.left = `${xaxis._offset + Math.max(0, Math.min(left, xaxis._length - wide))}px`;
  }

  // What a chart has at a step, as elements: the step, a row for each line, the usual range, and what is marked there.
  rolloutwatch.pointedAt = function (chart, step, isPointed) {
    const rows = chart.rows().map((about, index) => row(chart, about, index, step));
    if (!isPointed) return [element("table", {}, ...rows)];
    // of marks is told at the step of the chart that is nearest to them
    const words = chart.seen().words.get(step);
    const marks = words ? words.split("\n") : [];
    return [
      element("strong", {}, chart.now.axis.words(step)),
      element("table", {}, ...rows),
      ...usual(chart, step),
      ...marks.map((text) => element("p", {}, text)),
    ];
  };

  function row(chart, { label, kind }, index, step) {
    const column = chart.seen().columns[index];
    const near = nearest(column.step, step);
    const distance = near === null ? Infinity : Math.abs(near - step);
    const isThere = distance === 0 || distance <= chart.reach(column);
    const value = isThere ? rolloutwatch.number(column.value[rolloutwatch.placeFrom(column.step, near)]) : "no value";
    const beside = isThere ? chart.beside(index, near, distance) : "";
    return element(
      "tr",
      { class: kind },
      element("th", {}, label),
      element("td", {}, value),
      beside ? element("td", { class: "mean" }, beside) : null,
      ...(isThere ? mean(chart, index, near) : []),
    );
  }

  function mean(chart, index, step) {
    const line = chart.seen().means[index];
    if (!line) return [];
    const value = line.value[rolloutwatch.placeFrom(line.step, step)];
    return value === null || value === undefined ? [] : [element("td", { class: "mean" }, `≈ ${rolloutwatch.number(value)}`)];
  }

  function usual(chart, step) {
    const ranges = chart.seen().ranges.find((part) => part[0][0] <= step && step <= part[part.length - 1][0]);
    if (!ranges) return [];
    const [, low, high] = ranges[rolloutwatch.placeFrom(ranges.map(([one]) => one), step)];
    const of = `${rolloutwatch.number(low)} to ${rolloutwatch.number(high)}`;
    return [element("p", { class: "usual" }, `usual ${of}: median ± 4 robust spreads, older half of the 399 values before`)];
  }

  function nearest(steps, step) {
    const at = rolloutwatch.placeFrom(steps, step);
    if (at === 0) return steps.length ? steps[0] : null;
    return at < steps.length && steps[at] - step < step - steps[at - 1] ? steps[at] : steps[at - 1];
  }
})();
