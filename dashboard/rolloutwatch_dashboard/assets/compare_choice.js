// Which runs and figures are compared, and how: each choice is another address.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const API = "/api/v1/runs";
  const { asked, write, go } = rolloutwatch.compared;

  rolloutwatch.CompareChoice = class {
    // page: {told, look(ends), dress()}
    constructor(page) {
      this.page = page;
      this.heard = { click: (event) => this.clicked(event), change: (event) => this.changed(event) };
      document.addEventListener("click", this.heard.click);
      document.addEventListener("change", this.heard.change);
    }

    close() {
      document.removeEventListener("click", this.heard.click);
      document.removeEventListener("change", this.heard.change);
    }

    clicked({ target }) {
      const button = target.closest && target.closest("#compared button");
      if (!button) return;
      if (button.dataset.choose === "runs") this.chooseRuns();
      if (button.dataset.choose === "metrics") this.chooseFigures();
      if (button.dataset.away) this.goTo("run", this.page.told.chosen.filter((run) => run !== button.dataset.away));
      if (button.classList.contains("back")) this.page.look(null);
      if (button.id === "compared-all") this.toggleSame();
    }

    changed({ target }) {
      if (!target.matches || !target.matches("#compared select[name=align]")) return;
      const query = asked();
      query.set("align", target.value);
      for (const name of ["from", "to"]) query.delete(name); // of another axis
      go(query);
    }

    toggleSame() {
      const query = asked();
      if (query.get("same") === "1") query.delete("same");
      else query.set("same", "1");
      history.replaceState(history.state, "", write(query));
      this.page.dress();
    }

    goTo(name, values) {
      const query = asked();
      query.delete(name);
      for (const value of values) query.append(name, value);
      go(query);
    }

    async chooseRuns() {
      const answer = await rolloutwatch.ask("GET", API);
      if (!answer.ok) return rolloutwatch.say(answer.text, "bad");
      const now = Date.now() / 1000;
      const items = answer.body.runs.map((run) => ({
        value: run.id,
        label: `${run.project} / ${run.name}`,
        hint: `${run.state}, ${run.last_step === null ? "no step yet" : `step ${run.last_step}`}, ${rolloutwatch.age(now - run.updated_at)}`,
      }));
      const act = (values) => this.goTo("run", values);
      rolloutwatch.choose({ title: "Choose runs", noun: "runs", items, chosen: this.page.told.chosen, most: this.page.told.most.runs, act });
    }

    chooseFigures() {
      const act = (values) => this.goTo("metric", values);
      const { offered, drawn, most } = this.page.told;
      rolloutwatch.choose({ title: "Choose figures", noun: "figures", items: offered, chosen: drawn, most: most.metrics, act });
    }
  };
})();
