// One rule in the text that rules are written in: read and changed where it stands, so that all else, comments too, stays.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const HEAD = /^\s*\[/;
  const RULE = /^\s*\[\[\s*rule\s*\]\]\s*(#.*)?$/;
  const NUMBER = "[-+]?(?:\\d[\\d_]*\\.?\\d*|\\.\\d+)(?:[eE][-+]?\\d+)?";
  // a number on either side of a comparison, and not a part of a sum or a product
  const LIMIT = new RegExp(`(?<=[<>=]\\s*)(${NUMBER})(?=\\s*(?:$|\\)|,|and\\b|or\\b|[<>=!]))|(?<=^\\s*|[(]\\s*|\\b(?:and|or|not)\\s+)(${NUMBER})(?=\\s*[<>=!])`, "g");
  const VALUE = /^(\s*[A-Za-z_]+\s*=\s*)("[^"\\]*"|'[^']*'|[^\s#"'[{]+)(\s*(?:#.*)?)$/;

  // Lines that begin within a string of several lines are text, whatever they look like.
  function statements(lines) {
    let open = "";
    return lines.map((line) => {
      const isText = Boolean(open);
      for (const [mark] of line.matchAll(/"""|\x27\x27\x27/g)) open = open === mark ? "" : open || mark;
      return isText ? "" : line;
    });
  }

  // The lines of a rule, from the one after its head to the one before the next; null where it is not written so.
  function block(lines, name) {
    const told = statements(lines);
    for (let at = 0; at < told.length; at++) {
      if (!RULE.test(told[at])) continue;
      let end = at + 1;
      while (end < told.length && !HEAD.test(told[end])) end++;
      const named = told.slice(at + 1, end).some((line) => /^\s*name\s*=/.test(line) && valueOf(line) === name);
      if (named) return { told, first: at + 1, end };
    }
    return null;
  }

  // A value as it is written in one line, a text without its quotes; undefined where it is more than that.
  function valueOf(line) {
    const found = VALUE.exec(line);
    return found ? found[2].replace(/^(["'])(.*)\1$/, "$2") : undefined;
  }

  function lineOf({ told, first, end }, key) {
    for (let at = first; at < end; at++) if (new RegExp(`^\\s*${key}\\s*=`).test(told[at])) return at;
    return -1;
  }

  const limitsOf = (condition) => (condition === undefined ? [] : Array.from(condition.matchAll(LIMIT), ([one]) => one));

  // What a form may change of a rule, each as it is written; null if there is no such rule in the text.
  function read(document, name) {
    const found = block(document.split("\n"), name);
    if (!found) return null;
    const value = (key) => (lineOf(found, key) < 0 ? undefined : valueOf(found.told[lineOf(found, key)]));
    const short = ["above", "below"].filter((key) => value(key) !== undefined);
    return {
      when: limitsOf(value("when")),
      clear: limitsOf(value("clear")),
      short: Object.fromEntries(short.map((key) => [key, value(key)])),
      for_steps: value("for_steps") || "1",
      severity: value("severity"),
      enabled: value("enabled") || "true",
    };
  }

  // The text with one value of a rule changed, which is written anew if it was not there.
  function withValue(document, name, key, written) {
    const lines = document.split("\n");
    const found = block(lines, name);
    const at = lineOf(found, key);
    if (at >= 0) {
      const [, before, , after] = VALUE.exec(found.told[at]);
      lines[at] = before + written + after;
    } else lines.splice(lineOf(found, "name") + 1, 0, `${key} = ${written}`);
    return lines.join("\n");
  }

  // The text with other limits in the condition of a key, in the order in which they stand there.
  function withLimits(document, name, key, limits) {
    const lines = document.split("\n");
    const found = block(lines, name);
    const at = lineOf(found, key);
    const rest = [...limits];
    const [, before, quoted, after] = VALUE.exec(found.told[at]);
    lines[at] = before + quoted[0] + quoted.slice(1, -1).replace(LIMIT, () => rest.shift()) + quoted.slice(-1) + after;
    return lines.join("\n");
  }

  // The number of the line at which a rule begins, from 1 on.
  function placeOf(document, name) {
    const found = block(document.split("\n"), name);
    return found ? found.first : null;
  }

  rolloutwatch.rulesText = { read, withValue, withLimits, placeOf };
})();
