// What is drawn of values: their mean, their usual range, and marks of those that have no place. As their namesakes in Python.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const LARGEST = 1e200;
  const PARTS = 1000;
  const [BEFORE, LEAST, MOST_PLACES] = [399, 20, 64];
  const [SPREADS, OF_A_NORMAL, LEAST_SPREAD] = [4, 1.4826, 0.125];
  const FARTHEST_DRAWN = 1e30; // on an axis that is not logarithmic; pixels are counted in single precision
  const USUAL_FLOOR = 1e-3;

  const median = (values) => medianOf(Float64Array.from(values).sort());

  function medianOf(ordered) {
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

  // Scale.of; a figure without a scale is as it is
  function placeOf(value, scale) {
    if (!scale) return value;
    if (!scale.is_ratio) return Math.asinh((value - scale.ideal) / scale.matters);
    return value <= 0 ? -Infinity : Math.asinh(Math.log(value) / scale.matters);
  }

  // Scale.back
  function valueAt(place, scale) {
    if (!scale) return place;
    const away = Math.sinh(place) * scale.matters;
    return scale.is_ratio ? Math.exp(away) : scale.ideal + away;
  }

  // usual.usual_of_placed, of at most BEFORE numbers on a scale
  function usualOfPlaced(placed, { scale, most }) {
    if (placed.length < LEAST) return null;
    const ordered = placed.slice(0, Math.max(LEAST, placed.length >> 1)).sort();
    const center = medianOf(ordered);
    if (!Number.isFinite(center)) return null;
    const spread = Math.max(OF_A_NORMAL * medianOf(ordered.map((one) => Math.abs(one - center)).sort()), scale ? LEAST_SPREAD : 0);
    const [least, largest] = [ordered[0], ordered[ordered.length - 1]];
    const ends = spread ? [center - SPREADS * spread, center + SPREADS * spread] : [least, largest];
    const [low, high] = ends.map((place) => valueAt(place, scale));
    return { low: least < placeOf(0, scale) ? low : Math.max(low, 0), high: Math.min(high, most ?? Infinity) };
  }

  const isShown = (value) => value !== null && Math.abs(value) <= LARGEST;

  // baseline.usual_ranges; `told` is usual.followed_usual
  rolloutwatch.usualRanges = function (steps, values, told, begins = [], first = 0) {
    const known = Array.from(steps.keys()).filter((at) => values[at] !== null);
    const places = known.map((at) => steps[at]);
    const placed = Float64Array.from(known, (at) => placeOf(values[at], told.scale));
    const start = rolloutwatch.placeFrom(places, first);
    let every = 1;
    while (every * MOST_PLACES < known.length - start) every *= 2;
    const parts = [];
    let begin = 0;
    for (const end of [...begins.map((step) => rolloutwatch.placeFrom(places, step)), known.length]) {
      const ranges = [];
      for (let at = Math.max(begin, start); at < end; at++) {
        if (at % every && at !== end - 1) continue;
        const usual = usualOfPlaced(placed.subarray(Math.max(begin, at - BEFORE), at), told);
        if (usual) ranges.push([places[at], usual.low, usual.high]);
      }
      if (ranges.length) parts.push(ranges);
      begin = end;
    }
    return parts;
  };

  // baseline.band, with `x` telling where on the axis a step is
  rolloutwatch.band = function (parts, floor, x) {
    const most = floor > 0 ? LARGEST : FARTHEST_DRAWN;
    const lowest = floor > 0 ? floor : -most;
    const drawn = (value) => Math.min(Math.max(value, lowest), most);
    const path = (ranges) => {
      const there = ranges.map(([step, , high]) => `${x(step)},${drawn(high)}`);
      const back = ranges.map(([step, low]) => `${x(step)},${drawn(low)}`).reverse();
      return `M${[...there, ...back].join("L")}Z`;
    };
    const paths = parts.filter((ranges) => ranges.length > 1).map(path);
    return paths.length ? [paths.join("")] : [];
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
