// Keys: whoever has some says so in a table, by which they are heeded, and by which the help lists them.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const MS_FOR_THE_NEXT_KEY = 2000; // of two that follow each other
  const NAMES = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc" };
  const FIELDS = "textarea, select, [contenteditable], input:not([type=checkbox], [type=radio], [type=range], [type=button])";
  const WAYS = { r: ["/", "runs"], a: ["/alerts", "alerts"], c: ["/compare", "compare"], u: ["/rules", "rules"] };

  const sets = []; // the one that came last is asked first
  let begun = ""; // the first of two keys
  let forgetting = null;

  // set: {of, heeds(event), keys: [{on, does, act(event)}]}: of what they are keys, whether they are for this set where the
  // focus is, and the keys: `on` names them as browsers do, those with a shift as "Shift+ArrowLeft", those that follow each
  // other as "g r"; `act` returns false where there is nothing to do, so that the key is somebody else's.
  // Returned is what ends it.
  rolloutwatch.addKeys = function (set) {
    sets.unshift(set);
    return () => sets.includes(set) && sets.splice(sets.indexOf(set), 1);
  };

  const isWriting = (element) => Boolean(element.closest && element.closest(FIELDS));

  function named(event) {
    return event.shiftKey && event.key.length > 1 ? `Shift+${event.key}` : event.key;
  }

  function begin(keys) {
    clearTimeout(forgetting);
    begun = keys;
    if (keys) forgetting = setTimeout(() => (begun = ""), MS_FOR_THE_NEXT_KEY);
  }

  // Whether somebody has done something with keys.
  function isHeeded(keys, event) {
    for (const set of sets) {
      if (!set.heeds(event)) continue;
      const key = set.keys.find(({ on }) => on.includes(keys));
      if (key && key.act(event) !== false) return true;
      if (!set.keys.some(({ on }) => on.some((one) => one.startsWith(`${keys} `)))) continue;
      begin(keys);
      return true;
    }
    return false;
  }

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.key === "Shift") return;
    if (document.querySelector("dialog[open]")) return;
    const former = begun;
    begin("");
    if ((former && isHeeded(`${former} ${named(event)}`, event)) || isHeeded(named(event), event)) event.preventDefault();
  });

  // Lead to another page, as a link does.
  rolloutwatch.goTo = function (href) {
    if (!document.getElementById("page")) return location.assign(href); // a guide, which is no page of dash's
    history.pushState({}, "", href);
    dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
    scrollTo(0, 0);
  };

  function search() {
    const field = document.querySelector("main input[type=search]");
    if (!field) return false;
    field.select();
    field.focus();
    return true;
  }

  rolloutwatch.addKeys({
    of: "On every page",
    heeds: ({ target }) => !isWriting(target),
    keys: [
      { on: ["?"], does: "this list", act: () => rolloutwatch.listKeys() },
      ...Object.entries(WAYS).map(([key, [href, name]]) => ({ on: [`g ${key}`], does: `go to ${name}`, act: () => rolloutwatch.goTo(href) })),
      { on: ["/"], does: "search, where there is something to search", act: search },
      { on: ["l"], does: "copy the link to what you see", act: () => rolloutwatch.copyLink() },
      { on: ["t"], does: "light or dark", act: () => document.getElementById("theme").click() },
      { on: ["Escape"], does: "close a dialog or a menu", act: () => false }, // which dialogs and menus do by themselves
    ],
  });

  const element = (...told) => rolloutwatch.element(...told);
  const nameOf = (key) => (key.length === 1 ? NAMES[key] || key : key.split("+").map((one) => NAMES[one] || one).join(" "));
  const between = (parts, word) => parts.flatMap((part, at) => (at ? [word, part] : [part]));

  // How to press what `on` names: keys side by side are one or the other.
  function pressed(on) {
    const keys = on.map((one) => (one === " " ? [one] : one.split(" ")).map((key) => element("kbd", {}, nameOf(key))));
    return keys.flatMap((one, at) => (at ? [" ", ...between(one, " then ")] : between(one, " then ")));
  }

  function section({ of, keys }) {
    const rows = keys.map(({ on, does }) => element("tr", {}, element("th", { scope: "row" }, ...pressed(on)), element("td", {}, does)));
    return [element("h3", {}, of), element("table", {}, element("tbody", {}, ...rows))];
  }

  document.addEventListener("click", ({ target }) => {
    if (target.closest && target.closest("#keys")) rolloutwatch.listKeys();
  });

  rolloutwatch.listKeys = function () {
    const none = sets.length > 1 ? [] : [element("p", {}, "This page has no keys of its own.")];
    rolloutwatch.show("Keys", "keys", ...none, ...sets.flatMap(section));
  };
})();
