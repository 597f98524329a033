// Whoever works in another window is told that an alert begins to fire: by a notification, by a sound. Of all tabs one tells.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const KEY = "rolloutwatch-tell";
  const OFF = { notify: false, sound: false, from: "warning" };
  const BADNESS = { warning: 1, critical: 2 };
  const SYMBOLS = { warning: "▲", critical: "◆" };
  const MS_TO_GATHER = 400; // alerts that come at once are told at once
  const MOST_NAMED = 4;
  const TONES = { warning: [660, 550], critical: [880, 660, 880] }; // in hertz, one after the other
  const [SECONDS_OF_A_TONE, LOUDNESS] = [0.18, 0.15];

  let choice = stored();
  let known = null; // the ids of alerts that fire, and are old news
  let gathered = [];
  let timer = null;
  let isTeller = false; // the tab that tells
  let audio = null;
  const others = new BroadcastChannel(KEY);

  function stored() {
    try {
      return { ...OFF, ...JSON.parse(localStorage.getItem(KEY)) };
    } catch {
      return { ...OFF }; // storage may be forbidden, and what stands there may be another's
    }
  }

  function choose(next) {
    choice = next;
    try {
      localStorage.setItem(KEY, JSON.stringify(next));
    } catch {
      return; // it is so until the page is left
    }
  }

  addEventListener("storage", ({ key }) => key === KEY && (choice = stored()));

  // The tab that holds the lock tells, until it is closed; browsers have locks for pages of https and of this host only.
  if (navigator.locks) navigator.locks.request(KEY, () => new Promise(() => (isTeller = true)));
  else isTeller = true;

  // What has begun to fire since the page was opened; the newest stand first, so that what comes after a known one is not new.
  rolloutwatch.firing.subscribe(({ newest }) => {
    const old = known ? newest.findIndex(({ id }) => known.has(id)) : 0;
    const fresh = old < 0 ? newest : newest.slice(0, old);
    known = known || new Set();
    for (const { id } of newest) known.add(id);
    const calling = fresh.filter(({ calls }) => calls);
    if (!calling.length) return;
    others.postMessage({ fresh: calling });
    gather(calling);
  });

  // Others may have heard of it first, or told it.
  others.addEventListener("message", ({ data }) => {
    if (data.told) gathered = gathered.filter(({ id }) => !data.told.includes(id));
    else if (known) gather(data.fresh.filter(({ id }) => !known.has(id)));
    for (const { id } of data.fresh || []) if (known) known.add(id);
  });

  function gather(alerts) {
    if (!isTeller) return;
    gathered.push(...alerts);
    // without locks each tab may tell, and the first one keeps the others from it
    const patience = MS_TO_GATHER * (navigator.locks ? 1 : 1 + Math.random());
    if (gathered.length && !timer) timer = setTimeout(tell, patience);
  }

  function tell() {
    timer = null;
    const alerts = gathered.filter(({ severity }) => BADNESS[severity] >= BADNESS[choice.from]);
    gathered = [];
    if (!alerts.length) return;
    others.postMessage({ told: alerts.map(({ id }) => id) });
    alerts.sort((one, other) => BADNESS[other.severity] - BADNESS[one.severity]);
    if (choice.notify) show(alerts);
    if (choice.sound) sound(alerts[0].severity);
  }

  const where = ({ run, step }) => `${run.replace("~", " / ")} at step ${step}`;

  // {title, body, href} of what is told of alerts, the worst first.
  rolloutwatch.toldOf = function (alerts) {
    const [worst] = alerts;
    const isOneRun = alerts.every(({ run }) => run === worst.run);
    const href = isOneRun ? `/runs/${encodeURIComponent(worst.run)}?step=${worst.step}` : "/alerts";
    const symbol = SYMBOLS[worst.severity];
    if (alerts.length === 1) return { title: `${symbol} ${worst.severity}: ${worst.rule}`, body: `${where(worst)}. ${worst.summary}`.trim(), href };
    const left = alerts.length - MOST_NAMED;
    const lines = alerts.slice(0, MOST_NAMED).map((one) => `${SYMBOLS[one.severity]} ${one.rule}, ${where(one)}`);
    return {
      title: `${symbol} ${alerts.length} alerts begin to fire, the worst ${worst.severity}`,
      body: [...lines, ...(left > 0 ? [`and ${left} more`] : [])].join("\n"),
      href,
    };
  };

  function show(alerts) {
    if (!canNotify() || Notification.permission !== "granted") return;
    const { title, body, href } = rolloutwatch.toldOf(alerts);
    const shown = new Notification(title, { body, tag: alerts[0].id });
    shown.addEventListener("click", () => {
      focus();
      rolloutwatch.goTo(href);
      shown.close();
    });
  }

  const canNotify = () => isSecureContext && "Notification" in window;

  function sound(severity) {
    audio = audio || new AudioContext();
    if (audio.state === "suspended") audio.resume();
    TONES[severity].forEach((hertz, at) => {
      const [tone, loudness] = [audio.createOscillator(), audio.createGain()];
      const [begin, end] = [audio.currentTime + at * SECONDS_OF_A_TONE, audio.currentTime + (at + 1) * SECONDS_OF_A_TONE];
      tone.frequency.value = hertz;
      loudness.gain.setValueAtTime(LOUDNESS, begin);
      loudness.gain.exponentialRampToValueAtTime(0.001, end); // else it ends with a click
      tone.connect(loudness).connect(audio.destination);
      tone.start(begin);
      tone.stop(end);
    });
  }

  // Browsers let a page be heard once somebody has done something on it.
  for (const name of ["pointerdown", "keydown"]) {
    addEventListener(name, () => choice.sound && (audio = audio || new AudioContext()).resume(), { passive: true });
  }

  const element = (...told) => rolloutwatch.element(...told);

  function box(name, text) {
    const made = element("input", { type: "checkbox", id: `tell-${name}`, checked: choice[name] });
    return [made, element("label", { class: "choice-line" }, made, text)];
  }

  // Why notifications cannot be had, in words; nothing if they can.
  async function refusal() {
    if (!canNotify()) return "This browser shows notifications only of pages by https or on this host (localhost).";
    const answer = Notification.permission === "default" ? await Notification.requestPermission() : Notification.permission;
    if (answer === "granted") return "";
    return "This browser refuses notifications of this page: allow them in its settings for this site, and switch them on again.";
  }

  function ask() {
    const [notify, notifyLine] = box("notify", "Show a notification");
    const [loud, soundLine] = box("sound", "Make a sound");
    const from = element("select", { id: "tell-from" }, element("option", { value: "warning" }, "warnings and critical ones"), element("option", { value: "critical" }, "critical ones only"));
    from.value = choice.from;
    const wrong = element("p", { class: "wrong", role: "alert", hidden: true });
    const say = (text) => {
      wrong.textContent = text;
      wrong.hidden = !text;
    };
    notify.addEventListener("change", async () => {
      const why = notify.checked ? await refusal() : "";
      if (why) notify.checked = false;
      say(why);
      choose({ ...choice, notify: notify.checked });
    });
    loud.addEventListener("change", () => {
      choose({ ...choice, sound: loud.checked });
      if (loud.checked) sound("warning");
    });
    from.addEventListener("change", () => choose({ ...choice, from: from.value }));
    rolloutwatch.show(
      "Tell me when an alert begins to fire",
      "tell",
      element("p", {}, "By this browser, as long as any page of Rolloutwatch is open in it, also behind others. Several at once are told as one, and by one tab."),
      notifyLine,
      soundLine,
      element("label", { for: "tell-from" }, "Of which alerts"),
      from,
      wrong,
    );
  }

  document.addEventListener("click", ({ target }) => {
    if (target.closest && target.closest("#tell")) ask();
  });
})();
