// What stands above the table of runs: search, states, tags, archive and, on a phone, the order.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const { say } = rolloutwatch.head;
  const { element, button } = rolloutwatch;

  const $ = (id) => document.getElementById(id);

  rolloutwatch.RunsTools = class {
    // page: a RunsPage, whose view is shown and changed
    constructor(page) {
      this.page = page;
      const { STATES } = rolloutwatch.runs;
      this.search = element("input", { type: "search", placeholder: "Search names and tags", "aria-label": "Search runs", autocomplete: "off", spellcheck: "false" });
      this.search.addEventListener("input", () => page.change({ q: this.search.value }));
      this.stateButtons = new Map(
        STATES.map((state) => [
          state,
          button(state, { class: "choice" }, () => {
            const { states } = page.view;
            page.change({ states: STATES.filter((one) => (one === state) !== states.includes(one)) });
          }),
        ]),
      );
      this.tagChoice = element("select", { "aria-label": "Show runs with a tag" });
      this.tagChoice.addEventListener("change", () => page.change({ tags: [...new Set([...page.view.tags, this.tagChoice.value])] }));
      this.tagsChosen = element("span", { class: "tags-chosen" });
      this.archived = element("input", { type: "checkbox" });
      this.archived.addEventListener("change", () => page.change({ archived: this.archived.checked }));
      this.archivedText = element("span", {});
      this.archivedLabel = element("label", { class: "choice-archived" }, this.archived, this.archivedText);
      // on a phone there are no heads of columns to sort by
      this.order = element(
        "select",
        { "aria-label": "Sort by" },
        ...Array.from(document.querySelectorAll("#runs [data-sort]"), (head) => element("option", { value: head.dataset.sort }, `Sort: ${head.textContent}`)),
      );
      this.order.addEventListener("change", () => page.change({ sort: this.order.value, reversed: false }));
      const states = element("span", { class: "choices", role: "group", "aria-label": "Show runs that are" }, ...this.stateButtons.values());
      $("runs-tools").replaceChildren(this.search, states, this.tagChoice, this.tagsChosen, this.archivedLabel, element("label", { class: "order" }, this.order));
    }

    paint(rows) {
      const { view } = this.page;
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
      // a column may be sorted by either of two things that stand in it
      for (const column of document.querySelectorAll("#runs th")) {
        column.removeAttribute("aria-sort");
        for (const head of column.querySelectorAll("[data-sort]")) {
          const isOn = head.dataset.sort === view.sort;
          if (isOn) column.setAttribute("aria-sort", view.reversed ? "ascending" : "descending");
          head.classList.toggle("on", isOn);
          head.classList.toggle("reversed", isOn && view.reversed);
        }
      }
    }

    paintTags(rows) {
      const { page } = this;
      const { view } = page;
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
          button(`${tag} ×`, { class: "tag on", "aria-label": `Do not ask for the tag ${tag}` }, () => page.change({ tags: view.tags.filter((one) => one !== tag) })),
        ),
      );
    }
  };
})();
