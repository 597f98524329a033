// What every page has: a title, an icon, a notice, and what goes on while one looks at it.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const TITLE = "Rolloutwatch";
  const COLORS = { ok: "#0a9467", warning: "#d98e04", critical: "#d5371e", unknown: "#888888" };
  const SVG = "http://www.w3.org/2000/svg";

  const $ = (id) => document.getElementById(id);

  function say(element, text) {
    if (element && element.textContent !== text) element.textContent = text;
  }

  function notice(text) {
    const element = $("notice");
    say(element, text);
    element.hidden = !text;
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

  rolloutwatch.head = { TITLE, say, notice, paintIcon };

  // Other pages ask for what they show anew by themselves; here is only said when that fails.
  class OtherPage {
    constructor(told) {
      document.title = told ? `${told.title} · ${TITLE}` : TITLE;
      document.body.classList.remove("out-of-date");
      paintIcon("unknown");
      notice("");
      this.clock = setInterval(() => this.look(), 1000);
    }

    look() {
      const shown = document.querySelector("#runs [data-now], #alerts [data-now]");
      if (!shown) return notice("");
      if (shown.dataset.now !== this.shown) [this.shown, this.since] = [shown.dataset.now, Date.now()];
      const late = Date.now() - this.since > 10000;
      if (late && !this.late) rolloutwatch.leaveIfUnknown("/api/v1/runs");
      this.late = late;
      document.body.classList.toggle("out-of-date", late);
      notice(late ? "The server does not answer; trying again. What you see is the past." : "");
    }

    close() {
      clearInterval(this.clock);
    }
  }

  // Pages with a life of their own, by the `kind` that the server tells: constructed with what it tells, closed when left.
  rolloutwatch.pages = {};
  rolloutwatch.OtherPage = OtherPage;

  let page = null;

  // Called by Dash with what a page's `show` has returned.
  rolloutwatch.follow = function (told) {
    if (page) page.close();
    const Page = (told && rolloutwatch.pages[told.kind]) || OtherPage;
    page = new Page(told);
    return told && told.run ? told.run : "";
  };

  // Whether the server answers, as far as the page knows.
  rolloutwatch.isConnected = function () {
    return !page || page.connected !== false;
  };

  // Whether the server tells the page whatever happens, so that it need not ask.
  rolloutwatch.isTold = function () {
    return Boolean(page && page.isTold && page.isTold());
  };

  window.dash_clientside = Object.assign({}, window.dash_clientside, { rolloutwatch });
})();
