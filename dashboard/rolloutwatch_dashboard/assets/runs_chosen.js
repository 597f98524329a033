// Several runs chosen at once, and the bar that says what can be done with them. What is chosen stays so whatever comes,
// and whatever one looks for meanwhile.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});
  const { say } = rolloutwatch.head;
  const { element, link, button } = rolloutwatch;

  const $ = (id) => document.getElementById(id);

  // Which runs are chosen, until this tab is loaded anew: whoever has been to another page finds them so if they are listed.
  const chosen = new Set();

  rolloutwatch.RunsChosen = class {
    // page: a RunsPage, whose rows are chosen; most: so many runs are compared at once
    constructor(page, most) {
      [this.page, this.most] = [page, most];
      this.ids = chosen;
      this.isNew = true;
      this.bar = $("runs-chosen");
      this.count = element("span", { role: "status" });
      this.compare = element("span", {});
      this.archive = button("Archive", { class: "act", "data-needs": "operator" }, () => this.doArchive());
      const tags = button("Tags…", { class: "act", "data-needs": "operator" }, () => page.actions.askForTagsOf(this.rows()));
      this.erase = button("Delete…", { class: "act danger", "data-needs": "admin" }, () => page.actions.askToDeleteAll(this.rows()));
      const all = button("Choose all", { class: "act" }, () => this.choose(page.shown, true));
      const none = button("Choose none", { class: "act" }, () => this.choose(this.rows(), false));
      this.bar.replaceChildren(this.count, this.compare, this.archive, tags, this.erase, all, none);
    }

    // The box by which a run is chosen.
    box(row) {
      const made = element("input", { type: "checkbox", class: "choose", "aria-label": `Choose ${row.project} / ${row.name}`, checked: this.ids.has(row.id) });
      made.addEventListener("change", () => this.choose([row], made.checked));
      made.dataset.run = row.id;
      return made;
    }

    choose(rows, isChosen) {
      for (const { id } of rows) {
        if (isChosen) this.ids.add(id);
        else this.ids.delete(id);
      }
      const focused = document.activeElement;
      this.paint();
      // a button that has gone takes no focus with it
      if (this.bar.hidden && this.bar.contains(focused)) this.page.tools.search.focus();
    }

    // The rows that are chosen, in the order in which they are listed.
    rows() {
      const listed = this.page.shown.filter(({ id }) => this.ids.has(id));
      const others = [...this.ids].filter((id) => !listed.some((row) => row.id === id)).map((id) => this.page.rows.get(id));
      return [...listed, ...others.filter(Boolean)];
    }

    doArchive() {
      const rows = this.rows();
      this.page.actions.archiveAll(rows, !rows.every((row) => row.archived));
    }

    // Runs that are gone are chosen no more, once all are known.
    paint() {
      if (!this.page.left) {
        const known = this.isNew ? new Set(this.page.shown.map(({ id }) => id)) : this.page.rows;
        for (const id of this.ids) if (!known.has(id)) this.ids.delete(id);
        this.isNew = false;
      }
      for (const one of document.querySelectorAll("#runs-rows .choose")) one.checked = this.ids.has(one.dataset.run);
      const rows = this.rows();
      this.bar.hidden = rows.length < 2;
      if (this.bar.hidden) return;
      const unseen = rows.filter((row) => !this.page.shown.includes(row)).length;
      say(this.count, `${rows.length} runs chosen${unseen ? `, ${unseen} of them not listed here` : ""}`);
      say(this.archive, rows.every((row) => row.archived) ? "Take out of the archive" : "Archive");
      this.erase.disabled = rows.every((row) => row.state === "live");
      this.erase.title = this.erase.disabled ? "All of them are live: end their trainers first." : "";
      this.paintCompare(rows);
    }

    paintCompare(rows) {
      const href = `/compare?${rows.map(({ id }) => `run=${encodeURIComponent(id)}`).join("&")}`;
      if (this.compare.dataset.href === href) return;
      this.compare.dataset.href = href;
      const isTooMany = rows.length > this.most;
      this.compare.replaceChildren(isTooMany ? `At most ${this.most} are compared at once.` : link(href, { class: "act first" }, "Compare"));
    }
  };
})();
