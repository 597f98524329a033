// One rule by a form: what is chosen there is written into the text of the editor, which is what is saved.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const STATES = [["true", "on"], ["false", "off"]];
  const SEVERITIES = ["warning", "critical"].map((one) => [one, one]);
  const WRITTEN = /^[-+]?(\d[\d_]*\.?\d*|\.\d+)([eE][-+]?\d+)?$/;

  // A field for each limit of a condition, if it has as many as the server reads there: else they are no plain limits.
  function limitFields(key, limits, labels, lead) {
    if (limits.length !== labels.length) return [];
    return limits.map((value, at) => ({ name: `${key}-${at}`, label: `${lead} ${labels[at]}`, kind: "text", value, most: 30 }));
  }

  function fieldsOf(rule, told) {
    const short = Object.entries(rule.short).map(([key, value]) => ({ name: key, label: `Fires ${key}`, kind: "text", value, most: 30 }));
    return [
      ...limitFields("when", rule.when, JSON.parse(told.when), "Fires when"),
      ...short,
      ...limitFields("clear", rule.clear, JSON.parse(told.clear), "Ends when"),
      { name: "for_steps", label: "At so many steps in a row", kind: "text", value: rule.for_steps, most: 10 },
      { name: "severity", label: "Severity", kind: "choice", value: rule.severity, choices: SEVERITIES },
      { name: "enabled", label: "The rule is", kind: "choice", value: rule.enabled, choices: STATES },
    ];
  }

  // The text with what was chosen; what stays as it was is not touched.
  function written(text, name, rule, given) {
    const { withValue, withLimits } = rolloutwatch.rulesText;
    for (const key of ["when", "clear"]) {
      const limits = rule[key].map((value, at) => given[`${key}-${at}`] ?? value);
      if (limits.some((value, at) => value !== rule[key][at])) text = withLimits(text, name, key, limits);
    }
    for (const key of Object.keys(rule.short)) if (given[key] !== rule.short[key]) text = withValue(text, name, key, given[key]);
    for (const key of ["for_steps", "enabled"]) if (given[key] !== rule[key]) text = withValue(text, name, key, given[key]);
    if (given.severity !== rule.severity) text = withValue(text, name, "severity", `"${given.severity}"`);
    return text;
  }

  function wrongNumber(fields, given) {
    const field = fields.find(({ name, kind }) => kind === "text" && !WRITTEN.test(given[name].trim()));
    return field ? `${field.label}: expected a number such as 0.05 or 1e-4; came “${given[field.name]}”.` : "";
  }

  function edit(told) {
    const editor = rolloutwatch.rulesEditor;
    const rule = rolloutwatch.rulesText.read(editor.text(), told.rule);
    if (!rule) return rolloutwatch.say(`No [[rule]] of the text below is named ${told.rule}: change it there.`, "bad");
    const fields = fieldsOf(rule, told);
    rolloutwatch.open({
      title: `Edit ${told.rule}`,
      text: "What you choose is written into the text below, where it can be previewed on a run. Nothing is in force before it is saved.",
      fields,
      yes: "Write it",
      act: async (given) => {
        const wrong = wrongNumber(fields, given);
        if (wrong) return wrong;
        for (const { name, kind } of fields) if (kind === "text") given[name] = given[name].trim();
        const text = written(editor.text(), told.rule, rule, given);
        const answer = await rolloutwatch.ask("POST", "/api/v1/rules/check", { document: text });
        if (!answer.ok) return answer.text;
        editor.put(text, rolloutwatch.rulesText.placeOf(text, told.rule));
        return "";
      },
    });
  }

  rolloutwatch.acts["edit-rule"] = edit;
})();
