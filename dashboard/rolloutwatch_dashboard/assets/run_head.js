// The head of a run: its health in a word and in a sentence, its state, step, speed and age.
// For those who look elsewhere the title and the icon of the page say the same, and a notice stands above it.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const MOST_RIVALS = 4; // that are named beside the one that is shown
  const MS_OF_GOOD_NEWS = 5000;
  const { TITLE, say, notice, paintIcon } = rolloutwatch.head;

  const $ = (id) => document.getElementById(id);

  // What is said of a run as it stands, or stood.
  rolloutwatch.paintHead = function (standing) {
    const broken = standing.broken();
    let [word, state] = standing.health(broken);
    const element = $("health");
    if (!element) return;
    if (standing.isOver()) [word, state] = [state === "unknown" ? word : `was ${word}`, "unknown"];
    say(element, word);
    element.className = `health ${state}`;
    say($("headline"), standing.headline(broken));
    const shown = standing.connected ? standing.state : "disconnected";
    say($("state"), shown);
    $("state").className = `state state-${shown}`;
    $("contested").hidden = !standing.rivals.length;
    say($("step"), standing.step === null ? "" : `step ${standing.step}`);
    say($("speed"), standing.speed());
    say($("age"), standing.age());
    $("age").title = `began ${rolloutwatch.moment(standing.told.started_at)}, last heard of ${rolloutwatch.moment(standing.heard / 1000)}`;
    rolloutwatch.paintWhy(standing, broken);
    document.body.classList.toggle("out-of-date", standing.isOver());
  };

  // What is said to those who look elsewhere: how the run stands now.
  rolloutwatch.paintTab = function (standing) {
    const [word, state] = standing.health(standing.broken());
    notice(noticeOf(standing));
    const shown = standing.connected ? standing.state : "disconnected";
    const first = standing.isOver() ? shown : state === "unknown" ? "" : word;
    document.title = [first, standing.told.name, TITLE].filter(Boolean).join(" · ");
    paintIcon(standing.isOver() ? "unknown" : state);
  };

  function noticeOf(standing) {
    const ago = rolloutwatch.age((Date.now() - standing.heard) / 1000);
    if (!standing.connected) return "The server does not answer; trying again. What you see is the past.";
    if (Date.now() - standing.cameBack < MS_OF_GOOD_NEWS) return "The server answers again; what was missed has been fetched.";
    if (standing.rivals.length) return contest(standing.rivals);
    if (standing.state === "stalled") {
      const since = standing.step === null ? "The run began and no step has come" : `No record since step ${standing.step}`;
      return `${since}, ${ago}: the trainer hangs, was killed, or does not reach Redis.`;
    }
    if (standing.state === "crashed") return `The trainer ended with an error after step ${standing.step}, ${ago}.`;
    return "";
  }

  function who(rival) {
    if (!rival.host) return `session ${rival.session}`;
    return `host ${rival.host}${rival.pid ? `, process ${rival.pid}` : ""}`;
  }

  function contest(rivals) {
    const others = rivals.slice(0, -1).slice(-MOST_RIVALS).map(who);
    const left = rivals.length - 1 - others.length;
    const all = [...others, ...(left ? [`${left} more`] : [])].join("; ");
    const [count, rest] = rivals.length === 2 ? ["Two", "the other brings"] : [rivals.length, "the others bring"];
    return (
      `${count} trainers write to this run: ${all}, and ${who(rivals[rivals.length - 1])}. ` +
      `Shown is the one named last, because it began last; what ${rest} is kept and not shown. ` +
      "Stop one of them, or give it a run name of its own."
    );
  }
})();
