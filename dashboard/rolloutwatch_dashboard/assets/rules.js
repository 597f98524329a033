// The editor of rules: its line numbers, and what the server says of what is written in it.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const MS_BETWEEN_COUNTS = 300;
  const RULES = "/api/v1/rules";
  const MOST_SHOWN = 200;
  const $ = (id) => document.getElementById(id);
  const { element } = rolloutwatch;
  let known = {};
  let wrong = { line: null, text: "" }; // where the mistake is in which text

  function number() {
    const [area, lines] = [$("rules-document"), $("rules-lines")];
    if (!area || !lines) return;
    const count = area.value.split("\n").length;
    if (area.value !== wrong.text) wrong = { line: null, text: "" };
    const shown = `${count} ${wrong.line}`;
    if (lines.dataset.shown !== shown) {
      Object.assign(lines.dataset, { count, shown });
      lines.replaceChildren(...numbers(count, wrong.line));
    }
    if (lines.scrollTop !== area.scrollTop) lines.scrollTop = area.scrollTop;
    name($("rules-editor").dataset.version);
    if (known.document === undefined) return;
    offer();
    rolloutwatch.drafts.keep(area, known);
  }

  // The numbers of lines; that of the line with a mistake is marked.
  function numbers(count, marked) {
    const told = (from, to) => Array.from({ length: Math.max(to - from, 0) }, (_, at) => `${from + at}\n`).join("");
    if (!marked || marked > count) return [told(1, count + 1)];
    return [told(1, marked), element("mark", {}, `${marked}`), `\n${told(marked + 1, count + 1)}`];
  }

  // What the server calls the rules that the page shows, by which it knows when others were saved meanwhile.
  async function name(version) {
    if (known.version === version) return;
    known = { version, tag: null };
    const answer = await rolloutwatch.ask("GET", RULES);
    if (!answer.ok) known = {};
    else if (String(answer.body.version) === version) {
      Object.assign(known, { tag: answer.etag, document: answer.body.document });
    } else refresh();
  }

  // the page comes when it comes, and a document may be put there by the server
  setInterval(number, MS_BETWEEN_COUNTS);
  document.addEventListener("input", number);
  document.addEventListener("scroll", number, { capture: true, passive: true });

  // The answer may be below what is seen of the page.
  function tell(kind, ...parts) {
    $("rules-answer").replaceChildren(element("div", { class: kind }, ...parts));
    $("rules-answer").scrollIntoView({ block: "nearest" });
  }

  // What was written before, and is not saved, comes back. It is saved against those rules that it was written from.
  function offer() {
    const area = $("rules-document");
    const draft = area && rolloutwatch.drafts.take(area, known);
    if (!draft) return;
    const others = draft.tag !== known.tag;
    known.tag = draft.tag;
    const discard = element("button", { type: "button", class: "act" }, "Discard");
    discard.addEventListener("click", () => {
      rolloutwatch.drafts.drop();
      known = {};
      $("rules-answer").replaceChildren();
      refresh();
    });
    const text = `This is what you wrote before. It is not saved${others ? ", and others were saved meanwhile" : ""}.`;
    // no scrolling: nobody has asked for anything yet
    $("rules-answer").replaceChildren(element("div", { class: "quiet draft" }, element("p", {}, text), element("div", { class: "acts" }, discard)));
  }

  // What is wrong, at its place, which is shown and selected.
  function refuse(answer) {
    const told = answer.body;
    if (!told.line) return tell("wrong", element("p", {}, answer.text));
    wrong = { line: told.line, text: $("rules-document").value };
    const line = wrong.text.split("\n")[told.line - 1] || "";
    const place = told.column ? `Line ${told.line}, column ${told.column}` : `Line ${told.line}`;
    const caret = told.column ? `\n${" ".repeat(told.column - 1)}^` : "";
    tell(
      "wrong",
      element("p", {}, element("strong", {}, `${place}. `), withoutPlace(told, answer.text)),
      element("pre", {}, `${line}${caret}`),
      element("p", { class: "quiet" }, "Nothing was changed: the rules in force stay in force."),
    );
    select(told.line, told.column || 1, told.column ? 1 : line.length);
    $("rules-answer").scrollIntoView({ block: "nearest" });
    number();
  }

  // The text of a refusal begins with its place, which is told already.
  function withoutPlace(told, text) {
    const place = [told.file, `line ${told.line}`, told.column ? `column ${told.column}` : ""].filter(Boolean).join(", ");
    return text.startsWith(place) ? text.slice(place.length).replace(/^[,:]\s*/, "") : text;
  }

  function select(line, column, length) {
    const area = $("rules-document");
    const before = area.value.split("\n").slice(0, line - 1).join("\n");
    const from = before.length + (line > 1 ? 1 : 0) + column - 1;
    area.focus({ preventScroll: true });
    area.setSelectionRange(from, from + length);
    const height = area.scrollHeight / Math.max(area.value.split("\n").length, 1);
    area.scrollTop = Math.max(0, (line - 4) * height);
  }

  const rules = (count) => `${count} ${count === 1 ? "rule" : "rules"}`;
  const written = () => ({ document: $("rules-document").value });

  async function check() {
    const answer = await rolloutwatch.ask("POST", `${RULES}/check`, written());
    if (!answer.ok) return refuse(answer);
    tell("right", element("p", {}, `This can be saved: ${rules(answer.body.rules.length)}.`));
  }

  async function save(against) {
    const answer = await rolloutwatch.ask("PUT", RULES, written(), against ? { "if-match": against } : {});
    if (answer.status === 412) return tellOthers();
    if (!answer.ok) return refuse(answer);
    rolloutwatch.drafts.drop();
    rolloutwatch.say(`Saved. ${rules(answer.body.rules.length)} in force from the next step on.`);
    refresh();
  }

  // Others were saved while this was written; what was written is lost to nobody.
  async function tellOthers() {
    const others = await rolloutwatch.ask("GET", RULES);
    const who = others.body.author ? ` by ${others.body.author}` : "";
    const overwrite = element("button", { type: "button", class: "act danger" }, "Save mine instead");
    const load = element("button", { type: "button", class: "act" }, "Show theirs");
    overwrite.addEventListener("click", () => save(others.etag));
    load.addEventListener("click", () => {
      rolloutwatch.drafts.drop();
      $("rules-answer").replaceChildren();
      refresh();
    });
    const text = `Others were saved${who} meanwhile, and are in force. What you wrote still stands here, and is not saved.`;
    tell("wrong", element("p", {}, text), element("div", { class: "acts" }, load, overwrite));
  }

  function backToDefault() {
    rolloutwatch.open({
      title: "Back to the default rules?",
      text: "The default rules are in force from the next step on. What was saved here is not any more; alerts of rules that change end.",
      yes: "Back to the default rules",
      kind: "danger",
      act: async () => {
        const answer = await rolloutwatch.ask("DELETE", RULES);
        if (!answer.ok) return answer.text;
        rolloutwatch.drafts.drop();
        rolloutwatch.say("The default rules are in force.");
        refresh();
        return "";
      },
    });
  }

  function refresh() {
    window.dash_clientside.set_props("refresh", { data: Date.now() });
  }

  async function tryThem() {
    const run = $("rules-run").value;
    tell("quiet", "Going through the run …");
    const answer = await rolloutwatch.ask("POST", `${RULES}/check?run=${encodeURIComponent(run)}`, written());
    if (!answer.ok) return refuse(answer);
    const tried = answer.body.run;
    const found = tried.transitions;
    const heading = found.length ? `On ${run} they would have done this:` : `On ${run} nothing would have fired.`;
    const notes = [
      tried.complete ? "" : `There was time for the steps up to ${tried.to_step}.`,
      found.length > MOST_SHOWN ? `The first ${MOST_SHOWN} of ${found.length} are shown.` : "",
    ];
    const shown = found.length ? [table(found.slice(0, MOST_SHOWN))] : [];
    tell("right", element("p", {}, heading), ...shown, element("p", { class: "quiet" }, notes.filter(Boolean).join(" ")));
  }

  function table(transitions) {
    const cells = (one) => [
      ["Step", String(one.step)],
      ["Rule", one.rule],
      ["What", one.reason ? `${one.change}: ${one.reason}` : one.change],
      ["Figures", Object.entries(one.values || {}).map(([name, value]) => `${name} ${rolloutwatch.toldNumber(value)}`).join(", ")],
    ];
    const names = ["Step", "Rule", "What", "Figures"];
    const head = element("thead", {}, element("tr", {}, ...names.map((name) => element("th", {}, name))));
    const rows = transitions.map((one) =>
      element("tr", {}, ...cells(one).map(([name, text]) => element("td", { "data-label": name }, text))),
    );
    return element("table", { class: "rows" }, head, element("tbody", {}, ...rows));
  }

  // Put a text into the editor that is not saved yet, and show one of its lines.
  function put(text, line) {
    const area = $("rules-document");
    if (text === area.value) return tell("quiet", element("p", {}, "Nothing was changed."));
    window.dash_clientside.set_props(area.id, { value: text });
    const length = (text.split("\n")[line - 1] || "").length;
    requestAnimationFrame(() => select(line, 1, length));
    tell("right", element("p", {}, "It is written into the text, and not saved yet."), element("div", { class: "acts" }, ...offered()));
  }

  // What one does next: see what it would have done, or save it.
  function offered() {
    const preview = $("rules-run") ? [element("button", { type: "button", class: "act", "data-act": "preview-rules" }, "Preview on the run")] : [];
    return [...preview, element("button", { type: "button", class: "act first", "data-act": "save-rules", "data-needs": "admin" }, "Save these rules")];
  }

  const isOwned = () => Boolean($("rules-editor").dataset.owned);
  rolloutwatch.rulesEditor = { text: () => $("rules-document").value, tell, refuse, put, isOwned };

  Object.assign(rolloutwatch.acts, {
    "check-rules": check,
    "save-rules": () => save(known.tag),
    "default-rules": backToDefault,
    "try-rules": tryThem,
  });
})();
