// Why a run is not healthy: what is wrong, what that means, what helps.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const { CLASSES } = rolloutwatch.STATES;
  const steps = rolloutwatch.countedSteps;

  // A reason is a list: its state, what is wrong, what that means, what helps. `broken`: what `Standing.broken` found.
  rolloutwatch.reasonsOf = function (standing, broken) {
    const figures = broken.map((one) => reason(one, standing.recent[one.rule.metric]));
    return [...figures, ...losses(standing), ...missing(standing)];
  };

  function losses(standing) {
    const isBad = standing.judged().length === 0;
    const failed = standing.failed().map(([name]) => name);
    return Object.entries(standing.dropped)
      .filter(([, count]) => count)
      .map(([name, count]) => {
        const [what, meaning, cure] = Object.hasOwn(standing.told.losses, name) ? standing.told.losses[name] : [`lost: ${name}`, "", ""];
        const ofWhat = failed.includes(name) ? steps(count) : `${count} ${count === 1 ? "record" : "records"}`;
        return [isBad && failed.includes(name) ? "critical" : "unknown", `${ofWhat} ${what}.`, meaning, cure];
      });
  }

  function missing(standing) {
    const [tiles, never] = [standing.unknown(), standing.judged().length ? standing.unmeasured() : []];
    const absent = ["unknown", `${titles(never)}: not measured.`, `No value up to step ${standing.step}.`, ""];
    return [...gone(standing, tiles), ...(never.length ? [absent] : [])];
  }

  function gone(standing, tiles) {
    if (!tiles.length) return [];
    const last = Math.max(...tiles.map((tile) => (standing.recent[tile.metric].lastKnown() || { step: -1 }).step));
    return [["unknown", `${titles(tiles)}: unknown.`, last < 0 ? "No finite value came." : `No value since step ${last}.`, ""]];
  }

  function titles(tiles) {
    return tiles.map((tile) => tile.title).join(", ");
  }

  function reason({ rule, value, at, times, of }, column) {
    const limit = rule.above !== null && value > rule.above ? rule.above : rule.below;
    const side = limit === rule.above ? "above" : "below";
    const isGapless = column.step[column.step.length - 1] - column.step[column.step.length - of] === of - 1;
    const when = `in ${times} of the last ${of} ${isGapless ? "steps" : "values"}`;
    const last = at === column.value.length - 1 ? "" : ` at step ${column.step[at]}`;
    return [
      CLASSES[rule.severity],
      `${rule.title} ${rolloutwatch.number(value)}${last}`,
      `${side} ${rolloutwatch.number(limit)} ${when}. ${rule.summary}`,
      rule.cure,
    ];
  }

  rolloutwatch.paintReasons = function (list, texts) {
    const given = new Set();
    for (const text of texts) {
      // the same advice is given once
      const advice = text[3].split(/(?<=\.) /).filter((sentence) => !given.has(sentence));
      advice.forEach((sentence) => given.add(sentence));
      text[3] = advice.join(" ");
    }
    const key = JSON.stringify(texts);
    if (list.dataset.shown === key) return;
    list.dataset.shown = key;
    list.replaceChildren(
      ...texts.map(([state, ...parts]) => {
        const item = document.createElement("li");
        item.className = state;
        ["strong", "span", "em"].forEach((tag, index) => {
          const part = document.createElement(tag);
          part.textContent = parts[index];
          item.append(part, " ");
        });
        return item;
      }),
    );
  };
})();
