// What every page has: a title, an icon, a notice, and what goes on while one looks at it.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const TITLE = "Rolloutwatch";
  const COLORS = { ok: "#0a9467", warning: "#d98e04", critical: "#d5371e", unknown: "#888888" };
  const SVG = "http://www.w3.org/2000/svg";
  const LATE = 10000; // milliseconds without an answer, after which what one sees is the past
  const MS_OF_PATIENCE = 1000; // before it is said that a page is on its way
  const MS_OF_GOOD_NEWS = 5000;

  const $ = (id) => document.getElementById(id);

  function say(element, text) {
    if (element && element.textContent !== text) element.textContent = text;
  }

  // What stands above the page, "" for nothing; while the next one is on its way that is said instead.
  function notice(text) {
    const element = $("notice");
    const said = wayText() || text;
    say(element, said);
    element.hidden = !said;
  }

  function paintIcon(state) {
    const icon = $("icon");
    const drawing = `<svg xmlns="${SVG}" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6" fill="${COLORS[state]}"/></svg>`;
    const href = `data:image/svg+xml,${encodeURIComponent(drawing)}`;
    if (icon && icon.href !== href) icon.href = href;
  }

  // A time is told in the zone of whoever points at it; the server cannot know which that is.
  addEventListener("pointerover", ({ target }) => {
    const place = target.closest && target.closest("[data-time]");
    if (place) place.title = rolloutwatch.moment(Number(place.dataset.time));
  });

  rolloutwatch.head = { TITLE, LATE, say, notice, paintIcon };

  // What pages have that do not move by themselves: they say how the worst of what they are about is, and whether the server answers.
  class OtherPage {
    constructor(told) {
      this.told = told || {};
      document.body.classList.remove("out-of-date");
      notice("");
      this.unsubscribe = rolloutwatch.firing.subscribe(() => this.paintTab());
      this.clock = setInterval(() => this.look(), 1000);
      this.paintTab();
    }

    // In a word, "" if there is nothing to say, with its colour: here of all alerts.
    standing() {
      const { worst, count } = rolloutwatch.firing.now || {};
      return worst ? [`${count} ${worst}`, worst] : ["", "unknown"];
    }

    paintTab() {
      const [word, kind] = this.late ? ["disconnected", "unknown"] : this.standing();
      document.title = [word, this.told.title, TITLE].filter(Boolean).join(" · ");
      paintIcon(kind);
    }

    // For how long the server has not answered, in milliseconds.
    waited() {
      return rolloutwatch.firing.waited();
    }

    look() {
      const late = this.waited() > LATE;
      if (late && !this.late) rolloutwatch.leaveIfUnknown("/api/v1/runs");
      if (!late && this.late) this.cameBack = Date.now();
      if (late !== Boolean(this.late)) {
        this.late = late;
        this.paintTab();
      }
      document.body.classList.toggle("out-of-date", late);
      const isBack = Date.now() - this.cameBack < MS_OF_GOOD_NEWS;
      notice(late ? "The server does not answer; trying again. What you see is the past." : isBack ? "The server answers again." : "");
    }

    close() {
      clearInterval(this.clock);
      this.unsubscribe();
    }
  }

  // Pages with a life of their own, by the `kind` that the server tells: constructed with what it tells, closed when left.
  rolloutwatch.pages = {};
  rolloutwatch.OtherPage = OtherPage;

  let page = null;
  let way = { since: Date.now() }; // of a page that is asked for, until it is there
  let path = null; // of the one that is there

  function wayText() {
    const waited = way && $("page") ? Date.now() - way.since : 0; // a guide is there at once
    if (waited > LATE) return "The server does not answer; asking again for this page.";
    return waited > MS_OF_PATIENCE ? "Loading …" : "";
  }

  for (const name of ["popstate", "_dashprivate_pushstate"]) {
    addEventListener(name, () => (way = location.pathname === path ? null : { since: Date.now() }));
  }

  setInterval(() => {
    if (!way || !$("page")) return;
    notice("");
    const times = Math.floor((Date.now() - way.since) / LATE);
    if (times <= (way.times || 0)) return;
    way.times = times;
    window.dash_clientside.set_props("refresh", { data: { at: Date.now(), search: location.search } });
  }, MS_OF_PATIENCE);

  // Called by Dash with what a page's `show` has returned.
  rolloutwatch.follow = function (told) {
    if (page) page.close();
    [way, path] = [null, location.pathname];
    rolloutwatch.firing.begin();
    const Page = (told && rolloutwatch.pages[told.kind]) || OtherPage;
    page = new Page(told);
    return told && told.run ? told.run : "";
  };

  // The address of what one sees; what has changed since it was written is in it.
  rolloutwatch.address = function () {
    return page && page.link ? page.link() : location.href;
  };

  // Whether the server answers, as far as the page knows.
  rolloutwatch.isConnected = function () {
    return !page || page.connected !== false;
  };

  // Whether the server tells the page of alerts.
  rolloutwatch.isFed = function () {
    return Boolean(page && page.feed && page.connected);
  };

  // Whether the server tells the page whatever happens, so that it need not ask.
  rolloutwatch.isTold = function () {
    return Boolean(page && page.isTold && page.isTold());
  };

  window.dash_clientside = Object.assign({}, window.dash_clientside, { rolloutwatch });
})();
