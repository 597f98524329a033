// The axis along which charts are drawn: steps, the time of day where one sits, or the time since the run began.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const MOST_TICKS = 6;
  const DAY = 86400;
  const SECONDS = [1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30];
  const LONGER = [1, 2, 5, 10, 15, 30].map((minutes) => 60 * minutes).concat([1, 2, 3, 6, 12].map((hours) => 3600 * hours));
  const DAYS = [1, 2, 7, 14, 30, 60, 90, 180, 365, 730, 1825, 3650, 36500].map((days) => DAY * days);
  const DISTANCES = [...SECONDS, ...LONGER, ...DAYS];
  const TITLES = { step: "step", time: "time", relative: "time since the start" };
  const UNITS = [[DAY, "d"], [3600, "h"], [60, "min"], [1, "s"], [1e-3, "ms"]];

  // no calendar of a browser has what is farther from 1970
  const isTime = (time) => typeof time === "number" && Math.abs(time) < 8e12;
  const two = (number) => String(number).padStart(2, "0");
  const zone = (seconds) => -60 * new Date(1000 * seconds).getTimezoneOffset();

  // When each step was made, in seconds since 1970. Between two that are known a step was made between their times.
  rolloutwatch.Clock = class {
    constructor() {
      this.steps = [];
      this.times = [];
    }

    put(step, time) {
      if (!isTime(time)) return;
      const at = placeOf(this.steps, step);
      const present = this.steps[at] === step ? 1 : 0;
      this.steps.splice(at, present, step);
      this.times.splice(at, present, time);
    }

    // all of {step, time} at once
    putAll(series) {
      const known = new Map(this.steps.map((step, at) => [step, this.times[at]]));
      for (const { step, time } of series) step.forEach((one, at) => isTime(time[at]) && known.set(one, time[at]));
      const sorted = Array.from(known).sort(([one], [other]) => one - other);
      this.steps = sorted.map(([step]) => step);
      this.times = sorted.map(([, time]) => time);
    }

    at(step) {
      return between(this.steps, this.times, step);
    }

    // the step that was made at a time
    stepAt(time) {
      return Math.round(between(this.times, this.steps, time));
    }
  };

  // the first place whose value is not below
  function placeOf(sorted, value) {
    let [low, high] = [0, sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle] < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }
  rolloutwatch.placeFrom = placeOf;

  // what belongs to a value; outside of what is known as the two nearest go on
  function between(from, to, value) {
    if (from.length < 2) return from.length ? to[0] : NaN;
    const at = Math.min(Math.max(1, placeOf(from, value)), from.length - 1);
    const [low, high] = [from[at - 1], from[at]];
    return high > low ? to[at - 1] + ((value - low) / (high - low)) * (to[at] - to[at - 1]) : to[at];
  }

  // How a step stands on the axis of charts, and what of the axis is which step.
  rolloutwatch.Axis = class {
    // began: when the run did, in seconds since 1970
    constructor(kind, clock, began) {
      this.kind = kind;
      this.clock = clock;
      const first = clock.times[0];
      this.origin = kind === "relative" ? (began > 0 && began <= first ? began : first) : 0;
    }

    get title() {
      return TITLES[this.kind];
    }

    // there is nothing to place steps by
    isEmpty() {
      return this.kind !== "step" && !this.clock.steps.length;
    }

    x(step) {
      return this.kind === "step" ? step : this.clock.at(step) - this.origin;
    }

    step(x) {
      return this.kind === "step" ? Math.round(x) : this.clock.stepAt(x + this.origin);
    }

    // what plotly is told of ticks
    ticks(low, high) {
      if (this.kind === "step") return { "xaxis.tickmode": "auto", "xaxis.tickvals": null, "xaxis.ticktext": null };
      const { tickvals, ticktext } = this.tickmarks(low, high);
      return { "xaxis.tickmode": "array", "xaxis.tickvals": tickvals, "xaxis.ticktext": ticktext };
    }

    // ticks of an axis of time
    tickmarks(low, high) {
      const [tickvals, ticktext] = this.kind === "time" ? rolloutwatch.timeTicks(low, high, zone(low)) : rolloutwatch.durationTicks(low, high);
      return { tickvals, ticktext };
    }

    // a step in words
    words(step) {
      const time = this.clock.at(step);
      if (this.kind === "step" || !Number.isFinite(time)) return `step ${step}`;
      if (this.kind === "time") return `step ${step} · ${rolloutwatch.momentText(time)}`;
      return `step ${step} · ${rolloutwatch.durationText(time - this.origin)}`;
    }
  };

  function placesOf(low, high, shift) {
    const distance = DISTANCES.find((one) => (high - low) / one <= MOST_TICKS) || DISTANCES[DISTANCES.length - 1];
    const places = [];
    for (let at = Math.ceil((low + shift) / distance); at * distance <= high + shift && places.length <= MOST_TICKS; at++) {
      places.push(at * distance - shift);
    }
    return [distance, places];
  }

  // Places and texts of a time axis of seconds since 1970, in a zone that is so many seconds before that of Greenwich.
  rolloutwatch.timeTicks = function (low, high, shift) {
    const [distance, places] = placesOf(low, high, shift);
    const texts = places.map((place) => {
      const there = new Date(1000 * (place + shift));
      if (distance >= DAY || (place + shift) % DAY === 0) return there.toISOString().slice(0, 10);
      const clock = `${two(there.getUTCHours())}:${two(there.getUTCMinutes())}`;
      if (distance >= 60) return clock;
      return `${clock}:${two(there.getUTCSeconds())}${distance < 1 ? `.${String(there.getUTCMilliseconds()).padStart(3, "0")}` : ""}`;
    });
    return [places, texts];
  };

  // The same of seconds since something.
  rolloutwatch.durationTicks = function (low, high) {
    const [distance, places] = placesOf(low, high, 0);
    const [size, unit] = UNITS.find(([one]) => distance >= one) || UNITS[UNITS.length - 1];
    return [places, places.map((place) => (place === 0 ? "0" : `${Number((place / size).toPrecision(6))} ${unit}`))];
  };

  // A time where one sits.
  rolloutwatch.momentText = function (seconds) {
    const time = new Date(1000 * seconds);
    if (Number.isNaN(time.getTime())) return "";
    const day = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
    return `${day} ${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  };

  rolloutwatch.durationText = function (seconds) {
    const sign = seconds < 0 ? "-" : "";
    const size = Math.abs(seconds);
    if (size < 60) return `${sign}${Number(size.toFixed(1))} s`;
    const [days, hours, minutes] = [Math.floor(size / DAY), Math.floor((size % DAY) / 3600), Math.floor((size % 3600) / 60)];
    const rest = [days ? `${days} d` : "", hours ? `${hours} h` : "", minutes ? `${minutes} min` : ""];
    return sign + [...rest, size < 3600 ? `${Math.floor(size % 60)} s` : ""].filter(Boolean).join(" ");
  };
})();
