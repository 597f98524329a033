// What people are asked before something is done, and what they are told of it. Texts are text, whoever wrote them.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const MS_OF_A_WORD = 8000;

  // An element with attributes and children, which are elements or text.
  const element = (rolloutwatch.element = function (tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === true) made.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  });

  // Ask the API. {ok, status, body, etag, text}; `text` says in words what went wrong.
  rolloutwatch.ask = async function (method, path, body, headers) {
    const sent = body === undefined ? {} : { "content-type": "application/json" };
    try {
      const answer = await fetch(path, {
        method,
        headers: { ...sent, ...headers },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      if (answer.status === 401) {
        location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
      }
      const text = await answer.text();
      const told = read(text);
      return { ok: answer.ok, status: answer.status, body: told, etag: answer.headers.get("etag"), text: said(answer, told) };
    } catch {
      return { ok: false, status: 0, body: {}, etag: null, text: "The server does not answer. Nothing was changed." };
    }
  };

  function read(text) {
    try {
      return JSON.parse(text) || {};
    } catch {
      return {}; // no body, or none that is ours
    }
  }

  function said(answer, told) {
    if (answer.ok) return "";
    return told.detail || `The server refuses: ${answer.status} ${answer.statusText}`;
  }

  // A word that goes away by itself.
  rolloutwatch.say = function (text, kind) {
    for (const old of document.querySelectorAll(".toast")) old.remove();
    const toast = element("div", { class: `toast ${kind || ""}`, role: "alert" }, text);
    toast.addEventListener("click", () => toast.remove());
    document.body.append(toast);
    setTimeout(() => toast.remove(), MS_OF_A_WORD);
  };

  // A field of a dialog: {name, label, kind: "text" | "area" | "choice", value, choices: [[value, text]], most, optional}
  function field(told) {
    const common = { name: told.name, id: `ask-${told.name}` };
    const label = element("label", { for: common.id }, told.label);
    if (told.kind === "choice") {
      const options = told.choices.map(([value, text]) => element("option", { value, selected: value === told.value }, text));
      return [label, element("select", common, ...options)];
    }
    const limits = { maxlength: told.most, autocomplete: "off", spellcheck: told.kind === "area" ? null : "false" };
    if (told.kind === "area") return [label, element("textarea", { ...common, ...limits, rows: 3 })];
    return [label, element("input", { ...common, ...limits, value: told.value, required: !told.optional })];
  }

  function put(title, kind, form) {
    const dialog = element("dialog", { class: `ask ${kind || ""}`.trim(), "aria-labelledby": title.id }, form);
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
    return dialog;
  }

  // Show something in a dialog with nothing to do but close it.
  rolloutwatch.show = function (title, kind, ...shown) {
    const heading = element("h2", { id: "shown-title" }, title);
    const close = element("button", { type: "submit", class: "act first" }, "Close");
    put(heading, kind, element("form", { method: "dialog" }, heading, ...shown, element("div", { class: "acts" }, close)));
    close.focus({ preventScroll: true });
  };

  // Open a dialog. `act(values)` does what is asked for and returns what went wrong in words, or nothing; then it closes.
  rolloutwatch.open = function ({ title, text, fields, yes, kind, act }) {
    const heading = element("h2", { id: "ask-title" }, title);
    const wrong = element("p", { class: "wrong", role: "alert", hidden: true });
    const cancel = element("button", { type: "button", class: "act" }, "Cancel");
    const confirm = element("button", { type: "submit", class: `act first ${kind || ""}` }, yes);
    const form = element(
      "form",
      { method: "dialog" },
      heading,
      text ? element("p", {}, text) : null,
      ...(fields || []).flatMap(field),
      wrong,
      element("div", { class: "acts" }, cancel, confirm),
    );
    cancel.addEventListener("click", () => dialog.close());
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      confirm.disabled = true;
      const failure = await act(Object.fromEntries(new FormData(form)));
      confirm.disabled = false;
      if (!failure) return dialog.close();
      wrong.textContent = failure;
      wrong.hidden = false;
    });
    const dialog = put(heading, "", form);
  };
})();
