// The page of all runs: rows that come judged, and are found, filtered, sorted and drawn here. What is chosen stands in the address.
// runs_view.js says which rows are shown, runs_tools.js has what stands above them, runs_rows.js draws them, runs_chosen.js
// has those that are chosen, runs_actions.js changes runs.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});
  const { say } = rolloutwatch.head;
  const { element, button } = rolloutwatch;

  const $ = (id) => document.getElementById(id);

  // Ask at once for what has changed.
  const ask = () => window.dash_clientside.set_props("runs-ask", { data: Date.now() });

  class RunsPage extends rolloutwatch.OtherPage {
    constructor(told) {
      super(null);
      this.told = told;
      this.sorts = ["name", "health", "state", "step", "speed", "updated", "age", ...told.figures.map((figure) => figure.key)];
      this.rows = new Map();
      this.shown = []; // rows that are asked for and drawn
      this.paces = new rolloutwatch.RunPaces();
      this.actions = new rolloutwatch.RunsActions(told.tags, ask);
      this.table = new rolloutwatch.RunsRows(this);
      this.view = rolloutwatch.runsView(location.search, this.sorts);
      this.onMove = () => this.isHere() && this.change(rolloutwatch.runsView(location.search, this.sorts), false);
      this.onPress = (event) => this.table.closeMenus(event);
      for (const name of ["_dashprivate_pushstate", "popstate"]) addEventListener(name, this.onMove);
      for (const name of ["pointerdown", "keydown"]) document.addEventListener(name, this.onPress);
      this.isEmpty = !$("runs-rows");
      if (!this.isEmpty) {
        this.tools = new rolloutwatch.RunsTools(this);
        this.chosen = new rolloutwatch.RunsChosen(this, told.compared);
        for (const head of document.querySelectorAll("#runs [data-sort]")) {
          head.addEventListener("click", () => this.sortBy(head.dataset.sort));
        }
      }
      this.hear(told);
    }

    isHere() {
      return location.pathname === "/";
    }

    hear(news) {
      this.since = Date.now();
      this.ahead = news.now * 1000 - Date.now(); // of the server's clock
      const table = document.querySelector("#runs");
      if (table) table.dataset.now = news.now;
      if (news.whole) this.rows.clear();
      for (const id of news.gone) this.rows.delete(id);
      for (const row of news.rows) this.rows.set(row.id, { ...row, speed: this.paces.of(row) });
      // what stands there for an archive without a run, or with some, is made by the server
      if (this.isEmpty !== !this.rows.size) return window.dash_clientside.set_props("refresh", { data: Date.now() });
      this.left = news.left;
      if (this.left) setTimeout(ask);
      if (!this.isEmpty) this.draw();
    }

    // How the worst of the runs that go on is; of one that does not an alert may tell.
    standing() {
      const { KINDS } = rolloutwatch.runs;
      const { kind, title } = rolloutwatch.worstOfRuns([...(this.rows || new Map()).values()]);
      const [word, worst] = super.standing();
      return KINDS.indexOf(worst) > KINDS.indexOf(kind) ? [word, worst] : [title, kind];
    }

    waited() {
      return Date.now() - this.since;
    }

    look() {
      super.look();
      this.table.paintAges(this.now());
    }

    // The server's time, in milliseconds.
    now() {
      return Date.now() + this.ahead;
    }

    close() {
      super.close();
      for (const name of ["_dashprivate_pushstate", "popstate"]) removeEventListener(name, this.onMove);
      for (const name of ["pointerdown", "keydown"]) document.removeEventListener(name, this.onPress);
    }

    // Show another view; it becomes the page's address, so that it can be kept and sent.
    change(some, isNew = true) {
      this.view = { ...this.view, ...(isNew ? { most: rolloutwatch.runs.PORTION } : {}), ...some };
      if (isNew) history.replaceState(history.state, "", location.pathname + rolloutwatch.runsQuery(this.view) + location.hash);
      if (!this.isEmpty) this.draw();
    }

    sortBy(sort) {
      this.change({ sort, reversed: this.view.sort === sort && !this.view.reversed });
    }

    draw() {
      if (!$("runs-rows")) return; // another page is there already
      const all = [...this.rows.values()];
      this.tools.paint(all);
      const asked = rolloutwatch.sortedRuns(all.filter((row) => rolloutwatch.isAskedFor(row, this.view)), this.view, this.told.figures);
      const shown = (this.shown = asked.slice(0, this.view.most));
      this.table.show(shown);
      this.chosen.paint();
      this.paintRest(asked.length - shown.length, asked.length);
      const whole = this.view.archived ? all.length : all.filter((row) => !row.archived).length;
      const some = asked.length < whole ? `${asked.length} of ` : "";
      const left = this.left ? `, ${this.left} to be read` : "";
      say($("runs-count"), `${some}${whole} ${whole === 1 ? "run" : "runs"}${left}`);
      this.table.paintAges(this.now());
      this.paintTab();
    }

    paintRest(left, count) {
      const rest = $("runs-rest");
      const made = `${left} ${count}`;
      if (this.madeRest === made) return;
      this.madeRest = made;
      const { PORTION } = rolloutwatch.runs;
      const more = Math.min(left, PORTION);
      if (left > 0) rest.replaceChildren(button(`Show ${more} more`, { class: "act" }, () => this.change({ most: this.view.most + PORTION })));
      else if (count) rest.replaceChildren();
      else {
        const all = button("Show all runs", { class: "act" }, () => this.change({ q: "", states: [], tags: [], archived: true }));
        rest.replaceChildren(element("p", { class: "quiet" }, "No run is like that."), all);
      }
    }
  }

  let page = null;
  rolloutwatch.pages.runs = class extends RunsPage {
    constructor(told) {
      super(told);
      page = this;
    }

    close() {
      super.close();
      page = null;
    }
  };

  // Called by dash with what has changed; what it returns is what the server is asked with next time.
  rolloutwatch.runsNews = function (news) {
    if (page && news) page.hear(news);
    return news ? news.seen : null;
  };
})();
