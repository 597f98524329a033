// The rows of the table of runs: each stays the same element, of which only what has changed is made anew.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const { say } = rolloutwatch.head;
  const { element, link, button } = rolloutwatch;
  const SVG = "http://www.w3.org/2000/svg";

  const $ = (id) => document.getElementById(id);

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
          page.chosen.box(row),
          link(row.href, {}, element("span", { class: "project" }, `${row.project} / `), row.name),
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
          fires ? element("div", { class: `fires ${fires.kind}`, title: fires.title }, link(fires.href, {}, element("span", {}, `${fires.symbol} ${fires.rule}`), fires.others)) : null,
        ],
      },
      {
        of: [row.state, row.contested],
        children: ([state, contested]) => [
          element("span", { class: `state state-${state}` }, state),
          contested ? element("span", { class: "state state-contested", title: "More than one trainer writes to this run; shown is the one that began last." }, "contested") : null,
        ],
      },
      {
        of: [row.step, row.speed],
        cell: { class: "figure", "data-label": "Step" },
        children: ([step, speed]) => [
          element("span", { class: "now" }, step === null ? "–" : String(step)),
          speed === null ? null : element("span", { class: "sub" }, rolloutwatch.stepsPerSecond(speed)),
        ],
      },
      {
        of: null,
        cell: { class: "figure age", "data-label": "Updated" },
        children: () => [element("span", { class: "now" }), element("span", { class: "sub" })],
      },
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
        item("Tags…", {}, () => page.actions.askForTags(row())),
        row().archived ? item("Take out of the archive", {}, () => page.actions.archive(row(), false)) : item("Archive", {}, () => page.actions.archive(row(), true)),
        item("Delete…", { class: "act danger", "data-needs": "admin", disabled: isLive, title: isLive ? "It is live: end its trainer first." : null }, () => page.actions.askToDelete(row())),
      );
      made.replaceChildren(made.firstChild, items);
    });
    return made;
  }

  rolloutwatch.RunsRows = class {
    // page: a RunsPage
    constructor(page) {
      this.page = page;
      this.drawn = new Map(); // by id, the row's element and what its cells were made of
    }

    // Rows stay where they are while somebody has a menu open on one.
    show(rows) {
      if (!document.querySelector(".row-menu[open]")) this.place(rows);
      else for (const row of rows) if (this.drawn.has(row.id)) this.elementOf(row);
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
      cellsOf(row, this.page).forEach(({ of, cell, children }, at) => {
        const made = JSON.stringify(of);
        if (drawn.made[at] === made) return;
        drawn.made[at] = made;
        const td = element("td", cell || {}, ...children(of));
        if (drawn.tr.children[at]) drawn.tr.children[at].replaceWith(td);
        else drawn.tr.append(td);
      });
      return drawn.tr;
    }

    // now: the server's time, in milliseconds
    paintAges(now) {
      for (const { tr, row } of this.drawn.values()) {
        const cell = tr.querySelector(".age");
        say(cell.querySelector(".now"), rolloutwatch.age(now / 1000 - row.updated));
        say(cell.querySelector(".sub"), `began ${rolloutwatch.age(now / 1000 - row.started)}`);
        if (cell.dataset.at === String(row.updated)) continue;
        cell.dataset.at = row.updated;
        cell.title = `began ${rolloutwatch.moment(row.started)}, last heard of ${rolloutwatch.moment(row.updated)}`;
      }
    }

    closeMenus(event) {
      for (const open of document.querySelectorAll(".row-menu[open]")) {
        if (event.type === "keydown" ? event.key !== "Escape" : open.contains(event.target)) continue;
        open.open = false;
        if (event.type === "keydown") open.querySelector("summary").focus();
      }
    }
  };
})();
