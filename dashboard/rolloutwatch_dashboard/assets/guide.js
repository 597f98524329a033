// A guide, which the server sends whole: what is above other pages is so above it too.
(function () {
  "use strict";
  const rolloutwatch = window.rolloutwatch;

  const MS_BETWEEN_LOOKS = 10000;
  const MOST_COUNTED = 1000;
  const MOST_TOLD = 20;
  const BADNESS = { warning: 1, critical: 2 };

  // alert.calls: nobody has seen it, and nobody has said that nobody is to be told
  function calls(alert, now) {
    const isStill = (until) => until !== null && until > now;
    const isSeen = alert.acknowledged_by && (alert.acknowledged_until === null || isStill(alert.acknowledged_until));
    return !isSeen && !isStill(alert.silenced_until);
  }

  // banner.told, and what banner.count shows
  function told(alerts, now) {
    const calling = alerts.filter((one) => calls(one, now));
    const worst = calling.reduce((former, { severity }) => (BADNESS[severity] > (BADNESS[former] || 0) ? severity : former), null);
    const newest = alerts.slice(0, MOST_TOLD).map((one) => ({ ...one, step: one.firing_step, calls: calls(one, now) }));
    const count = calling.filter(({ severity }) => severity === worst).length;
    return { at: now, worst, count, runs: {}, newest, shown: calling.length || alerts.length };
  }

  async function look() {
    rolloutwatch.firing.ask();
    const answer = await rolloutwatch.ask("GET", `/api/v1/alerts?limit=${MOST_COUNTED}`);
    if (!answer.ok) return;
    const badge = document.getElementById("alerts-badge");
    const found = told(answer.body.alerts, Date.now() / 1000);
    const word = rolloutwatch.element("span", { class: `count ${found.worst || "unknown"}` }, String(found.shown));
    badge.replaceChildren(...(found.shown ? [word] : []));
    badge.dataset.told = JSON.stringify(found);
  }

  if (document.querySelector("article.guide")) {
    rolloutwatch.firing.begin();
    const page = new rolloutwatch.OtherPage({ title: document.title.split(" · ")[0] });
    addEventListener("pagehide", () => page.close());
    setInterval(look, MS_BETWEEN_LOOKS);
    look();
  }
})();
