// One step: what is chosen there stands in the address, and tokens are written as text, whatever they are.
(function () {
  "use strict";
  const { TITLE, notice, paintIcon } = rolloutwatch.head;

  const $ = (id) => document.getElementById(id);
  const KEYS = { ArrowLeft: "previous", ArrowRight: "next" };
  const IN_A_TEXT = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -10, ArrowDown: 10 };

  // The class of a token's colour by its level: n5 far less likely in training, p5 far more, out where nobody knows.
  const classOf = (rolloutwatch.classOfToken = function (level) {
    if (level === null) return "out";
    return level < 0 ? `n${-level}` : level > 0 ? `p${level}` : "z0";
  });

  class StepPage {
    constructor(told) {
      document.title = [told.state === "unknown" ? "" : told.word, told.title, TITLE].filter(Boolean).join(" · ");
      document.body.classList.remove("out-of-date");
      paintIcon(told.state);
      notice("");
      this.listeners = [
        ["click", (event) => this.click(event)],
        ["keydown", (event) => this.key(event)],
        ["pointerover", (event) => point(event)],
      ];
      for (const [name, listener] of this.listeners) document.addEventListener(name, listener);
      for (const time of document.querySelectorAll("#page time")) local(time);
    }

    close() {
      for (const [name, listener] of this.listeners) document.removeEventListener(name, listener);
    }

    click(event) {
      const button = event.target.closest && event.target.closest("[data-step-sort], [data-step-row], [data-step-again]");
      if (!button) return;
      const { stepSort, stepRow } = button.dataset;
      if (stepSort !== undefined) ask({ sort: stepSort });
      else if (stepRow !== undefined) ask({ row: stepRow });
      else window.dash_clientside.set_props("refresh", { data: Date.now() });
    }

    // Left and right lead to the steps beside this one, or in the text to the tokens beside one.
    key(event) {
      if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
      if (event.target.id === "step-text") return walk(event);
      if (event.target !== document.body || !KEYS[event.key]) return;
      const way = document.querySelector(`.step-ways .${KEYS[event.key]}`);
      if (way) way.click();
    }
  }

  // A time where the viewer is; pointing at it tells it as the server does.
  function local(time) {
    time.title = time.textContent;
    time.textContent = rolloutwatch.moment(Date.parse(time.dateTime) / 1000);
  }

  // The address with other things asked for, '' for what is not; it is the page's from now on.
  function readdressed(changes) {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(changes)) {
      if (value === "") query.delete(name);
      else query.set(name, value);
    }
    const text = query.toString();
    const address = location.pathname + (text ? `?${text}` : "");
    history.replaceState(history.state, "", address);
    return address;
  }

  function ask(changes) {
    window.dash_clientside.set_props("step-asked", { data: readdressed(changes) });
  }

  // Called by Dash when somebody clicks on a chart whose points are sequences.
  rolloutwatch.chooseSequence = function () {
    const { callback_context: context, no_update: nothing } = window.dash_clientside;
    const clicked = context.triggered.length ? context.triggered[0].value : null;
    const row = clicked && clicked.points.length ? clicked.points[0].id : undefined;
    return row === undefined ? nothing : readdressed({ row });
  };

  // Called by Dash with the tokens of one sequence.
  rolloutwatch.writeTokens = function (told) {
    const text = $("step-text");
    if (!told || !text) return "";
    const spans = told.texts.map((token, at) => {
      const span = document.createElement("span");
      span.textContent = token;
      span.className = classOf(told.levels[at]);
      span.dataset.at = at;
      return span;
    });
    text.replaceChildren(...spans);
    text.words = told.words;
    return text.textContent.length;
  };

  function point(event) {
    const token = event.target.closest && event.target.closest("#step-text > span");
    if (token) tell(token);
  }

  function tell(token) {
    const text = $("step-text");
    const former = text.querySelector(".here");
    if (former) former.classList.remove("here");
    token.classList.add("here");
    const [name, said] = [document.createElement("code"), `token ${token.dataset.at}: ${text.words[token.dataset.at]}`];
    name.textContent = token.textContent.trim() || "␣";
    $("step-token").replaceChildren(name, ` ${said}`);
  }

  function walk(event) {
    const far = IN_A_TEXT[event.key];
    if (!far) return;
    event.preventDefault();
    const tokens = event.target.children;
    const here = event.target.querySelector(".here");
    const at = here ? Number(here.dataset.at) + far : 0;
    const next = tokens[Math.max(0, Math.min(tokens.length - 1, at))];
    if (!next) return;
    tell(next);
    next.scrollIntoView({ block: "nearest" });
  }

  rolloutwatch.pages.step = StepPage;
})();
