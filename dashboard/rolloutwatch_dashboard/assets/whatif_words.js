// What is said of an answer about another correction: the table of was and would have been, and what is not known, and why.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});
  const whatif = (rolloutwatch.whatif = rolloutwatch.whatif || {});
  const { element } = rolloutwatch;

  const COLUMNS = ["Figure", "Was", "Would have been"]; // mean and worst step of each
  const steps = (count) => `${count} ${count === 1 ? "step" : "steps"}`;
  const range = (first, last) => (first === last ? `step ${first}` : `steps ${first} to ${last}`);

  whatif.table = function (told, found) {
    const heads = COLUMNS.map((name) => element("th", { scope: "col" }, name));
    const rows = told.panels.map((panel) => row(told, found, panel)).filter(Boolean);
    return element("table", { class: "rows whatif-table" }, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows));
  };

  function row(told, found, panel) {
    const { metric } = panel;
    const [was, would] = [found.recorded[metric], found.summary[metric]];
    const never = told.brought.includes(metric) || metric.endsWith("kept_fraction") ? "not recorded" : "off";
    const cells = [side(told, was, panel.ideal, never), side(told, would, panel.ideal, would ? "unknown" : "off")];
    return element(
      "tr",
      {},
      element("td", { title: panel.meaning }, panel.title),
      ...cells.map((content, at) => element("td", { class: "figure", "data-label": COLUMNS[at + 1] }, ...content)),
    );
  }

  // Mean and worst step of one side, or why there are none.
  function side(told, summary, ideal, otherwise) {
    const worst = whatif.worst(summary, ideal);
    if (!worst) return [element("span", { class: "quiet" }, otherwise)];
    const mean = element("strong", { title: `mean of ${steps(summary.steps)}` }, whatif.between(summary.mean_low, summary.mean_high));
    if (worst.step === null) return [mean, element("span", { class: "quiet" }, " at every step")];
    const link = element("a", { href: `/runs/${encodeURIComponent(told.run)}/steps/${worst.step}` }, `step ${worst.step}`);
    return [mean, element("span", { class: "quiet" }, ` mean, worst ${whatif.between(worst.low, worst.high)} at `, link)];
  }

  whatif.notes = function (told, found) {
    return [told.problem, whyNothing(told, found), whyBetween(found), ...omitted(found), letGo(told, found)].filter(Boolean);
  };

  function whyNothing(told, found) {
    if (found.steps) return "";
    return (
      "No step of this run has a table of its sequences or a histogram of its tokens. rolloutwatch.Monitor sends them with every step; " +
      "runs that were imported from other trackers have none."
    );
  }

  // Why some figures lie between two bounds.
  function whyBetween(found) {
    const inexact = Object.values(found.summary).filter((one) => one.exact_steps < one.steps);
    if (!inexact.length) return "";
    const most = Math.max(...inexact.map((one) => one.steps - one.exact_steps));
    const ofTokens = found.config.rollout_is === "token" || /(^|,)token/.test(found.config.rollout_rs || "");
    const why = ofTokens
      ? "of single tokens only a histogram is kept, whose bins are a fifth of a log ratio wide"
      : "a sequence has no row in the recorded table, has a token whose log-probs are not finite, or is so near to a bound that the record cannot tell";
    return `At up to ${steps(most)} a figure lies between two bounds, which is the shaded area: ${why}.`;
  }

  // What cannot be told at all, each reason once.
  function omitted(found) {
    const byReason = new Map();
    for (const one of found.omitted) {
      const known = byReason.get(one.reason);
      if (!known || one.steps > known.steps) byReason.set(one.reason, one);
    }
    return Array.from(byReason.values(), (one) => `Not told at ${steps(one.steps)} (${range(one.first_step, one.last_step)}): ${one.reason}.`);
  }

  function letGo(told, found) {
    if (told.tables_from === null) return "";
    return `Before step ${told.tables_from} the tables were let go of, so that nothing is told of these steps.`;
  }
})();
