// What is wrong with a run, each cause once: what alerts say of it, and how its figure stands.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const { CLASSES } = rolloutwatch.STATES;
  const steps = rolloutwatch.countedSteps;
  const LOSSES = { failed: "unmeasured_steps", lost: "dropped_records" }; // the figures that alerts of losses watch

  // Causes, the worst first: {key, state, alerts, isQuiet, what, beyond, summary, cure, guide, since}.
  // `broken`: what `Standing.broken` found. An alert and a figure that are about the same thing are one cause;
  // so are several alerts of one figure, and one of several figures of which one is as bad as it says.
  // `since` is {step, time, atLeast}, or null where no step is known.
  rolloutwatch.causesOf = function (standing, broken) {
    const causes = [];
    const add = (key) => causes[causes.push({ key, alerts: [], reason: null }) - 1];
    const find = (key) => causes.find((one) => one.key === key);
    for (const alert of inOrder(standing.alerts)) {
      const of = broken.find(({ rule }) => rule.severity >= alert.severity && alert.metrics.includes(rule.metric));
      const key = of && alert.metrics.length > 1 ? of.rule.metric : alert.metrics.length === 1 ? alert.metrics[0] : `alert ${alert.rule}`;
      (find(key) || add(key)).alerts.push(alert);
    }
    for (const verdict of broken) {
      const { metric, name } = verdict.rule;
      const isOfRule = (one) => !one.reason && one.alerts.some(({ rule }) => rule === name);
      (find(metric) || causes.find(isOfRule) || add(metric)).reason = figure(verdict, standing.recent[metric]);
    }
    for (const loss of losses(standing)) {
      const isOfIt = (one) => !one.reason && one.alerts.some(({ metrics }) => metrics.includes(loss.metric));
      (causes.find(isOfIt) || add(`lost ${loss.name}`)).reason = loss;
    }
    for (const one of missing(standing)) add(one.what).reason = one;
    return causes.map((one) => whole(one, standing)).sort((one, other) => rank(one) - rank(other));
  };

  // The worst first, of several as bad the one that began first, of those the one about the fewest figures, which says most.
  const inOrder = (alerts) =>
    alerts.slice().sort((one, other) => other.severity - one.severity || one.step - other.step || one.metrics.length - other.metrics.length);

  // What nobody has seen comes first; what somebody looks after is there, and comes last.
  function rank({ state, isQuiet }) {
    return isQuiet ? 10 - CLASSES.indexOf(state) : 3 - Math.max(0, CLASSES.indexOf(state));
  }

  function whole({ key, alerts, reason }, standing) {
    const [worst] = alerts;
    const gravity = reason && CLASSES.includes(reason.state) ? CLASSES.indexOf(reason.state) : 0;
    const severity = Math.max(gravity, worst ? worst.severity : 0);
    const told = worst && worst.severity >= gravity ? worst : null;
    const said = reason || alertFigures(worst, standing.recent[key]);
    return {
      key,
      alerts,
      state: severity ? CLASSES[severity] : "unknown",
      // a figure that has become worse than what somebody has seen is news
      isQuiet: alerts.length > 0 && alerts.every((one) => !one.calls) && worst.severity >= gravity,
      what: said.what,
      beyond: said.beyond,
      summary: (told && told.summary) || (reason ? reason.summary : told.condition || ""),
      cure: (told && told.cure) || (reason ? reason.cure : ""),
      guide: worst ? worst.guide : "",
      since: sinceWhen(worst, reason && reason.since),
    };
  }

  // An alert fires some steps after its figure has gone beyond the limit, which is where it began.
  function sinceWhen(alert, began) {
    if (!alert || (began && began.severity >= alert.severity && began.step < alert.step)) return began || null;
    return { step: alert.step, time: alert.time, atLeast: false };
  }

  // Of an alert whose figure is within its limits by now, or sets none: what made it fire, and how that is now.
  function alertFigures({ known, step }, column) {
    if (!known.length) return { what: "", beyond: "" };
    const [first, ...others] = known;
    const rest = others.map(({ title, value, limit }) => [title, value, limit].filter(Boolean).join(" "));
    const now = column && known.length === 1 && column.last() !== null ? `, now ${rolloutwatch.number(column.last())}` : "";
    return { what: `${first.title} ${first.value}`, beyond: `${[first.limit, ...rest].filter(Boolean).join(", ")} at step ${step}${now}.` };
  }

  function figure({ rule, value, at, times, of, began }, column) {
    const isGapless = column.step[column.step.length - 1] - column.step[column.step.length - of] === of - 1;
    const last = at === column.value.length - 1 ? "" : ` at step ${column.step[at]}`;
    return {
      state: CLASSES[rule.severity],
      what: `${rule.title} ${rolloutwatch.number(value)}${last}`,
      beyond: `${rolloutwatch.beyond(rule, value)} in ${times} of the last ${of} ${isGapless ? "steps" : "values"}.`,
      summary: rule.summary,
      cure: rule.cure,
      since: began,
    };
  }

  function losses(standing) {
    const isBad = standing.judged().length === 0;
    const failed = standing.failed().map(([name]) => name);
    return Object.entries(standing.dropped)
      .filter(([, count]) => count)
      .map(([name, count]) => {
        const [what, meaning, cure] = Object.hasOwn(standing.told.losses, name) ? standing.told.losses[name] : [`lost: ${name}`, "", ""];
        const isFailed = failed.includes(name);
        const ofWhat = isFailed ? steps(count) : `${count} ${count === 1 ? "record" : "records"}`;
        return {
          name,
          metric: isFailed ? LOSSES.failed : LOSSES.lost,
          state: isBad && isFailed ? "critical" : "unknown",
          what: `${ofWhat} ${what}.`,
          beyond: meaning,
          summary: "",
          cure,
        };
      });
  }

  function missing(standing) {
    const [gone, never] = [standing.unknown(), standing.judged().length ? standing.unmeasured() : []];
    const last = Math.max(...gone.map((tile) => (standing.recent[tile.metric].lastKnown() || { step: -1 }).step));
    const absent = (tiles, what, beyond) => ({ state: "unknown", what: `${titles(tiles)}: ${what}.`, beyond, summary: "", cure: "" });
    return [
      ...(gone.length ? [absent(gone, "unknown", last < 0 ? "No finite value came." : `No value since step ${last}.`)] : []),
      ...(never.length ? [absent(never, "not measured", `No value up to step ${standing.step}.`)] : []),
    ];
  }

  function titles(tiles) {
    return tiles.map((tile) => tile.title).join(", ");
  }
})();
