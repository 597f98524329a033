// The groups of charts of a run: folded or not, and drawn when somebody is about to look at them.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const KEY = "rolloutwatch-folded";
  const AHEAD = "600px 0px"; // what is so near to the screen is drawn already
  const MS_TO_REST = 150; // what comes near and is gone again within it was only scrolled past
  const MS_TO_WAIT = 10000; // for charts that were asked for
  const { CLASSES } = rolloutwatch.STATES;

  const $ = (id) => document.getElementById(id);

  // Which groups somebody has folded, on any run.
  function folded() {
    try {
      const found = JSON.parse(localStorage.getItem(KEY));
      return new Set(Array.isArray(found) ? found : []);
    } catch {
      return new Set(); // storage may be forbidden, and anything may stand in it
    }
  }

  function remember(names) {
    try {
      localStorage.setItem(KEY, JSON.stringify(Array.from(names)));
    } catch {
      return; // the page is right until it is left
    }
  }

  // Groups of a page: `told` is what pages/run_followed.py tells, `charts` are its live charts, in the same order.
  class Groups {
    // asked(charts): these are about to be drawn, and have to follow the run from now on
    constructor(told, charts, asked) {
      this.told = told;
      this.asked = asked;
      this.parts = new Map();
      this.near = new Map(); // parts that are about to be seen and not asked for yet, by name
      told.charts.forEach(({ part, drawn }, at) => {
        if (!this.parts.has(part)) this.parts.set(part, { charts: [], drawn, since: 0 });
        this.parts.get(part).charts.push(charts[at]);
      });
      this.observer = new IntersectionObserver((entries) => this.seen(entries), { rootMargin: AHEAD });
      this.onClick = (event) => this.clicked(event);
      this.onToggle = (event) => this.toggled(event);
      document.addEventListener("click", this.onClick);
      document.addEventListener("toggle", this.onToggle, true); // it does not bubble
    }

    close() {
      this.observer.disconnect();
      clearTimeout(this.resting);
      document.removeEventListener("click", this.onClick);
      document.removeEventListener("toggle", this.onToggle, true);
    }

    // Take over the page once it is there, and ask again for what did not come.
    look(isConnected) {
      if (!this.root) this.adopt(document.querySelector("[data-page]"));
      for (const [name, part] of this.parts) {
        if (document.hidden && part.since) part.since = Date.now(); // while nobody looks, charts are not taken over
        const isLate = part.since && Date.now() - part.since > MS_TO_WAIT;
        if (isLate && isConnected && !this.isDrawn(part)) this.ask(name);
      }
    }

    // Whether it came with the page, or has come since.
    isDrawn(part) {
      part.drawn ||= Boolean(part.since) && part.charts.some((chart) => chart.columns);
      return part.drawn;
    }

    adopt(root) {
      if (!root || root.dataset.page !== this.told.page) return;
      this.root = root;
      const closed = folded();
      for (const group of root.querySelectorAll("details.group")) group.open = !closed.has(group.id);
      for (const part of root.querySelectorAll("[data-part]")) this.observer.observe(part);
      const wanted = location.hash.slice(1);
      if (wanted && this.isOurs(wanted)) this.go(wanted);
    }

    // What is about to be seen is drawn once one stays there; where a group is folded, nothing of it is.
    seen(entries) {
      for (const { isIntersecting, target } of entries) {
        if (isIntersecting) this.near.set(target.dataset.part, target);
        else this.near.delete(target.dataset.part);
      }
      clearTimeout(this.resting);
      this.resting = setTimeout(() => this.askForNear(), MS_TO_REST);
    }

    askForNear() {
      for (const [name, target] of this.near) {
        this.observer.unobserve(target);
        const part = this.parts.get(name);
        if (part && !this.isDrawn(part)) this.ask(name);
      }
      this.near.clear();
    }

    ask(name) {
      const part = this.parts.get(name);
      const isFirst = !part.since;
      part.since = Date.now();
      if (isFirst) this.asked(part.charts);
      const data = { page: this.told.page, query: location.search, charts: part.charts.map((chart) => chart.told.id), at: part.since };
      window.dash_clientside.set_props({ type: "wanted", part: name }, { data });
    }

    // Charts that follow the run: of the others nothing is kept.
    following() {
      const found = [];
      for (const part of this.parts.values()) {
        if (part.since || this.isDrawn(part)) found.push(...part.charts);
      }
      return found;
    }

    isOurs(id) {
      const { charts, heatmap } = this.told;
      return [...charts, ...(heatmap ? [heatmap] : [])].some((chart) => chart.id === id || chart.group === id);
    }

    // A link to a chart or a group opens what it leads to, and stands in the address without being a page of its own.
    clicked(event) {
      const link = event.target.closest && event.target.closest('a[href^="#"]');
      const id = link ? link.getAttribute("href").slice(1) : "";
      if (!id || event.ctrlKey || event.metaKey || event.shiftKey || !this.isOurs(id)) return;
      event.preventDefault();
      history.replaceState(history.state, "", `#${id}`);
      this.go(id);
    }

    go(id) {
      const element = $(id);
      if (!element) return;
      const group = element.closest("details.group");
      if (group) group.open = true;
      const place = element.closest(".card") || element;
      place.scrollIntoView({ block: "start" });
      const focused = place.matches("details") ? place.querySelector("summary") : place;
      if (!focused.matches("summary")) focused.tabIndex = -1;
      focused.focus({ preventScroll: true });
    }

    toggled(event) {
      if (!event.target.matches || !event.target.matches("details.group")) return;
      const closed = folded();
      if (event.target.open) closed.delete(event.target.id);
      else closed.add(event.target.id);
      remember(closed);
    }

    // Where something is wrong is seen in the way there, also while its group is folded.
    paint(broken) {
      if (!this.root) return;
      const worst = new Map();
      for (const { rule } of broken) {
        const { group } = this.told.charts.find(({ metrics }) => metrics.includes(rule.metric)) || {};
        if (group) worst.set(group, Math.max(worst.get(group) || 0, rule.severity));
      }
      for (const link of this.root.querySelectorAll(".jumps a")) {
        const severity = worst.get(link.getAttribute("href").slice(1)) || 0;
        const state = severity ? CLASSES[severity] : "";
        if (link.className !== state) link.className = state;
      }
    }
  }

  rolloutwatch.Groups = Groups;
})();
