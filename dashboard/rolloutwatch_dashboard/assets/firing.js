// What the server last said of alerts that fire, whatever page one is on: it stands beside the count above every page.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  class Firing {
    constructor() {
      // {at, worst, count, runs, newest}, as banner.told makes it: `worst` is the severity of the worst that nobody has seen, null
      // if there is none, and `count` how many are as bad; `runs` has the worst of each run; null before the server has said anything
      this.now = null;
      this.askedAt = null;
      this.listeners = new Set();
    }

    // listener(now) is called with all that is said; returned is what ends that
    subscribe(listener) {
      this.listeners.add(listener);
      return () => this.listeners.delete(listener);
    }

    // From now on the place is there where it is written.
    begin() {
      const badge = document.getElementById("alerts-badge");
      if (this.observer || !badge) return;
      this.observer = new MutationObserver(() => this.read(badge));
      this.observer.observe(badge, { attributeFilter: ["data-told"] });
      this.read(badge);
    }

    // The server is asked.
    ask() {
      this.askedAt = this.askedAt || Date.now();
    }

    // For how many milliseconds it has not answered.
    waited() {
      return this.askedAt ? Date.now() - this.askedAt : 0;
    }

    read({ dataset }) {
      if (!dataset.told) return;
      this.askedAt = null;
      this.now = JSON.parse(dataset.told);
      for (const listener of Array.from(this.listeners)) listener(this.now);
    }
  }

  rolloutwatch.firing = new Firing();
})();
