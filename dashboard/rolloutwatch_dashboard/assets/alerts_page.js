// The page of alerts: the history of those that somebody is near of, asked for a few at a time, and their lives in words.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const MOST_AT_ONCE = 12;
  const NEAR = "400px"; // above and below what is seen, so that one who scrolls finds them drawn
  const MS_OF_PATIENCE = 10000; // an answer that has not come by then is asked for again

  const nameOf = ({ dataset, href, className }) => [Object.values(dataset).join(), href, className].join();
  let page = null;

  class AlertsPage extends rolloutwatch.OtherPage {
    constructor(told) {
      super(told);
      page = this;
      this.box = told.box;
      this.time = new rolloutwatch.clock.ServerClock();
      this.known = new Map(); // by alert: of which version, and what
      this.open = new Set(); // alerts whose lives are shown
      this.near = new Set(); // places that are on the screen, or nearly
      this.asked = null; // what is asked for, until it is there
      this.sight = new IntersectionObserver((entries) => this.see(entries), { rootMargin: NEAR });
      this.watched = new Set();
      this.changes = new MutationObserver(() => this.sync());
      this.changes.observe(document.getElementById("page"), {
        childList: true, subtree: true, attributes: true, attributeFilter: ["data-history", "data-version", "data-versions", "data-life", "data-moment"],
      });
      this.remember = ({ target }) => (this.focused = target.closest("#alerts") ? target : null);
      document.addEventListener("focusin", this.remember);
      this.sync();
    }

    close() {
      super.close();
      document.removeEventListener("focusin", this.remember);
      this.sight.disconnect();
      this.changes.disconnect();
      clearTimeout(this.patience);
      rolloutwatch.tested.clear();
      page = null;
    }

    // Once a second, in which ages go on.
    look() {
      super.look();
      const [told, shown] = [document.getElementById("alerts-told"), document.getElementById("alerts")];
      if (!told || !shown || document.hidden) return;
      if (told.dataset.now !== this.heard) this.time.hear(1000 * Number((this.heard = told.dataset.now)));
      rolloutwatch.clock.keepTrue(shown, this.time.now());
    }

    see(entries) {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) this.near.add(target);
        else this.near.delete(target);
      }
      this.ask();
    }

    // Dash keeps elements and gives them to other alerts: what stands in each has to be that of the one it is for now.
    sync() {
      for (const place of document.querySelectorAll(".history[data-history]")) {
        if (!this.watched.has(place)) {
          this.watched.add(place);
          this.sight.observe(place);
        }
        rolloutwatch.drawHistory(place, this.lifeOf(place.dataset.history), this.box);
      }
      for (const place of this.watched) if (!place.isConnected) this.forget(place);
      for (const place of document.querySelectorAll(".life[data-life]")) {
        rolloutwatch.writeLife(place, this.open.has(place.dataset.life) ? this.lifeOf(place.dataset.life) : null);
      }
      for (const button of document.querySelectorAll("[data-act='life']")) {
        const isOpen = String(this.open.has(button.dataset.of));
        if (button.getAttribute("aria-expanded") !== isOpen) button.setAttribute("aria-expanded", isOpen);
      }
      for (const place of document.querySelectorAll(".moment[data-name]")) rolloutwatch.chooseMoment(place);
      rolloutwatch.writeTests();
      this.focusAgain();
      this.ask();
    }

    // News makes elements anew: whoever was at one of them by key is at the same one again.
    focusAgain() {
      const former = this.focused;
      if (!former || former.isConnected || document.activeElement !== document.body) return;
      const same = Array.from(document.querySelectorAll(`#alerts ${former.localName}`)).find((one) => nameOf(one) === nameOf(former));
      this.focused = same || null;
      if (same) same.focus({ preventScroll: true });
    }

    forget(place) {
      this.sight.unobserve(place);
      this.watched.delete(place);
      this.near.delete(place);
    }

    lifeOf(alert) {
      const known = this.known.get(alert);
      return known ? known.told : null;
    }

    // Ask for what is near and not known as it is now; one question at a time.
    ask() {
      if (this.asked || document.hidden) return;
      const told = document.getElementById("alerts-told");
      const runs = told ? JSON.parse(told.dataset.versions) : {};
      const wanted = new Map();
      for (const { dataset } of this.near) {
        const version = `${runs[dataset.run] || ""} ${dataset.version}`; // of one that fires, its run's too
        const known = this.known.get(dataset.history);
        if (!known || known.version !== version) wanted.set(dataset.history, version);
      }
      if (!wanted.size || !window.dash_clientside.set_props) return;
      this.asked = new Map([...wanted].slice(0, MOST_AT_ONCE));
      this.patience = setTimeout(() => this.answer({}), MS_OF_PATIENCE);
      window.dash_clientside.set_props("alerts-seen", { data: { alerts: [...this.asked.keys()], at: Date.now() } });
    }

    answer(told) {
      clearTimeout(this.patience);
      const asked = this.asked || new Map();
      this.asked = null;
      for (const [alert, one] of Object.entries(told)) this.known.set(alert, { version: asked.get(alert), told: one });
      this.sync();
    }

    toggle(alert) {
      if (this.open.has(alert)) this.open.delete(alert);
      else this.open.add(alert);
      this.known.delete(alert); // whom the server has told meanwhile is no part of a version
      this.sync();
    }
  }

  rolloutwatch.pages.alerts = AlertsPage;

  // Called by Dash with the histories that were asked for.
  rolloutwatch.drawHistories = function (told) {
    if (page && told) page.answer(told);
    return "";
  };

  rolloutwatch.acts.life = (told) => page && page.toggle(told.of);
})();
