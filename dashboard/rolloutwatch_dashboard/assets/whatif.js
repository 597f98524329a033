// The what-if page: asks the server what another correction would have given, portion by portion, and shows it beside what was.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});
  const whatif = (rolloutwatch.whatif = rolloutwatch.whatif || {});
  const { element, head } = rolloutwatch;

  const MS_OF_PATIENCE = 250; // after a change, before the server is asked
  const MS_BETWEEN_LOOKS = 50; // for what is yet to be on the page
  const STEPS_OF_A_PORTION = 4000;
  const LEAST_POINTS = 40; // of a portion
  const [AREA, DOTS, WORDS] = [2, 3, 4]; // traces of figures/whatif.figure_of
  const SHOWN = ["whatif-charts", "whatif-table", "whatif-yaml"]; // what is of the configuration that was asked about last
  const $ = (id) => document.getElementById(id);

  class WhatIfPage extends rolloutwatch.OtherPage {
    constructor(told) {
      super(told);
      this.turn = 0; // of asking; an answer of an earlier one is of no use any more
      if (told.is_empty) return;
      this.view = new whatif.View(told);
      this.menus = new rolloutwatch.ChartMenus(new rolloutwatch.DrawnCharts(told.title, (graph) => whatif.tableOf(graph, this.view.range())));
      this.unhear = rolloutwatch.firing.subscribe(() => this.isLost && this.ask());
      this.begin();
    }

    // How the run is, by its alerts.
    standing() {
      const worst = ((rolloutwatch.firing.now || {}).runs || {})[this.told.run];
      return worst ? [worst, worst] : ["", "unknown"];
    }

    close() {
      super.close();
      this.closed = true;
      clearTimeout(this.soon);
      if (!this.view) return;
      this.view.close();
      this.menus.close();
      this.unhear();
    }

    begin() {
      if (this.closed) return;
      if (!$("whatif-controls")) {
        this.soon = setTimeout(() => this.begin(), MS_BETWEEN_LOOKS);
        return;
      }
      const keys = whatif.fromQuery(location.search, this.told.own);
      this.controls = new whatif.Controls($("whatif-controls"), this.told, keys, () => this.changed());
      this.ask();
    }

    // The server is asked once a slider rests; browsers refuse an address that changes as often as one moves.
    changed() {
      this.turn += 1;
      this.tellProgress(null);
      clearTimeout(this.soon);
      this.soon = setTimeout(() => {
        this.putIntoAddress();
        this.ask();
      }, MS_OF_PATIENCE);
    }

    putIntoAddress() {
      const own = whatif.write(whatif.read(this.told.own));
      const query = rolloutwatch.queryOf(rolloutwatch.view.get(), whatif.toQuery(this.controls.keys(), own), ["from", "to"]);
      history.replaceState(history.state, "", location.pathname + query);
    }

    link() {
      if (this.controls) this.putIntoAddress();
      return location.href;
    }

    async ask() {
      const turn = (this.turn += 1);
      this.isLost = false;
      const isOver = () => this.closed || turn !== this.turn;
      const keys = this.controls.keys();
      let [found, from, points] = [null, null, this.told.points];
      do {
        this.tellProgress(from);
        const answer = await rolloutwatch.ask("POST", this.path(from, points), keys);
        if (isOver()) return;
        if (!answer.ok) return this.refuse(answer);
        found = whatif.merged(found, answer.body);
        points = this.pointsLeft(found);
        from = found.next_step;
      } while (from !== null);
      this.controls.refuse("");
      this.show(found);
      await this.draw(found, isOver);
    }

    path(from, points) {
      const query = new URLSearchParams({ most: STEPS_OF_A_PORTION, points });
      if (from !== null) query.set("from_step", from);
      return `/api/v1/runs/${encodeURIComponent(this.told.run)}/whatif?${query}`;
    }

    // Of how many portions there are nobody knows; as many steps as came per portion so far are in the others too.
    pointsLeft(found) {
      if (found.next_step === null) return 0;
      const share = STEPS_OF_A_PORTION / Math.max(found.steps, 1);
      const reached = (found.next_step - this.first(found)) / Math.max(this.told.last_step - this.first(found), 1);
      return Math.max(LEAST_POINTS, Math.round(this.told.points * share * Math.min(reached, 1)));
    }

    first(found) {
      const steps = Object.values(found.figures).map(({ step }) => step[0]).filter((step) => step !== undefined);
      return steps.length ? Math.min(...steps) : 0;
    }

    // What was shown before stays until there is something else.
    tellProgress(from) {
      for (const id of SHOWN) $(id).classList.add("is-old");
      if (from === null) return head.say($("whatif-status"), "Asking …");
      const last = this.told.last_step;
      const bar = element("progress", { max: Math.max(last, 1), value: from, "aria-label": "Steps looked at" });
      $("whatif-status").replaceChildren(bar, ` up to step ${from} of ${last}`);
    }

    refuse(answer) {
      if (answer.status === 422) {
        this.controls.refuse(answer.text);
        return head.say($("whatif-status"), `What is set cannot be.${this.before()}`);
      }
      const again = element("button", { type: "button", class: "act" }, "Ask again");
      again.addEventListener("click", () => this.ask());
      this.isLost = answer.status === 0; // then it is asked again by itself once the server tells of alerts again
      const text = this.isLost ? `The server does not answer.${this.before()}` : answer.text;
      $("whatif-status").replaceChildren(element("span", { class: "bad" }, text), " ", again);
    }

    before() {
      return this.shown ? " What is shown is of the one before." : "";
    }

    show(found) {
      for (const id of SHOWN.slice(1)) $(id).classList.remove("is-old");
      this.shown = true;
      head.say($("whatif-status"), this.reached(found));
      this.showYaml(found.yaml);
      $("whatif-table").replaceChildren(...(found.steps ? [whatif.table(this.told, found)] : []));
      $("whatif-charts").hidden = !found.steps;
      $("whatif-notes").replaceChildren(...whatif.notes(this.told, found).map((text) => element("li", {}, text)));
      if (this.told.is_live) $("whatif-notes").append(element("li", {}, "The run goes on. ", this.lookAgain()));
    }

    reached(found) {
      if (!found.steps) return "Of no step of this run can be told what would have been.";
      return `${found.steps} ${found.steps === 1 ? "step" : "steps"} looked at.`;
    }

    lookAgain() {
      const button = element("button", { type: "button", class: "act" }, "Look again");
      button.addEventListener("click", () => window.dash_clientside.set_props("refresh", { data: Date.now() }));
      return button;
    }

    showYaml(text) {
      const copy = element("button", { type: "button", class: "act" }, "Copy");
      const code = element("pre", { tabindex: "0" }, text);
      copy.addEventListener("click", () => copyOut(code, text));
      $("whatif-yaml").replaceChildren(element("div", { class: "card-head" }, element("h2", {}, "As YAML"), copy), code);
    }

    async draw(found, isOver) {
      for (const panel of this.told.panels) {
        const would = found.figures[panel.metric];
        const graph = await this.plot(panel, isOver);
        if (!graph) return;
        await this.paint(graph, panel, would || { step: [], low: [], high: [] });
        if (isOver()) return;
        this.showOrHide(graph, would);
      }
      $("whatif-charts").classList.remove("is-old");
    }

    // The figure that came with the page, as soon as plotly has drawn it.
    async plot(panel, isOver) {
      while (!isOver()) {
        const graph = document.querySelector(`#${CSS.escape(panel.id)} .js-plotly-plot`);
        if (graph && graph._fullLayout && graph._fullLayout.yaxis && graph.data && window.Plotly.update) return this.view.followed(graph);
        await new Promise((resolve) => setTimeout(resolve, MS_BETWEEN_LOOKS));
      }
      return null;
    }

    async paint(graph, panel, would) {
      const [area, dots] = [whatif.band(would), whatif.dotsOf(would)];
      const data = {
        x: [area[0], dots[0], would.step],
        y: [area[1], dots[1], would.high],
        customdata: [null, null, whatif.wordsOf(would)],
      };
      const was = graph.data[0];
      const steps = [was.x[0], was.x[was.x.length - 1], would.step[0], would.step[would.step.length - 1]].filter(Number.isFinite);
      const layout = {};
      graph.home = rolloutwatch.valueRange([was.y, would.low, would.high], panel);
      graph.would = would;
      if (!graph.isHigh) layout["yaxis.range"] = graph.home;
      if (Math.min(...steps) < Math.max(...steps)) {
        layout["xaxis.autorangeoptions.clipmin"] = Math.min(...steps);
        layout["xaxis.autorangeoptions.clipmax"] = Math.max(...steps);
      }
      await window.Plotly.update(graph, data, layout, [AREA, DOTS, WORDS]);
      await this.view.frame(graph);
    }

    // A figure that neither of the two corrections brings has no chart.
    showOrHide(graph, would) {
      const card = graph.closest(".card");
      const isShown = Boolean(would) || graph.data[0].x.length > 0;
      if (card.hidden === !isShown) return;
      card.hidden = !isShown;
      if (isShown) window.Plotly.Plots.resize(graph);
    }
  }

  // Beyond https and this host browsers have no clipboard for scripts; then the text is selected, which one can copy.
  async function copyOut(code, text) {
    try {
      await navigator.clipboard.writeText(text);
      rolloutwatch.say("Copied.");
    } catch {
      getSelection().selectAllChildren(code);
      rolloutwatch.say("Selected: copy it with Ctrl-C.");
    }
  }

  rolloutwatch.pages.whatif = WhatIfPage;
})();
