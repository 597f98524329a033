// The lines of runs that are laid over each other: pure functions, the first one as in figures/compare.py.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const LARGEST = 1e200;

  const part = (series, which) => ({
    step: series.step.filter((_, at) => which(at)),
    value: series.value.filter((_, at) => which(at)),
    time: series.time && series.time.filter((_, at) => which(at)),
  });

  function joined(one, other) {
    const time = one.time && other.time ? [...one.time, ...other.time] : null;
    return { step: [...one.step, ...other.step], value: [...one.value, ...other.value], time };
  }

  // The points of a series, with one that has no step in each gap.
  function gapped(series) {
    const places = series.time || series.step;
    const known = new Map(series.step.map((step, at) => [step, [places[at], series.value[at]]]));
    const values = series.value.map((value) => (value === null || Math.abs(value) > LARGEST ? null : value));
    const line = rolloutwatch.withGaps(series.step, values);
    const found = [];
    line.step.forEach((step, at) => {
      if (known.has(step)) found.push([step, line.value[at], ...known.get(step)]);
      else found.push([null, null, found[found.length - 1][2], null]);
    });
    return found;
  }

  // compare.line_of
  rolloutwatch.lineOf = function (whole, origin, axis, close) {
    let points;
    if (close && close.step.length) {
      const [first, last, end] = [close.step[0], close.step[close.step.length - 1], close.step.length - 1];
      const before = part(whole, (at) => whole.step[at] < first);
      const after = part(whole, (at) => whole.step[at] > last);
      points = [
        ...gapped(joined(before, part(close, (at) => at === 0))).slice(0, -1),
        ...gapped(close),
        ...gapped(joined(part(close, (at) => at === end), after)).slice(1),
      ];
    } else {
      points = gapped(whole);
    }
    return {
      step: points.map(([step]) => step),
      value: points.map(([, value]) => value),
      x: points.map(([, , place]) => (place - origin) / axis.unit),
      came: points.map(([, , , came]) => came),
    };
  };

  // What is known of a series up to a step, and what has come from there on.
  rolloutwatch.withNews = function (series, fresh, from) {
    return joined(part(series, (at) => series.step[at] < from), fresh);
  };

  // The mean of a line at each of its values, as it is smoothed; null where there is none.
  rolloutwatch.meanOfRun = function (line, weight) {
    const there = Array.from(line.step.keys()).filter((at) => line.step[at] !== null);
    const steps = there.map((at) => line.step[at]);
    const found = rolloutwatch.smoothed(steps, there.map((at) => line.value[at]), weight, rolloutwatch.unitOf(steps));
    const value = line.step.map(() => null);
    there.forEach((at, which) => (value[at] = found[which]));
    return value;
  };

  // What came and has no place, with what plotly is told of it.
  rolloutwatch.lostOf = function (line) {
    const at = Array.from(line.step.keys()).filter((one) => line.step[one] !== null && line.value[one] === null);
    const edges = at.map((one) => rolloutwatch.edge(line.came[one]));
    return {
      x: at.map((one) => line.x[one]),
      y: edges.map(([height]) => height),
      custom: at.map((one) => [line.step[one], rolloutwatch.number(line.came[one])]),
      symbol: edges.map(([, symbol]) => symbol),
    };
  };

  // The first and the last place at which there is something.
  rolloutwatch.extentOf = function (lines) {
    let [first, last] = [Infinity, -Infinity];
    for (const line of lines) {
      for (const x of line.x) {
        if (x < first) first = x;
        if (x > last) last = x;
      }
    }
    return [first, last];
  };

  // The common axis of runs, of places in steps or in seconds; axis: what pages/compare.py tells.
  rolloutwatch.CommonAxis = class {
    constructor({ kind, title, unit, dated }) {
      Object.assign(this, { kind, title, unit, dated });
    }

    // plotly counts dates as if its zone were that of Greenwich
    x(place) {
      return this.dated ? 1000 * place - zoneMs(1000 * place) : place / this.unit;
    }

    step(x) {
      return this.dated ? (x + zoneMs(x + zoneMs(x))) / 1000 : x * this.unit;
    }

    words(place) {
      if (this.kind === "step") return `step ${place}`;
      if (this.kind === "time") return rolloutwatch.momentText(place);
      if (this.kind === "relative") return `${rolloutwatch.durationText(place)} after each run began`;
      return `${place} ${this.title}`;
    }
  };

  const zoneMs = (ms) => 60000 * new Date(ms).getTimezoneOffset();
})();
