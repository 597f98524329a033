// One step: what is chosen there stands in the address, and tokens are written as text, whatever they are.
(function () {
  "use strict";
  const $ = (id) => document.getElementById(id);
  const BESIDE = { ArrowLeft: "previous", ArrowRight: "next" };
  const IN_A_TEXT = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -10, ArrowDown: 10 };

  // The class of a token's colour by its level: n5 far less likely in training, p5 far more, out where nobody knows.
  const classOf = (rolloutwatch.classOfToken = function (level) {
    if (level === null) return "out";
    return level < 0 ? `n${-level}` : level > 0 ? `p${level}` : "z0";
  });

  class StepPage extends rolloutwatch.OtherPage {
    constructor(told) {
      super(told);
      this.listeners = [
        ["click", (event) => this.click(event)],
        ["pointerover", (event) => point(event)],
      ];
      for (const [name, listener] of this.listeners) document.addEventListener(name, listener);
      this.endings = KEYS.map((keys) => rolloutwatch.addKeys(keys));
      this.menus = new rolloutwatch.ChartMenus(new rolloutwatch.DrawnCharts(this.told.title, rolloutwatch.toldTable));
      for (const time of document.querySelectorAll("#page time")) local(time);
    }

    // A step is as it was.
    standing() {
      const { state, word } = this.told;
      return [state === "unknown" ? "" : word, state];
    }

    close() {
      super.close();
      for (const [name, listener] of this.listeners) document.removeEventListener(name, listener);
      for (const end of this.endings) end();
      this.menus.close();
    }

    click(event) {
      const button = event.target.closest && event.target.closest("[data-step-sort], [data-step-row], [data-step-again]");
      if (!button) return;
      const { stepSort, stepRow } = button.dataset;
      if (stepSort !== undefined) ask({ sort: stepSort });
      else if (stepRow !== undefined) ask({ row: stepRow });
      else window.dash_clientside.set_props("refresh", { data: Date.now() });
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
    showWorst(text, spans, told.levels);
    return text.textContent.length;
  };

  // A long text opens where the first of its most coloured tokens is.
  function showWorst(text, spans, levels) {
    const far = (at) => Math.abs(levels[at]) || 0;
    const worst = spans.length ? Array.from(spans.keys()).reduce((best, at) => (far(at) > far(best) ? at : best), 0) : null;
    const above = (element) => element.getBoundingClientRect().top;
    text.scrollTop = 0;
    if (worst !== null && far(worst)) text.scrollTop = above(spans[worst]) - above(text) - text.clientHeight / 2;
  }

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

  // To another token, so many away from the one that is told of.
  function walk(far) {
    const tokens = $("step-text").children;
    const here = $("step-text").querySelector(".here");
    const at = here ? Number(here.dataset.at) + far : 0;
    const next = tokens[Math.max(0, Math.min(tokens.length - 1, at))];
    if (!next) return;
    tell(next);
    next.scrollIntoView({ block: "nearest" });
  }

  function leadBeside({ key }) {
    const way = document.querySelector(`.step-ways .${BESIDE[key]}`);
    if (!way) return false;
    way.click();
    return true;
  }

  const KEYS = [
    {
      of: "Tokens of a sequence, when the focus is there",
      heeds: ({ target }) => target.id === "step-text",
      keys: [
        { on: ["ArrowLeft", "ArrowRight"], does: "the token before, the next one", act: ({ key }) => walk(IN_A_TEXT[key]) },
        { on: ["ArrowUp", "ArrowDown"], does: "ten tokens back, ten on", act: ({ key }) => walk(IN_A_TEXT[key]) },
      ],
    },
    {
      of: "Steps",
      heeds: ({ target }) => target === document.body,
      keys: [{ on: ["ArrowLeft", "ArrowRight"], does: "the step before, the next one", act: leadBeside }],
    },
  ];

  rolloutwatch.pages.step = StepPage;
})();
