// What one looks at on a page: steps in view, axis, smoothing. It stands in the address, so that a link shows the same.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const AXES = ["step", "time", "relative"];
  const MOST_SMOOTH = 0.99;
  const MOST_NAMES = 100;
  const LONGEST_QUERY = 8000; // so long are the names of twelve runs and twelve figures
  const MS_BETWEEN_WRITES = 300; // browsers allow about a hundred changes of the address in ten seconds
  const KEYS = ["from", "to", "x", "smooth", "log", "at"];

  const stepOf = (text) => {
    const step = /^[0-9]{1,16}$/.test(text || "") ? Number(text) : null;
    return step !== null && step <= Number.MAX_SAFE_INTEGER ? step : null;
  };
  const smoothOf = (text) => (/^([01]|0?\.[0-9]{1,4})$/.test(text || "") ? Math.min(Number(text), MOST_SMOOTH) : 0);
  const namesOf = (text) => {
    const names = (text || "").split(",").filter((name) => /^-?[A-Za-z0-9_./@-]{1,128}$/.test(name));
    return Array.from(new Set(names)).slice(0, MOST_NAMES);
  };

  // view.view_of: what an address says, which may be any nonsense
  rolloutwatch.viewOf = function (query) {
    const asked = new URLSearchParams(query.slice(0, LONGEST_QUERY));
    let [from, to] = [stepOf(asked.get("from")), stepOf(asked.get("to"))];
    if (from !== null && to !== null && from > to) [from, to] = [null, null];
    return {
      from,
      to,
      x: AXES.includes(asked.get("x")) ? asked.get("x") : "step",
      smooth: smoothOf(asked.get("smooth")),
      log: namesOf(asked.get("log")),
      at: stepOf(asked.get("at")),
    };
  };

  // The query of an address with a view in the place of the one it had, or with some of it; what is as usual is not named.
  rolloutwatch.queryOf = function (view, query, keys = KEYS) {
    const asked = new URLSearchParams(query);
    const usual = rolloutwatch.viewOf("");
    for (const key of keys) {
      if (String(view[key]) === String(usual[key])) asked.delete(key);
      else asked.set(key, String(view[key]));
    }
    const text = rolloutwatch.queryText(asked);
    return text && `?${text}`;
  };

  // A query as people read it.
  rolloutwatch.queryText = (asked) => asked.toString().replace(/%(7E|2F|3A|40|2C)/g, decodeURIComponent);

  class View {
    constructor() {
      this.listeners = new Set();
      this.touched = new Set(); // what of it was changed: a page may have other words for the rest in its address
      this.read();
      // back and forward, and links of dash, which it tells of by an event of its own
      for (const event of ["popstate", "_dashprivate_pushstate"]) addEventListener(event, () => this.moved());
      addEventListener("pagehide", () => this.timer && this.write()); // an address that nobody has changed is left alone
    }

    // {from, to, x, smooth, log, at}: `from` and `to` are null where all is in view, `at` where nothing is replayed
    get() {
      return this.now;
    }

    // Change some of it, for all who listen; the address follows.
    set(change) {
      this.become({ ...this.now, ...change });
      for (const key of Object.keys(change)) this.touched.add(key);
      if (!this.timer) this.timer = setTimeout(() => this.write(), MS_BETWEEN_WRITES);
    }

    // listener(view, before) is called after each change; returned is what ends that
    subscribe(listener) {
      this.listeners.add(listener);
      return () => this.listeners.delete(listener);
    }

    // The address of what one sees.
    link() {
      this.write();
      return location.href;
    }

    become(next) {
      const before = this.now;
      if (KEYS.every((key) => String(next[key]) === String(before[key]))) return;
      this.now = Object.freeze(next);
      for (const listener of Array.from(this.listeners)) listener(this.now, before);
    }

    read() {
      this.path = location.pathname;
      this.now = Object.freeze(rolloutwatch.viewOf(location.search));
    }

    write() {
      clearTimeout(this.timer);
      this.timer = null;
      const keys = KEYS.filter((key) => this.touched.delete(key));
      if (location.pathname !== this.path) return; // one has gone elsewhere meanwhile
      const query = rolloutwatch.queryOf(this.now, location.search, keys);
      // dash does not notice, and would make the page anew if it did
      if (query !== location.search) history.replaceState(history.state, "", location.pathname + query + location.hash);
    }

    moved() {
      clearTimeout(this.timer);
      this.timer = null;
      this.touched.clear();
      if (location.pathname !== this.path) this.read(); // those who listen belong to a page that is being left
      else this.become(rolloutwatch.viewOf(location.search));
    }
  }

  rolloutwatch.view = new View();
})();
