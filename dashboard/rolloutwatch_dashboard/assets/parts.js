// The parts of a chart: its columns, and what is drawn of them.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const BEGINS = ["restart", "rollback", "takeover"]; // usual.BEGINS

  // What of a column is between two steps.
  function part({ step, value }, first, last) {
    const [begin, end] = [rolloutwatch.placeFrom(step, first), rolloutwatch.placeFrom(step, last + 1)];
    return new rolloutwatch.Column(step.slice(begin, end), value.slice(begin, end));
  }

  // The steps of which a figure that came with the page has all there are: its address may have changed since then.
  function endsOf(graph) {
    const found = / (\d+) (\d+)$/.exec(graph.layout.uirevision);
    return found ? [Number(found[1]), Number(found[2])] : null;
  }

  // A value that is told in words; NaN is null.
  const spelt = (text) => (text === "NaN" ? null : Number(text.replace("∞", "Infinity")));

  // A column of a line that came with the page. Of what has no value there it tells what is lost from what never came.
  function columnOf({ x, customdata }, index, lost) {
    const known = new Map();
    lost.x.forEach((step, at) => lost.customdata[at][0] === index && known.set(step, lost.customdata[at][1]));
    const there = Array.from(x, (step, at) => at).filter((at) => customdata[at] !== null || known.has(x[at]));
    const value = (at) => (customdata[at] === null ? spelt(known.get(x[at])) : customdata[at]);
    return new rolloutwatch.Column(there.map((at) => x[at]), there.map(value));
  }

  // A line through a column, broken where values stopped coming.
  function lineOf(column, scale) {
    const line = rolloutwatch.withGaps(column.step, column.value);
    line.drawn = rolloutwatch.drawn(line.value, scale);
    return line;
  }

  // usual.begins_of
  function beginsOf(marks) {
    const goneOn = marks.filter(({ kind, found }) => found === true && BEGINS.includes(kind)).map(({ step }) => step);
    const said = marks.filter(({ kind, found }) => found !== true && kind === "config").map(({ step }) => step + 1);
    return Array.from(new Set([...goneOn, ...said])).sort((one, other) => one - other);
  }

  // The usual range of a column, by what came before it too: that is known of the whole run, thinned perhaps.
  function usualOf(column, whole, told, marks) {
    const first = column.step.length ? column.step[0] : 0;
    const former = part(whole, 0, first - 1);
    const [steps, values] = [former.step.concat(column.step), former.value.concat(column.value)];
    return rolloutwatch.usualRanges(steps, values, told, beginsOf(marks), first);
  }

  // All steps of columns, each once.
  function stepsOf(columns) {
    const [{ step: first }] = columns;
    if (columns.every(({ step }) => step.length === first.length && step.every((one, at) => one === first[at]))) return first;
    return Array.from(new Set(columns.flatMap((column) => column.step))).sort((one, other) => one - other);
  }

  function dotsOf(line) {
    const alone = rolloutwatch.isolated(line.drawn);
    return { step: alone.map((at) => line.step[at]), drawn: alone.map((at) => line.drawn[at]) };
  }

  function meanOf(line, weight, scale) {
    const known = line.value.map((value) => (Number.isFinite(value) ? value : null));
    const value = rolloutwatch.smoothed(line.step, known, weight, rolloutwatch.unitOf(line.step));
    return { step: line.step, value, drawn: rolloutwatch.drawn(value, scale) };
  }

  function labelsOf({ labels }) {
    return {
      isPlaced: true,
      step: labels.map(([place]) => place),
      drawn: labels.map(([, height]) => height),
      text: labels.map(([, , text]) => text),
      side: labels.map(([, , , side]) => side),
    };
  }

  rolloutwatch.parts = { part, endsOf, columnOf, spelt, lineOf, beginsOf, usualOf, stepsOf, dotsOf, meanOf, labelsOf };
})();
