// What is computed about figures in the browser: pure functions, the same as their namesakes in Python.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const MARGIN_SHARE = 0.08;
  const REACH = 1.0;
  const STEPS_NOW = 10; // of the trend: the mean of so many steps against that of those before

  // text.number
  rolloutwatch.number = function (value) {
    if (value === null || value === undefined || Number.isNaN(value)) return "NaN";
    if (!Number.isFinite(value)) return value > 0 ? "∞" : "-∞";
    const size = Math.abs(value);
    if ((size && size < 1e-3) || size >= 1e6) return value.toExponential(2).replace("e+", "e");
    const decimals = size >= 1000 ? 0 : 5 - Math.max(1, String(Math.trunc(size)).length) - (size < 1 ? 0 : 1);
    const text = value.toFixed(decimals);
    return text.includes(".") ? text.replace(/0+$/, "").replace(/\.$/, "") : text;
  };

  // text.age
  rolloutwatch.age = function (seconds) {
    if (seconds < 2) return "just now";
    for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
      if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ago`;
    }
    return `${Math.floor(seconds)} s ago`;
  };

  // rules.worst
  rolloutwatch.worst = function (rules, metric, value) {
    let found = null;
    if (value === null || value === undefined) return found;
    for (const rule of rules) {
      const broken = (rule.above !== null && value > rule.above) || (rule.below !== null && value < rule.below);
      if (rule.metric === metric && broken && (found === null || rule.severity > found.severity)) found = rule;
    }
    return found;
  };

  // timeseries.value_range; values that cannot be drawn are null
  rolloutwatch.valueRange = function (columns, chart) {
    const scale = chart.log ? Math.log10 : (value) => value;
    const marks = [...chart.limits, chart.ideal]
      .filter((mark) => mark !== null && (mark > 0 || !chart.log))
      .map(scale);
    let low = Infinity;
    let high = -Infinity;
    for (const values of columns) {
      for (const value of values) {
        if (value === null) continue;
        const point = scale(value);
        if (point < low) low = point;
        if (point > high) high = point;
      }
    }
    if (low > high) {
      low = marks.length ? Math.min(...marks) : 0;
      high = marks.length ? Math.max(...marks) : 0;
    }
    const span = Math.max(high - low, chart.log ? 0.3 : 1e-3 * Math.max(Math.abs(low), Math.abs(high), 1e-3));
    const [least, most] = [low - REACH * span, high + REACH * span];
    for (const mark of marks) {
      if (mark < least || mark > most) continue;
      low = Math.min(low, mark);
      high = Math.max(high, mark);
    }
    const air = MARGIN_SHARE * Math.max(high - low, span);
    return [low - air, high + air];
  };

  // "rising", "falling", "steady", or "" while there is too little to tell
  rolloutwatch.trend = function (values) {
    const known = values.filter((value) => value !== null);
    const before = known.slice(0, -STEPS_NOW);
    if (before.length < STEPS_NOW) return "";
    const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;
    const center = mean(before);
    const spread = Math.sqrt(mean(before.map((value) => (value - center) ** 2)) / STEPS_NOW);
    const change = mean(known.slice(-STEPS_NOW)) - center;
    // three standard errors: nine tiles in ten thousand would move by chance
    if (Math.abs(change) <= 3 * spread + 1e-12 * Math.abs(center)) return "steady";
    return change > 0 ? "rising" : "falling";
  };

  // Values by step, ascending, however they come.
  rolloutwatch.Column = class {
    constructor(step, value) {
      this.step = Array.from(step || []);
      this.value = Array.from(value || []);
    }

    put(step, value) {
      let at = this.step.length;
      if (at && this.step[at - 1] >= step) {
        let low = 0;
        while (low < at) {
          const middle = (low + at) >> 1;
          if (this.step[middle] < step) low = middle + 1;
          else at = middle;
        }
      }
      const present = this.step[at] === step ? 1 : 0;
      this.step.splice(at, present, step);
      this.value.splice(at, present, value);
    }

    lastStep() {
      return this.step[this.step.length - 1];
    }

    last() {
      return this.value.length ? this.value[this.value.length - 1] : undefined;
    }
  };
})();
