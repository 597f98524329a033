// What people say of a run, and what its trainer said: its tags, and the way to its configuration.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});
  const { element } = rolloutwatch;

  const $ = (id) => document.getElementById(id);

  rolloutwatch.RunAbout = class {
    // told: what pages/run_followed.py tells of the run
    constructor({ run, project, name, tags, tags_may_be: may }) {
      this.row = { id: run, project, name, tags };
      this.actions = new rolloutwatch.RunsActions(may, () => this.fetch());
      this.onClick = (event) => this.clicked(event);
      document.addEventListener("click", this.onClick);
    }

    close() {
      document.removeEventListener("click", this.onClick);
    }

    clicked({ target }) {
      const button = target.closest && target.closest("[data-about]");
      if (!button) return;
      if (button.dataset.about === "tags") this.actions.askForTags(this.row);
      else this.open($("configuration"));
    }

    open(details) {
      details.open = true;
      details.scrollIntoView({ block: "start" });
      details.querySelector("summary").focus({ preventScroll: true });
    }

    async fetch() {
      const answer = await rolloutwatch.ask("GET", `/api/v1/runs/${encodeURIComponent(this.row.id)}`);
      if (answer.ok) this.row.tags = answer.body.tags;
      this.paint();
    }

    // Each tag leads to the runs that have it.
    paint() {
      const [place, told] = [$("run-tags"), JSON.stringify(this.row.tags)];
      if (!place || place.dataset.told === told) return;
      place.dataset.told = told;
      const way = (tag) => rolloutwatch.link(`/?tag=${encodeURIComponent(tag)}`, { class: "tag", title: `Runs tagged ${tag}` }, tag);
      place.replaceChildren(...this.row.tags.map((tag) => element("li", {}, way(tag))));
    }
  };
})();
