// A dialog in which some of many are chosen: what is written narrows the list.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const MOST_LISTED = 200; // of more, what is written has to narrow the list

  // What is found by words that are all in it, in any order.
  rolloutwatch.finds = function (words, text) {
    const there = text.toLowerCase();
    return words.toLowerCase().split(/\s+/).every((word) => there.includes(word));
  };

  // {title, noun, items: [{value, label, hint}], chosen: [value], most, act(values)}; what is chosen stands first, in its order
  rolloutwatch.choose = function ({ title, noun, items, chosen, most, act }) {
    const element = rolloutwatch.element;
    const picked = new Set(chosen);
    const first = chosen.map((value) => items.find((item) => item.value === value)).filter(Boolean);
    const ordered = [...first, ...items.filter((item) => !first.includes(item))];
    const search = element("input", { type: "search", "aria-label": `Find ${noun}`, placeholder: `Find ${noun}`, autocomplete: "off", spellcheck: "false" });
    const list = element("div", { class: "choose-list", role: "group", "aria-label": noun });
    const count = element("span", { class: "quiet", role: "status" });
    const none = element("button", { type: "button", class: "act" }, "None");
    const cancel = element("button", { type: "button", class: "act" }, "Cancel");
    const yes = element("button", { type: "submit", class: "act first" }, "Show");
    const form = element("form", { method: "dialog" }, element("h2", { id: "choose-title" }, title), search, list, element("div", { class: "acts" }, count, none, cancel, yes));
    const dialog = element("dialog", { class: "ask choose", "aria-labelledby": "choose-title" }, form);

    function row(item) {
      const box = element("input", { type: "checkbox", value: item.value });
      box.checked = picked.has(item.value);
      box.disabled = !box.checked && picked.size >= most;
      box.addEventListener("change", () => {
        if (box.checked) picked.add(item.value);
        else picked.delete(item.value);
        say();
      });
      return element("label", {}, box, element("span", {}, item.label), element("span", { class: "quiet" }, item.hint));
    }

    function say() {
      count.textContent = `${picked.size} of at most ${most}`;
      for (const box of list.querySelectorAll("input")) box.disabled = !box.checked && picked.size >= most;
    }

    function fill() {
      const found = ordered.filter((item) => rolloutwatch.finds(search.value, `${item.label} ${item.hint}`));
      const more = found.length - MOST_LISTED;
      const rest = found.length ? (more > 0 ? `${more} more: write what to find` : "") : `No ${noun} found`;
      list.replaceChildren(...found.slice(0, MOST_LISTED).map(row), ...(rest ? [element("p", {}, rest)] : []));
      say();
    }

    search.addEventListener("input", fill);
    none.addEventListener("click", () => {
      picked.clear();
      fill();
    });
    cancel.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => dialog.remove());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      dialog.close();
      act(Array.from(picked));
    });
    fill();
    document.body.append(dialog);
    dialog.showModal();
    search.focus();
  };
})();
