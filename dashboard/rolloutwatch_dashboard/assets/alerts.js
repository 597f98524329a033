// What people do about alerts, and pages of alerts that stay as things are. What one types is in a dialog, which no news touches.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const MS_BETWEEN_LOOKS = 3000;
  const MS_BEHIND_OTHERS = 15000; // where nobody sees the page, whose title and icon tell all the same
  const MS_OF_PATIENCE = 300;
  const MOST_LETTERS = 1000;
  const API = "/api/v1";
  const TIMES = [["30", "30 minutes"], ["60", "1 hour"], ["240", "4 hours"], ["1440", "1 day"], ["10080", "1 week"]];
  const UNTIL_IT_ENDS = "";

  const set = (id, props) => window.dash_clientside.set_props(id, props);
  const isThere = (id) => document.getElementById(id) !== null;

  const now = () => ({ data: Date.now() });

  // Look again at what stands above every page.
  function lookAbove() {
    if (!isThere("page") || !window.dash_clientside.set_props) return;
    rolloutwatch.firing.ask();
    set("watch", now());
  }

  // Look again at whatever is on the page.
  rolloutwatch.look = function () {
    lookAbove();
    if (isThere("alerts")) set("alerts-watch", now());
    if (isThere("run-alerts")) set("run-watch", now());
  };

  // Something has happened to an alert, and more may happen at once.
  let soon = null;
  rolloutwatch.lookSoon = function () {
    soon = soon || setTimeout(() => {
      soon = null;
      if (rolloutwatch.isConnected()) rolloutwatch.look(); // else it looks when the server is back
    }, MS_OF_PATIENCE);
  };

  function lookIfSeen() {
    if (!document.hidden && rolloutwatch.isConnected()) rolloutwatch.look();
  }

  function lookFromBehind() {
    if (document.hidden && rolloutwatch.isConnected() && !rolloutwatch.isFed()) lookAbove();
  }

  // Ages pass, and silences end; a page where that is not so is told of all else.
  setInterval(() => {
    if (!rolloutwatch.isTold()) lookIfSeen();
  }, MS_BETWEEN_LOOKS);
  setInterval(lookFromBehind, MS_BEHIND_OTHERS);
  document.addEventListener("visibilitychange", lookIfSeen);

  // Do something at once; what goes wrong is said.
  async function act(method, path, done) {
    const answer = await rolloutwatch.ask(method, path);
    rolloutwatch.say(answer.ok ? done : answer.text, answer.ok ? "" : "bad");
    rolloutwatch.look();
  }

  async function send(path, body) {
    const answer = await rolloutwatch.ask("POST", path, body);
    if (answer.ok) rolloutwatch.look();
    return answer.text;
  }

  // What came of the last test of each target, which stands beside its button until the page is left.
  const tested = (rolloutwatch.tested = new Map());

  async function test(target) {
    tellOfTest(target, "A test is on its way …", "");
    const answer = await rolloutwatch.ask("POST", `${API}/notifications/${encodeURIComponent(target)}/test`);
    const text = answer.ok ? `${target} has taken the test.` : answer.text;
    tellOfTest(target, text, answer.ok ? "ok" : "bad");
    rolloutwatch.say(text, answer.ok ? "" : "bad");
    rolloutwatch.look();
  }

  function tellOfTest(target, text, kind) {
    tested.set(target, { text, kind });
    rolloutwatch.writeTests();
  }

  rolloutwatch.writeTests = function () {
    for (const place of document.querySelectorAll(".tested[data-tested]")) {
      const { text, kind } = tested.get(place.dataset.tested) || { text: "", kind: "" };
      if (place.textContent !== text) place.textContent = text;
      place.className = `tested ${kind}`.trim();
    }
  };

  const minutes = (text) => (text === UNTIL_IT_ENDS ? null : Number(text));
  const alertPath = (id) => `${API}/alerts/${encodeURIComponent(id)}/acknowledge`;

  // A button may be about several alerts at once, whose ids stand side by side; the first that is refused ends it.
  async function acknowledge(ids, given) {
    for (const id of ids) {
      const wrong = await send(alertPath(id), given);
      if (wrong) return wrong;
    }
    return "";
  }

  const ACTS = {
    acknowledge: (told) =>
      rolloutwatch.open({
        title: `Acknowledge ${told.rule}`,
        text: `On ${told.run}. Nobody is reminded of it meanwhile; everybody sees that you look after it.`,
        fields: [
          { name: "minutes", label: "For", kind: "choice", value: UNTIL_IT_ENDS, choices: [[UNTIL_IT_ENDS, "until it ends"], ...TIMES] },
          { name: "note", label: "Note", kind: "area", most: MOST_LETTERS },
        ],
        yes: "Acknowledge",
        act: (given) => acknowledge(told.alert.split(" "), { minutes: minutes(given.minutes), note: given.note }),
      }),
    "take-back": (told) => act("DELETE", alertPath(told.alert), `${told.rule} is not acknowledged any more.`),
    silence: (told) =>
      rolloutwatch.open({
        title: "Silence alerts",
        text: "Nobody is told of them meanwhile; they are recorded all the same. * stands for anything.",
        fields: [
          { name: "run", label: "Run", kind: "text", value: told.run, most: 300 },
          { name: "rule", label: "Rule", kind: "text", value: told.rule, most: 300 },
          { name: "minutes", label: "For", kind: "choice", value: "240", choices: TIMES },
          { name: "reason", label: "Why", kind: "area", most: MOST_LETTERS },
        ],
        yes: "Silence",
        act: (given) => send(`${API}/silences`, { ...given, minutes: minutes(given.minutes) }),
      }),
    "end-silence": (told) => act("DELETE", `${API}/silences/${encodeURIComponent(told.silence)}`, "The silence has ended."),
    "test-target": (told) => test(told.target),
    "retry-message": (told) =>
      act("POST", `${API}/notifications/dead/${encodeURIComponent(told.message)}/retry`, `The message to ${told.target} is sent again.`),
  };

  rolloutwatch.acts = ACTS;

  // Go to another page of ours, of which dash is told as by a link.
  rolloutwatch.visit = function (href, isElsewhere = true) {
    history.pushState({}, "", href);
    dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
    if (isElsewhere) scrollTo(0, 0);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest && event.target.closest("button[data-act]");
    if (button && Object.hasOwn(ACTS, button.dataset.act)) ACTS[button.dataset.act](button.dataset);
  });

  // What one may not do is not offered; the server refuses it all the same.
  async function showWhatOneMayDo() {
    const answer = await rolloutwatch.ask("GET", `${API}/me`);
    if (answer.ok) document.documentElement.dataset.role = answer.body.role;
  }
  addEventListener("DOMContentLoaded", showWhatOneMayDo); // the script that asks is there then

  // A choice is an address, which can be kept and sent; dash is told of it as by a link.
  document.addEventListener("change", (event) => {
    const form = event.target.closest && event.target.closest("form.filters");
    if (!form) return;
    const chosen = Array.from(new FormData(form)).filter(([, value]) => value);
    for (const { dataset, value } of form.querySelectorAll("input[data-name]")) {
      if (value && !isNaN(new Date(value))) chosen.push([dataset.name, new Date(value).toISOString().replace(/:\d\d\.\d+Z$/, "Z")]);
    }
    const query = new URLSearchParams(chosen).toString();
    rolloutwatch.visit(query ? `/alerts?${query}` : "/alerts", false);
  });
})();
