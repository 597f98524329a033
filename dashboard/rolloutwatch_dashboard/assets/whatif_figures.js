// What is computed of answers about another correction: pure functions, those with a namesake in Python the same as it.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});
  const whatif = (rolloutwatch.whatif = rolloutwatch.whatif || {});

  // figures/whatif.between
  whatif.between = function (low, high) {
    const [least, most] = [low, high].map(rolloutwatch.number);
    return least === most ? least : `${least} to ${most}`;
  };

  // figures/whatif._stretches
  function stretches(would) {
    const seen = [...rolloutwatch.withGaps(would.step, would.low).value, null];
    const found = [];
    let [begin, at] = [0, 0];
    for (const value of seen) {
      if (value !== null) {
        at += 1;
        continue;
      }
      if (at - begin > 1) found.push([begin, at]);
      begin = at;
    }
    return found;
  }

  // figures/whatif.band
  whatif.band = function (would) {
    const [x, y] = [[], []];
    for (const [first, after] of stretches(would)) {
      const [step, low, high] = [would.step, would.low, would.high].map((one) => one.slice(first, after));
      x.push(...step, ...step.slice().reverse(), step[0], null);
      y.push(...low, ...high.slice().reverse(), low[0], null);
    }
    return [x, y];
  };

  // figures/whatif.dots_of
  whatif.dotsOf = function (would) {
    const lined = stretches(would);
    const isLined = (at) => lined.some(([first, after]) => first <= at && at < after);
    const [x, y] = [[], []];
    would.step.forEach((step, at) => {
      if (isLined(at)) return;
      for (const end of new Set([would.low[at], would.high[at]])) {
        x.push(step);
        y.push(end);
      }
    });
    return [x, y];
  };

  // figures/whatif.words_of
  whatif.wordsOf = function (would) {
    return would.step.map((_, at) => `would have been ${whatif.between(would.low[at], would.high[at])}`);
  };

  const mean = (one, other, name) => (one[name] * one.steps + other[name] * other.steps) / (one.steps + other.steps);

  // Two summaries of a figure, of some steps and of those that follow, as one of all of them.
  function together(one, other) {
    if (!one || !one.steps) return other || one;
    if (!other || !other.steps) return one;
    return {
      steps: one.steps + other.steps,
      exact_steps: one.exact_steps + other.exact_steps,
      mean_low: mean(one, other, "mean_low"),
      mean_high: mean(one, other, "mean_high"),
      lowest: other.lowest.low < one.lowest.low ? other.lowest : one.lowest,
      highest: other.highest.high > one.highest.high ? other.highest : one.highest,
    };
  }

  // Everything by name that one of two has, made one by `unite`.
  function united(one, other, unite) {
    const names = new Set([...Object.keys(one), ...Object.keys(other)]);
    return Object.fromEntries(Array.from(names, (name) => [name, unite(one[name], other[name])]));
  }

  function joined(one, other) {
    if (!one || !other) return one || other;
    return Object.fromEntries(["step", "low", "high"].map((name) => [name, one[name].concat(other[name])]));
  }

  function omissions(one, other) {
    const found = one.map((each) => ({ ...each }));
    for (const each of other) {
      const known = found.find(({ metric, reason }) => metric === each.metric && reason === each.reason);
      if (!known) found.push({ ...each });
      else Object.assign(known, { steps: known.steps + each.steps, last_step: each.last_step });
    }
    return found;
  }

  // Two answers about portions of a run, one after the other, as one answer.
  whatif.merged = function (one, other) {
    if (!one) return other;
    return {
      ...other,
      steps: one.steps + other.steps,
      figures: united(one.figures, other.figures, joined),
      summary: united(one.summary, other.summary, together),
      recorded: united(one.recorded, other.recorded, together),
      omitted: omissions(one.omitted, other.omitted),
    };
  };

  // The worst step of a figure: {step, low, high}, the one that is farthest from the ideal value; step null where none is worse.
  whatif.worst = function (summary, ideal) {
    if (!summary || !summary.steps) return null;
    const [lowest, highest] = [summary.lowest, summary.highest];
    const found = ideal - lowest.low >= highest.high - ideal ? lowest : highest;
    return found.low === ideal && found.high === ideal ? { ...found, step: null } : found;
  };
})();
