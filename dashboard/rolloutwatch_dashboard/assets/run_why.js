// The list of what is wrong with a run: each cause in a row, the worst first, and with it what can be done.
// Rows stay the same elements while a cause goes on, so that whoever is about to press a button finds it there.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const { say } = rolloutwatch.head;
  const { CLASSES, WORDS } = rolloutwatch.STATES;
  const MOST_SEEN = 4; // the first chart is seen without scrolling
  const MOST_DIAGNOSED = 2; // below what is probably the cause of all of them
  const element = (...parts) => rolloutwatch.element(...parts);
  const $ = (id) => document.getElementById(id);

  // What somebody has opened: it stays so when the page is made anew.
  let opened = { run: null, all: false, cures: new Map() };
  let most = MOST_SEEN;
  const rowsOf = new WeakMap(); // by list, its rows by key

  rolloutwatch.paintWhy = function (standing, broken) {
    const [list, section, more] = [$("reasons"), $("why"), $("reasons-more")];
    if (!list) return;
    if (opened.run !== standing.told.run) opened = { run: standing.told.run, all: false, cures: new Map() };
    if (!rowsOf.has(list)) {
      rowsOf.set(list, new Map());
      more.addEventListener("click", () => {
        opened.all = !opened.all;
        paintMore(list, more);
        if (opened.all && list.children[most]) list.children[most].focus();
      });
    }
    most = standing.diagnosis ? MOST_DIAGNOSED : MOST_SEEN;
    const causes = rolloutwatch.causesOf(standing, broken);
    place(list, causes.map((cause, at) => rowOf(rowsOf.get(list), cause, standing, at === 0 && !standing.diagnosis)));
    section.hidden = !causes.length && !standing.diagnosis;
    paintMore(list, more);
  };

  function paintMore(list, more) {
    const left = list.children.length - most;
    Array.from(list.children).forEach((row, at) => (row.hidden = at >= most && !opened.all));
    more.hidden = left <= 0;
    more.setAttribute("aria-expanded", String(opened.all));
    say(more, opened.all ? "Show fewer" : `${left} more`);
  }

  // Rows in this order; what is moved keeps the focus.
  function place(list, rows) {
    const focused = document.activeElement;
    const wanted = new Set(rows);
    for (const row of Array.from(list.children)) if (!wanted.has(row)) row.remove();
    rows.forEach((row, at) => list.children[at] !== row && list.insertBefore(row, list.children[at] || null));
    for (const [key, row] of rowsOf.get(list)) if (!wanted.has(row)) rowsOf.get(list).delete(key);
    if (focused && focused !== document.activeElement && list.contains(focused)) focused.focus({ preventScroll: true });
  }

  function rowOf(rows, cause, standing, isWorst) {
    if (!rows.has(cause.key)) rows.set(cause.key, element("li", { tabindex: "-1" }));
    const row = rows.get(cause.key);
    const isPast = standing.state === "replay";
    const { what, beyond, since, ...lasting } = cause;
    const told = JSON.stringify([lasting, !what, !beyond, since && since.step, isPast]);
    if (row.dataset.told !== told) remake(row, cause, standing, isPast);
    row.dataset.told = told;
    say(row.querySelector(".figure"), what);
    say(row.querySelector(".beyond"), beyond);
    if (since && since.time) say(row.querySelector(".ago"), `, ${rolloutwatch.age(standing.now() - since.time)}`);
    openCure(row, opened.cures.has(cause.key) ? opened.cures.get(cause.key) : isWorst);
    return row;
  }

  function openCure(row, isOpen) {
    const button = row.querySelector(".cure-of");
    if (!button) return;
    button.setAttribute("aria-expanded", String(isOpen));
    row.querySelector(".cure").hidden = !isOpen;
  }

  // What was in the focus is found by what it is called.
  function remake(row, cause, standing, isPast) {
    const focused = row.contains(document.activeElement) ? document.activeElement.textContent : null;
    row.className = `${cause.state}${cause.isQuiet ? " seen" : ""}`;
    row.replaceChildren(whatOf(cause), moreOf(cause, standing, isPast), ...cureOf(cause), ...seenOf(cause, isPast));
    if (focused === null) return;
    const again = Array.from(row.querySelectorAll("a, button")).find((one) => one.textContent === focused);
    (again || row).focus({ preventScroll: true });
  }

  function whatOf({ state, what, beyond, summary, alerts }) {
    const said = [
      CLASSES.includes(state) ? element("strong", { class: `health ${state}` }, WORDS[CLASSES.indexOf(state)]) : null,
      what ? element("strong", { class: "figure" }) : null,
      beyond ? element("span", { class: "beyond" }) : null,
      summary ? element("span", { class: "summary" }, summary) : null,
      ...notesOf(alerts).map(([word, why]) => element("span", { class: "note", title: why }, word)),
    ];
    return element("div", { class: "what" }, ...said.filter(Boolean).flatMap((one) => [one, " "]));
  }

  const notesOf = (alerts) => Array.from(new Map(alerts.flatMap(({ notes }) => notes)));

  function moreOf(cause, standing, isPast) {
    const { since, guide } = cause;
    const parts = [
      since ? sinceOf(since, standing.told.run) : null,
      guide ? element("a", { href: guide, class: "guide", rel: "noreferrer" }, "Guide") : null,
      hasCure(cause) ? cureButton(cause) : null,
      isPast ? null : acknowledgeButton(cause),
    ].filter(Boolean);
    return parts.length ? element("div", { class: "more" }, ...parts) : "";
  }

  function sinceOf({ step, time, atLeast }, run) {
    const way = rolloutwatch.link(`/runs/${encodeURIComponent(run)}/steps/${step}`, { title: `All of step ${step}` }, `step ${step}`);
    const told = { class: "since", "data-time": time || null };
    return element("span", told, "since ", way, atLeast ? " or earlier" : "", time ? element("span", { class: "ago" }) : "");
  }

  const hasCure = ({ cure, alerts }) => Boolean(cure || alerts.length);

  function cureButton({ key }) {
    const button = rolloutwatch.button("What to do", { class: "cure-of", "aria-expanded": "false" }, () => {
      const isOpen = button.getAttribute("aria-expanded") !== "true";
      opened.cures.set(key, isOpen);
      openCure(button.closest("li"), isOpen);
    });
    return button;
  }

  // One button for all alerts of a cause that nobody has seen yet.
  function acknowledgeButton({ alerts }) {
    const calling = alerts.filter((one) => !one.acknowledged);
    if (!calling.length) return null;
    const told = {
      "data-act": "acknowledge",
      "data-needs": "operator",
      "data-alert": calling.map(({ id }) => id).join(" "),
      "data-run": calling[0].run,
      "data-rule": calling.map(({ rule }) => rule).join(", "),
    };
    return element("button", { type: "button", class: "act", ...told }, "Acknowledge");
  }

  function cureOf(cause) {
    if (!hasCure(cause)) return [];
    const rules = cause.alerts.map(({ rule, severity, step }) => `${rule} (${WORDS[severity]}, since step ${step})`);
    return [
      element(
        "div",
        { class: "cure", hidden: true },
        cause.cure ? element("span", {}, cause.cure) : null,
        rules.length ? element("span", { class: "rules" }, ` ${rules.length === 1 ? "Rule" : "Rules"} ${rules.join(", ")}.`) : null,
      ),
    ];
  }

  function seenOf({ alerts }, isPast) {
    const which = (rule) => (alerts.length > 1 ? `${rule}: ` : "");
    const said = alerts.flatMap((one) => [
      one.acknowledged ? element("p", {}, `${which(one.rule)}${one.acknowledged} `, one.note ? element("q", {}, one.note) : "", isPast ? "" : takeBack(one)) : null,
      one.silenced ? element("p", {}, `${which(one.rule)}${one.silenced}`) : null,
    ]);
    return said.some(Boolean) ? [element("div", { class: "seen-by" }, ...said)] : [];
  }

  function takeBack({ id, run, rule }) {
    const told = { "data-act": "take-back", "data-needs": "operator", "data-alert": id, "data-run": run, "data-rule": rule };
    return element("button", { type: "button", class: "act", ...told }, "Take back");
  }
})();
