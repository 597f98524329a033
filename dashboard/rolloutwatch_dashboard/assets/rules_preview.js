// What edited rules would have done on a recorded run, beside those in force: counts, first steps, shares, and strips over steps.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const SVG = "http://www.w3.org/2000/svg";
  const [WIDTH, LANE, BETWEEN] = [400, 10, 3];
  const MOST_SAID = 5;
  const element = (...parts) => rolloutwatch.element(...parts);

  // Alerts of each rule as steps from where one fires to before where it ends, none of them behind the last step.
  function alertsOf(transitions, last) {
    const found = new Map();
    for (const { rule, change, step } of transitions) {
      if (step > last) continue;
      const alerts = found.get(rule) || [];
      if (change === "firing") alerts.push([step, last + 1]);
      else if (change === "resolved" && alerts.length) alerts[alerts.length - 1][1] = step;
      found.set(rule, alerts);
    }
    return found;
  }

  const length = (alerts) => alerts.reduce((sum, [from, to]) => sum + to - from, 0);
  const same = ([from, to]) => ([begin, end]) => from === begin && to === end;
  const overlaps = ([from, to]) => ([begin, end]) => from < Math.max(end, begin + 1) && begin < Math.max(to, from + 1);

  // Which alerts there are only now, only before, and now at other steps.
  function difference(before, after) {
    const changed = after.filter((one) => !before.some(same(one)));
    const moved = changed.filter((one) => before.some(overlaps(one)));
    const gone = before.filter((one) => !after.some(same(one)) && !after.some(overlaps(one)));
    return { fresh: changed.length - moved.length, moved: moved.length, gone: gone.length };
  }

  // How two sets of rules differ on the steps that both were tried on: a row for each rule that is other, or does other things.
  function compare(inForce, edited, trials) {
    const [former, later] = trials;
    const ends = trials.map((one) => one.to_step).filter((step) => step !== null);
    const [first, last] = [former.from_step ?? 0, ends.length ? Math.min(...ends) : -1];
    const [before, after] = trials.map((one) => alertsOf(one.transitions, last));
    const [old, now] = [inForce, edited].map((rules) => new Map(rules.map((one) => [one.name, one])));
    const rows = [...new Set([...now.keys(), ...old.keys()])].map((name) => {
      const [was, is] = [before.get(name) || [], after.get(name) || []];
      const state = !old.has(name) ? "added" : !now.has(name) ? "taken away" : JSON.stringify(old.get(name)) === JSON.stringify(now.get(name)) ? "" : "changed";
      return { name, state, severity: (now.get(name) || old.get(name)).severity, was, is, ...difference(was, is) };
    });
    const shown = rows.filter((one) => one.state || one.fresh || one.moved || one.gone);
    return { first, last, steps: last - first + 1, rows: shown, others: rows.length - shown.length, complete: former.complete && later.complete };
  }

  const percent = (alerts, steps) => (steps > 0 ? `${Number(((100 * length(alerts)) / steps).toPrecision(2))} %` : "–");
  const turned = (before, after) => (before === after ? before : `${before} → ${after}`);
  const firstOf = (alerts) => (alerts.length ? String(alerts[0][0]) : "none");

  function effect({ state, fresh, gone, moved }) {
    const parts = [[fresh, "new"], [gone, "gone"], [moved, "moved"]].filter(([count]) => count).map(([count, word]) => `${count} ${word}`);
    return [state, parts.join(", ") || "fires as before"].filter(Boolean).join(": ");
  }

  function said(alerts) {
    const told = alerts.slice(0, MOST_SAID).map(([from, to]) => `${from} to ${Math.max(from, to - 1)}`);
    const more = alerts.length - told.length;
    return told.length ? `steps ${told.join(", ")}${more > 0 ? ` and ${more} more` : ""}` : "no step";
  }

  // Where a rule fires over the steps of the run: as it is in force above, as edited below.
  function strip({ was, is, severity }, { first, steps }) {
    const make = (tag, attributes) => {
      const made = document.createElementNS(SVG, tag);
      for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
      return made;
    };
    const height = 2 * LANE + BETWEEN;
    const svg = make("svg", {
      viewBox: `0 0 ${WIDTH} ${height}`, preserveAspectRatio: "none", class: "rule-strip", role: "img",
      "aria-label": `In force it fires at ${said(was)}; edited at ${said(is)}.`,
    });
    for (const [alerts, y, kind] of [[was, 0, "before"], [is, LANE + BETWEEN, severity]]) {
      svg.append(make("rect", { x: 0, y, width: WIDTH, height: LANE, class: "lane" }));
      for (const [from, to] of alerts) {
        const [x, end] = [from, to].map((step) => (WIDTH * (step - first)) / steps);
        svg.append(make("rect", { x, y, width: Math.max(end - x, 2), height: LANE, class: `fires ${kind}` }));
      }
    }
    return svg;
  }

  function table(found) {
    const names = ["Rule", "What changes", "Alerts", "First step", "Share of steps", `Steps ${found.first} to ${found.last}`];
    const rows = found.rows.map((row) => {
      const cells = [
        [element("strong", { class: `health ${row.severity}` }, row.severity), " ", element("strong", {}, row.name)],
        [effect(row)],
        [turned(String(row.was.length), String(row.is.length))],
        [turned(firstOf(row.was), firstOf(row.is))],
        [turned(percent(row.was, found.steps), percent(row.is, found.steps))],
        [strip(row, found)],
      ];
      return element("tr", {}, ...cells.map((parts, at) => element("td", { "data-label": names[at] }, ...parts)));
    });
    const head = element("thead", {}, element("tr", {}, ...names.map((name) => element("th", {}, name))));
    return element("table", { class: "rows preview" }, head, element("tbody", {}, ...rows));
  }

  async function tryOn(run, document) {
    return rolloutwatch.ask("POST", `/api/v1/rules/check?run=${encodeURIComponent(run)}`, { document });
  }

  async function preview() {
    const editor = rolloutwatch.rulesEditor;
    const run = document.getElementById("rules-run").value;
    editor.tell("quiet", "Going through the run, once by the rules in force and once by these …");
    const edited = await tryOn(run, editor.text());
    if (!edited.ok) return editor.refuse(edited);
    const inForce = await rolloutwatch.ask("GET", "/api/v1/rules");
    const former = inForce.ok ? await tryOn(run, inForce.body.document) : inForce;
    if (!former.ok) return editor.refuse({ ...former, body: {} }); // its lines are not those of the editor
    const found = compare(former.body.rules, edited.body.rules, [former.body.run, edited.body.run]);
    show(editor, run, found);
  }

  function show(editor, run, found) {
    if (found.steps < 1) return editor.tell("quiet", `${run} has no step to try rules on.`);
    const heading = found.rows.length
      ? `On ${run}, ${found.steps} steps, by the rules in force and by these:`
      : `On ${run}, ${found.steps} steps, these rules do what those in force do.`;
    const others = found.rows.length && found.others ? `${found.others === 1 ? "One other rule is" : `${found.others} other rules are`} the same and ${found.others === 1 ? "does" : "do"} the same.` : "";
    const note = found.complete ? "" : `There was time and room for the steps up to ${found.last}.`;
    const save = element("button", { type: "button", class: "act first", "data-act": "save-rules", "data-needs": "admin" }, "Save these rules");
    editor.tell(
      "right",
      element("p", {}, heading),
      found.rows.length ? table(found) : null,
      found.rows.length ? element("p", { class: "quiet" }, [others, note, "In a strip the rules in force are above, these below."].filter(Boolean).join(" ")) : null,
      editor.isOwned() || !found.rows.length ? null : element("div", { class: "acts" }, save),
    );
  }

  rolloutwatch.rulesPreview = { compare, difference };
  rolloutwatch.acts["preview-rules"] = preview;
})();
