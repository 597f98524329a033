// What is drawn of values: their mean, their usual range, and marks of those that have no place. As their namesakes in Python.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const LARGEST = 1e200;
  const PARTS = 1000;
  const [VALUES, LEAST, MOST_PLACES] = [60, 20, 64];
  const [SPREADS, OF_A_NORMAL] = [4, 1.4826];
  const USUAL_FLOOR = 1e-3;

  function median(values) {
    const ordered = Float64Array.from(values).sort();
    const middle = ordered.length >> 1;
    return ordered.length % 2 ? ordered[middle] : (ordered[middle - 1] + ordered[middle]) / 2;
  }

  // how far it usually is from a value to the next one
  rolloutwatch.usualDistance = function (steps) {
    return steps.length < 2 ? 1 : median(steps.slice(1).map((step, at) => step - steps[at]));
  };

  // smoothing.unit_of
  rolloutwatch.unitOf = function (steps) {
    if (steps.length < 2) return 1;
    return Math.max(rolloutwatch.usualDistance(steps), (steps[steps.length - 1] - steps[0]) / PARTS);
  };

  // smoothing.smoothed
  rolloutwatch.smoothed = function (steps, values, weight, unit) {
    let [total, mass, before] = [0, 0, null];
    return values.map((value, at) => {
      if (value === null) return null;
      const keep = before === null ? 0 : weight ** ((steps[at] - before) / unit);
      [total, mass, before] = [total * keep + value, mass * keep + 1, steps[at]];
      return total / mass;
    });
  };

  // usual.usual, of at most VALUES numbers
  rolloutwatch.usual = function (values, most) {
    if (values.length < LEAST) return null;
    const center = median(values);
    const spread = OF_A_NORMAL * median(values.map((value) => Math.abs(value - center)));
    const [least, largest] = [Math.min(...values), Math.max(...values)];
    if (!spread) return { low: least, high: largest };
    const [low, high] = [center - SPREADS * spread, center + SPREADS * spread];
    return { low: least < 0 ? low : Math.max(low, 0), high: Math.min(high, most) };
  };

  const isShown = (value) => value !== null && Math.abs(value) <= LARGEST;

  // baseline.usual_ranges; values without a place are left out
  rolloutwatch.usualRanges = function (steps, values, most) {
    const places = Array.from(steps.keys()).filter((at) => isShown(values[at]));
    const known = Float64Array.from(places, (at) => values[at]);
    let every = 1;
    while (every * MOST_PLACES < known.length) every *= 2;
    const found = [];
    places.forEach((place, at) => {
      if (at % every && at !== known.length - 1) return;
      const usual = rolloutwatch.usual(known.subarray(Math.max(0, at - VALUES), at), most);
      if (usual) found.push([steps[place], usual.low, usual.high]);
    });
    return found;
  };

  // baseline.band, with `x` telling where on the axis a step is
  rolloutwatch.band = function (ranges, floor, x) {
    if (ranges.length < 2) return [];
    const least = (value) => (floor > 0 ? Math.max(value, floor) : value);
    const there = ranges.map(([step, , high]) => `${x(step)},${least(high)}`);
    const back = ranges.map(([step, low]) => `${x(step)},${least(low)}`).reverse();
    return [`M${[...there, ...back].join("L")}Z`];
  };

  // timeseries.floor_of
  rolloutwatch.floorOf = function (columns) {
    let lowest = Infinity;
    for (const values of columns) for (const value of values) if (isShown(value) && value > 0 && value < lowest) lowest = value;
    return Number(`1e${Math.floor(Math.log10(lowest === Infinity ? USUAL_FLOOR : lowest))}`);
  };

  // lost.lost_values, of columns of values where null is NaN: what a trace of plotly's has
  rolloutwatch.lostValues = function (columns, colors) {
    const found = [];
    columns.forEach(({ step, value }, index) => {
      for (let at = 0; at < step.length; at++) if (!isShown(value[at])) found.push([step[at], index, value[at]]);
    });
    const edges = found.map(([, , value]) => edge(value));
    return {
      step: found.map(([at]) => at),
      drawn: edges.map(([height]) => height),
      value: found.map(([, index, value]) => [index, rolloutwatch.number(value)]),
      color: found.map(([, index]) => colors[index]),
      symbol: edges.map(([, symbol]) => symbol),
    };
  };

  // lost.edge
  const edge = (rolloutwatch.edge = function (value) {
    if (value !== null && value > LARGEST) return [1, "triangle-up"];
    return value !== null && value < -LARGEST ? [0, "triangle-down"] : [0, "x"];
  });
})();
