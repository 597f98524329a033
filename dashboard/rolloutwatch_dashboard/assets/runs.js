// The page of all runs: rows that come judged, and are found, filtered, sorted and drawn here. What is chosen stands in the address.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});
  const { LATE, say } = rolloutwatch.head;

  const STATES = ["live", "stalled", "crashed", "finished"];
  const KINDS = ["ok", "unknown", "warning", "critical"]; // from good to bad
  const PORTION = 100; // rows that are drawn at once
  const DEFAULT_SORT = "updated";
  const SVG = "http://www.w3.org/2000/svg";

  const $ = (id) => document.getElementById(id);

  // What an address asks for, which may be anything. {q, states, tags, sort, reversed, archived, most}
  rolloutwatch.runsView = function (search, sorts) {
    const query = new URLSearchParams(search);
    const asked = query.get("sort") || DEFAULT_SORT;
    const isReversed = asked.startsWith("-");
    const sort = isReversed ? asked.slice(1) : asked;
    const most = Number(query.get("most"));
    return {
      q: (query.get("q") || "").slice(0, 200),
      states: STATES.filter((state) => query.getAll("state").join(",").split(",").includes(state)),
      tags: [...new Set(query.getAll("tag").filter(Boolean))].slice(0, 20),
      sort: sorts.includes(sort) ? sort : DEFAULT_SORT,
      reversed: sorts.includes(sort) && isReversed,
      archived: query.get("archived") === "1",
      most: Number.isSafeInteger(most) && most > PORTION ? most : PORTION,
    };
  };

  // The address of a view, as short as can be.
  rolloutwatch.runsQuery = function (view) {
    const query = new URLSearchParams();
    if (view.q) query.set("q", view.q);
    if (view.states.length) query.set("state", view.states.join(","));
    for (const tag of view.tags) query.append("tag", tag);
    if (view.reversed || view.sort !== DEFAULT_SORT) query.set("sort", (view.reversed ? "-" : "") + view.sort);
    if (view.archived) query.set("archived", "1");
    if (view.most > PORTION) query.set("most", view.most);
    const text = query.toString().replaceAll("%2C", ",");
    return text ? `?${text}` : "";
  };

  // Whether a row is asked for; every word has to be in its name or in one of its tags.
  rolloutwatch.isAskedFor = function (row, view) {
    const text = [`${row.project} / ${row.name}`, row.id, ...row.tags].join("\n").toLowerCase();
    return (
      (view.archived || !row.archived) &&
      (!view.states.length || view.states.includes(row.state)) &&
      view.tags.every((tag) => row.tags.includes(tag)) &&
      view.q.toLowerCase().split(/\s+/).every((word) => text.includes(word))
    );
  };

  // How bad a row is, by its figures and its alerts.
  const badness = (row) => Math.max(KINDS.indexOf(row.health.kind), row.fires ? KINDS.indexOf(row.fires.kind) : 0);

  const byName = (one, other) => one.id.localeCompare(other.id, "en", { numeric: true });

  // A live run is updated all the time: such runs stand as they began, so that rows stay where they are.
  const time = (row) => (row.state === "live" ? [1, row.started] : [0, row.updated]);

  // The bad ones first: the low, the high, or those far from the ideal; then what is no number, then what is not there.
  function goodness(figure, told) {
    if (figure.rank === null) return figure.text === "–" ? [2, 0] : [1, 0];
    if (told.better === "higher") return [0, figure.rank];
    if (told.better === "lower") return [0, -figure.rank];
    return [0, told.ideal > 0 && figure.rank > 0 ? -Math.abs(Math.log(figure.rank / told.ideal)) : -Math.abs(figure.rank - told.ideal)];
  }

  function compare(one, other) {
    const at = one.findIndex((value, place) => value !== other[place]);
    return at < 0 ? 0 : one[at] < other[at] ? -1 : 1;
  }

  // Rows in an order; those that are equal by name. What has no value stays at the end, whichever way it is sorted.
  rolloutwatch.sortedRuns = function (rows, view, figures) {
    const at = figures.findIndex((figure) => figure.key === view.sort);
    const keys = {
      name: () => [0],
      health: (row) => [-badness(row), ...time(row).map((value) => -value)],
      state: (row) => [STATES.indexOf(row.state), ...time(row).map((value) => -value)],
      step: (row) => [row.step === null ? 1 : 0, row.step === null ? 0 : -row.step],
      updated: (row) => time(row).map((value) => -value),
    };
    const key = at < 0 ? keys[view.sort] : (row) => goodness(row.figures[at], figures[at]);
    const hasEnd = at >= 0 || view.sort === "step";
    const sign = view.reversed ? -1 : 1;
    const keyed = rows.map((row) => [key(row), row]);
    keyed.sort(([a, one], [b, other]) => {
      if (hasEnd && a[0] !== b[0]) return a[0] - b[0];
      return sign * (compare(a, b) || byName(one, other));
    });
    return keyed.map(([, row]) => row);
  };

  // What a tab in the background tells: how many of the runs that go on are bad, and how bad the worst of them is.
  rolloutwatch.worstOfRuns = function (rows) {
    const live = rows.filter((row) => row.state === "live" && !row.archived);
    const worst = Math.max(-1, ...live.map(badness));
    const count = live.filter((row) => badness(row) === worst).length;
    const kind = KINDS[worst] || "unknown";
    return { kind, title: worst >= KINDS.indexOf("warning") ? `${count} ${kind}` : "" };
  };

  const element = (...parts) => rolloutwatch.element(...parts);

  function drawing(spark, kind, [width, height]) {
    const make = (tag, attributes) => {
      const made = document.createElementNS(SVG, tag);
      for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
      return made;
    };
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", class: "spark", "aria-hidden": "true" });
    for (const [y, severity] of spark.limits) svg.append(make("path", { d: `M0 ${y}h${width}`, class: `limit ${severity}` }));
    svg.append(make("path", { d: spark.line, class: "line" }));
    if (spark.far) svg.append(make("path", { d: spark.far, class: "far" }));
    if (spark.end) svg.append(make("path", { d: `M${spark.end[0]} ${spark.end[1]}h0`, class: `end ${kind}` }));
    return svg;
  }

  // a link that dash follows without loading the page anew
  function link(href, className, ...children) {
    const made = element("a", { href, class: className }, ...children);
    made.addEventListener("click", (event) => {
      if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      history.pushState({}, "", href);
      dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
      scrollTo(0, 0);
    });
    return made;
  }

  function button(text, attributes, act) {
    const made = element("button", { type: "button", ...attributes }, text);
    made.addEventListener("click", act);
    return made;
  }

  // What stands in a row, cell by cell: each made of one part of it, and made anew when that part is another one.
  function cellsOf(row, page) {
    const name = `${row.project} / ${row.name}`;
    const figure = (told, at) => ({
      of: row.figures[at],
      cell: { class: `figure ${row.figures[at].kind}`, "data-label": told.title, title: row.figures[at].title || null },
      children: ({ text, kind, spark }) => [element("span", { class: "now" }, text), spark ? drawing(spark, kind, told.box) : null],
    });
    return [
      {
        of: [row.tags, row.archived],
        cell: { class: "named" },
        children: () => [
          link(row.href, "", element("span", { class: "project" }, `${row.project} / `), row.name),
          row.tags.length || row.archived
            ? element(
                "div",
                { class: "run-tags" },
                ...row.tags.map((tag) =>
                  button(tag, { class: "tag", title: `Show runs tagged ${tag}` }, () => page.change({ tags: [...new Set([...page.view.tags, tag])] })),
                ),
                row.archived ? element("span", { class: "note" }, "archived") : null,
              )
            : null,
        ],
      },
      {
        of: [row.health, row.fires],
        children: ([health, fires]) => [
          element("strong", { class: `health ${health.kind}` }, health.word),
          fires ? element("div", { class: `fires ${fires.kind}`, title: fires.title }, link(fires.href, "", element("span", {}, `${fires.symbol} ${fires.rule}`), fires.others)) : null,
        ],
      },
      {
        of: [row.state, row.contested],
        children: ([state, contested]) => [
          element("span", { class: `state state-${state}` }, state),
          contested ? element("span", { class: "state state-contested", title: "More than one trainer writes to this run; shown is the one that began last." }, "contested") : null,
        ],
      },
      { of: row.step, cell: { class: "figure", "data-label": "Step" }, children: (step) => [step === null ? "–" : String(step)] },
      { of: null, cell: { class: "figure age", "data-label": "Updated" }, children: () => [] },
      ...page.told.figures.map(figure),
      {
        of: row.state,
        cell: { class: "row-acts", "data-needs": "operator" },
        children: () => [menu(name, row.id, page)],
      },
    ];
  }

  function menu(name, id, page) {
    const row = () => page.rows.get(id);
    const made = element("details", { class: "row-menu" }, element("summary", { "aria-label": `Actions on ${name}`, title: "Actions" }, "⋯"));
    made.addEventListener("toggle", () => {
      if (!made.open) return;
      const isLive = row().state === "live";
      const item = (text, attributes, act) =>
        button(text, { class: "act", ...attributes }, () => {
          made.open = false;
          made.querySelector("summary").focus();
          act();
        });
      const items = element(
        "div",
        { class: "row-menu-items" },
        item("Tags…", {}, () => page.askForTags(row())),
        row().archived ? item("Take out of the archive", {}, () => page.archive(row(), false)) : item("Archive", {}, () => page.archive(row(), true)),
        item("Delete…", { class: "act danger", "data-needs": "admin", disabled: isLive, title: isLive ? "It is live: end its trainer first." : null }, () => page.askToDelete(row())),
      );
      made.replaceChildren(made.firstChild, items);
    });
    return made;
  }

  class RunsPage extends rolloutwatch.OtherPage {
    constructor(told) {
      super(null);
      this.told = told;
      this.sorts = ["name", "health", "state", "step", "updated", ...told.figures.map((figure) => figure.key)];
      this.rows = new Map();
      this.drawn = new Map(); // by id, the row's element and what its cells were made of
      this.view = rolloutwatch.runsView(location.search, this.sorts);
      this.onMove = () => this.isHere() && this.change(rolloutwatch.runsView(location.search, this.sorts), false);
      this.onPress = (event) => this.closeMenus(event);
      for (const name of ["_dashprivate_pushstate", "popstate"]) addEventListener(name, this.onMove);
      for (const name of ["pointerdown", "keydown"]) document.addEventListener(name, this.onPress);
      this.isEmpty = !$("runs-rows");
      if (!this.isEmpty) {
        this.makeTools();
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
      for (const row of news.rows) this.rows.set(row.id, row);
      // what stands there for an archive without a run, or with some, is made by the server
      if (this.isEmpty !== !this.rows.size) return window.dash_clientside.set_props("refresh", { data: Date.now() });
      this.left = news.left;
      if (this.left) setTimeout(() => window.dash_clientside.set_props("runs-ask", { data: Date.now() }));
      if (!this.isEmpty) this.draw();
    }

    // How the worst of the runs that go on is; of one that does not an alert may tell.
    standing() {
      const { kind, title } = rolloutwatch.worstOfRuns([...(this.rows || new Map()).values()]);
      const [word, worst] = super.standing();
      return KINDS.indexOf(worst) > KINDS.indexOf(kind) ? [word, worst] : [title, kind];
    }

    waited() {
      return Date.now() - this.since;
    }

    look() {
      super.look();
      this.paintAges();
    }

    close() {
      super.close();
      for (const name of ["_dashprivate_pushstate", "popstate"]) removeEventListener(name, this.onMove);
      for (const name of ["pointerdown", "keydown"]) document.removeEventListener(name, this.onPress);
    }

    // Show another view; it becomes the page's address, so that it can be kept and sent.
    change(some, isNew = true) {
      this.view = { ...this.view, ...(isNew ? { most: PORTION } : {}), ...some };
      if (isNew) history.replaceState(history.state, "", location.pathname + rolloutwatch.runsQuery(this.view) + location.hash);
      if (!this.isEmpty) this.draw();
    }

    sortBy(sort) {
      this.change({ sort, reversed: this.view.sort === sort && !this.view.reversed });
    }

    makeTools() {
      this.search = element("input", { type: "search", placeholder: "Search names and tags", "aria-label": "Search runs", autocomplete: "off", spellcheck: "false" });
      this.search.addEventListener("input", () => this.change({ q: this.search.value }));
      this.stateButtons = new Map(
        STATES.map((state) => [
          state,
          button(state, { class: "choice" }, () => {
            const { states } = this.view;
            this.change({ states: STATES.filter((one) => (one === state) !== states.includes(one)) });
          }),
        ]),
      );
      this.tagChoice = element("select", { "aria-label": "Show runs with a tag" });
      this.tagChoice.addEventListener("change", () => this.change({ tags: [...new Set([...this.view.tags, this.tagChoice.value])] }));
      this.tagsChosen = element("span", { class: "tags-chosen" });
      this.archived = element("input", { type: "checkbox" });
      this.archived.addEventListener("change", () => this.change({ archived: this.archived.checked }));
      this.archivedText = element("span", {});
      this.archivedLabel = element("label", { class: "choice-archived" }, this.archived, this.archivedText);
      // on a phone there are no heads of columns to sort by
      this.order = element(
        "select",
        { "aria-label": "Sort by" },
        ...Array.from(document.querySelectorAll("#runs [data-sort]"), (head) => element("option", { value: head.dataset.sort }, `Sort: ${head.textContent}`)),
      );
      this.order.addEventListener("change", () => this.change({ sort: this.order.value, reversed: false }));
      const states = element("span", { class: "choices", role: "group", "aria-label": "Show runs that are" }, ...this.stateButtons.values());
      $("runs-tools").replaceChildren(this.search, states, this.tagChoice, this.tagsChosen, this.archivedLabel, element("label", { class: "order" }, this.order));
    }

    paintTools(rows) {
      const { view } = this;
      if (this.search.value !== view.q) this.search.value = view.q;
      const kept = rows.filter((row) => view.archived || !row.archived);
      for (const [state, one] of this.stateButtons) {
        const count = kept.filter((row) => row.state === state).length;
        const isOn = view.states.includes(state);
        say(one, count ? `${state} ${count}` : state);
        one.hidden = !count && !isOn;
        one.setAttribute("aria-pressed", String(isOn));
      }
      this.paintTags(kept);
      const away = rows.filter((row) => row.archived);
      const live = away.filter((row) => row.state === "live").length;
      this.archivedLabel.hidden = !away.length && !view.archived;
      this.archived.checked = view.archived;
      say(this.archivedText, `archived ${away.length}${live ? `, ${live} of them live` : ""}`);
      this.order.value = view.sort;
      for (const head of document.querySelectorAll("#runs [data-sort]")) {
        const isOn = head.dataset.sort === view.sort;
        if (isOn) head.parentElement.setAttribute("aria-sort", view.reversed ? "ascending" : "descending");
        else head.parentElement.removeAttribute("aria-sort");
        head.classList.toggle("reversed", isOn && view.reversed);
      }
    }

    paintTags(rows) {
      const { view } = this;
      const counts = new Map();
      for (const tag of rows.flatMap((row) => row.tags)) counts.set(tag, (counts.get(tag) || 0) + 1);
      const others = [...counts.keys()].filter((tag) => !view.tags.includes(tag)).sort((one, other) => one.localeCompare(other));
      const made = JSON.stringify([view.tags, others.map((tag) => [tag, counts.get(tag)])]);
      if (this.madeOfTags === made) return;
      this.madeOfTags = made;
      this.tagChoice.hidden = !others.length;
      this.tagChoice.replaceChildren(
        element("option", { value: "", selected: true, disabled: true }, "Tag"),
        ...others.map((tag) => element("option", { value: tag }, `${tag} (${counts.get(tag)})`)),
      );
      this.tagsChosen.replaceChildren(
        ...view.tags.map((tag) =>
          button(`${tag} ×`, { class: "tag on", "aria-label": `Do not ask for the tag ${tag}` }, () => this.change({ tags: view.tags.filter((one) => one !== tag) })),
        ),
      );
    }

    draw() {
      const all = [...this.rows.values()];
      this.paintTools(all);
      const asked = rolloutwatch.sortedRuns(all.filter((row) => rolloutwatch.isAskedFor(row, this.view)), this.view, this.told.figures);
      const shown = asked.slice(0, this.view.most);
      // rows stay where they are while somebody has a menu open on one
      if (!document.querySelector(".row-menu[open]")) this.place(shown);
      else for (const row of shown) if (this.drawn.has(row.id)) this.elementOf(row);
      this.paintRest(asked.length - shown.length, asked.length);
      const whole = this.view.archived ? all.length : all.filter((row) => !row.archived).length;
      const some = asked.length < whole ? `${asked.length} of ` : "";
      const left = this.left ? `, ${this.left} to be read` : "";
      say($("runs-count"), `${some}${whole} ${whole === 1 ? "run" : "runs"}${left}`);
      this.paintAges();
      this.paintTab();
    }

    place(rows) {
      const body = $("runs-rows");
      const focused = document.activeElement;
      const wanted = rows.map((row) => this.elementOf(row));
      const kept = new Set(wanted);
      for (const one of [...body.children]) if (!kept.has(one)) one.remove();
      wanted.forEach((one, at) => {
        if (body.children[at] !== one) body.insertBefore(one, body.children[at] || null);
      });
      // what is moved loses the focus
      if (focused && focused !== document.activeElement && body.contains(focused)) focused.focus({ preventScroll: true });
      for (const [id, { tr }] of this.drawn) if (!kept.has(tr)) this.drawn.delete(id);
    }

    // The element of a row, in which only what has changed is made anew.
    elementOf(row) {
      let drawn = this.drawn.get(row.id);
      if (!drawn) this.drawn.set(row.id, (drawn = { tr: element("tr", {}), made: [], row: null }));
      if (drawn.row === row) return drawn.tr;
      drawn.row = row;
      drawn.tr.className = [row.state === "stalled" ? "past" : "", row.archived ? "archived" : ""].join(" ").trim();
      cellsOf(row, this).forEach(({ of, cell, children }, at) => {
        const made = JSON.stringify(of);
        if (drawn.made[at] === made) return;
        drawn.made[at] = made;
        const td = element("td", cell || {}, ...children(of));
        if (drawn.tr.children[at]) drawn.tr.children[at].replaceWith(td);
        else drawn.tr.append(td);
      });
      return drawn.tr;
    }

    paintRest(left, count) {
      const rest = $("runs-rest");
      const made = `${left} ${count}`;
      if (this.madeRest === made) return;
      this.madeRest = made;
      const more = Math.min(left, PORTION);
      if (left > 0) rest.replaceChildren(button(`Show ${more} more`, { class: "act" }, () => this.change({ most: this.view.most + PORTION })));
      else if (count) rest.replaceChildren();
      else {
        const all = button("Show all runs", { class: "act" }, () => this.change({ q: "", states: [], tags: [], archived: true }));
        rest.replaceChildren(element("p", { class: "quiet" }, "No run is like that."), all);
      }
    }

    paintAges() {
      const now = Date.now() + this.ahead;
      for (const { tr, row } of this.drawn.values()) {
        const cell = tr.querySelector(".age");
        say(cell, rolloutwatch.age(now / 1000 - row.updated));
        const moment = new Date(row.updated * 1000);
        if (cell.dataset.at !== String(row.updated)) {
          cell.dataset.at = row.updated;
          cell.title = Number.isNaN(moment.getTime()) ? "" : moment.toLocaleString();
        }
      }
    }

    closeMenus(event) {
      for (const open of document.querySelectorAll(".row-menu[open]")) {
        if (event.type === "keydown" ? event.key !== "Escape" : open.contains(event.target)) continue;
        open.open = false;
        if (event.type === "keydown") open.querySelector("summary").focus();
      }
    }

    async send(method, row, body, done) {
      const answer = await rolloutwatch.ask(method, `/api/v1/runs/${encodeURIComponent(row.id)}`, body);
      if (answer.ok && done) rolloutwatch.say(done);
      window.dash_clientside.set_props("runs-ask", { data: Date.now() });
      return answer.text;
    }

    async archive(row, archived) {
      const where = archived ? "in the archive: it is not listed unless one asks for it" : "listed again";
      const wrong = await this.send("PATCH", row, { archived }, `${row.project} / ${row.name} is ${where}.`);
      if (wrong) rolloutwatch.say(wrong, "bad");
    }

    askForTags(row) {
      const { most, letters } = this.told.tags;
      rolloutwatch.open({
        title: `Tags of ${row.project} / ${row.name}`,
        text: "In one line, with commas between them.",
        fields: [{ name: "tags", label: "Tags", kind: "text", value: row.tags.join(", "), most: most * (letters + 2), optional: true }],
        yes: "Save",
        act: ({ tags }) => this.send("PATCH", row, { tags: tags.split(",").map((tag) => tag.trim()).filter(Boolean) }),
      });
    }

    askToDelete(row) {
      const steps = row.step === null ? "It has no step." : `Its last step is ${row.step}.`;
      rolloutwatch.open({
        title: `Delete ${row.project} / ${row.name}?`,
        text: `${steps} All of its steps, marks and alerts are gone for everybody and for ever; only a backup has them then. To have it out of the way, archive it instead.`,
        yes: "Delete for ever",
        kind: "danger",
        act: () => this.send("DELETE", row, undefined, `${row.project} / ${row.name} is deleted.`),
      });
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
