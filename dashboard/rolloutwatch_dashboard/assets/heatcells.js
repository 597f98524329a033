// Columns of steps with the histogram of each, and what is drawn of them: pure functions, the last ones as in figures/heatmap.py.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});
  const heat = (rolloutwatch.heat = {});

  const { USUAL_SHARE, GAP } = rolloutwatch.gap;
  const AIR = 4;
  const LEAST_ROWS = 40;
  const MOST_DECADES = 7;
  const STEPS_WITH_TICKS = 8;

  const sum = (numbers) => numbers.reduce((total, one) => total + one, 0);

  // The columns of an answer of /histograms, one by one: {first, last, steps, bin, counts, total}.
  heat.columnsOf = function ({ first, last, steps, bin, counts }) {
    return first.map((_, at) => ({
      first: first[at], last: last[at], steps: steps[at], bin: bin[at], counts: counts[at], total: sum(counts[at]),
    }));
  };

  // The same in columns of a width that is not less than theirs.
  heat.wider = function (columns, width) {
    const found = [];
    for (const column of columns) {
      const former = found[found.length - 1];
      const isOfIt = former && Math.floor(former.first / width) === Math.floor(column.first / width);
      if (isOfIt) found[found.length - 1] = united(former, column);
      else found.push(column);
    }
    return found;
  };

  function united(one, other) {
    const bin = Math.min(one.bin, other.bin);
    const end = Math.max(one.bin + one.counts.length, other.bin + other.counts.length);
    const counts = Array.from({ length: end - bin }, (_, at) => heat.count(one, bin + at) + heat.count(other, bin + at));
    return { first: one.first, last: other.last, steps: one.steps + other.steps, bin, counts, total: one.total + other.total };
  }

  // How many tokens of a column are in a bin.
  heat.count = (column, bin) => column.counts[bin - column.bin] || 0;

  // What one has, with an answer in the place of all that is from its first step on; no more columns than `most`.
  heat.put = function (known, answer, most) {
    const from = answer.from_step === null ? 0 : answer.from_step;
    const kept = known.columns.filter((column) => column.first < from);
    let width = Math.max(known.width, answer.width);
    let columns = heat.wider([...kept, ...heat.columnsOf(answer.columns)], width);
    while (columns.length > most) {
      width *= 2;
      columns = heat.wider(columns, width);
    }
    return { columns, width };
  };

  // heatmap.edges_of
  heat.edgesOf = function (columns) {
    if (!columns.length) return { x: [], column: [] };
    const apart = columns.slice(1).map((column, at) => column.first - columns[at].last);
    const sorted = apart.slice().sort((one, other) => one - other);
    const usual = sorted.length ? sorted[Math.trunc(USUAL_SHARE * (sorted.length - 1))] : 1;
    const [x, column] = [[columns[0].first - usual / 2], [0]];
    apart.forEach((distance, at) => {
      const [former, later] = [columns[at].last, columns[at + 1].first];
      if (distance > GAP * usual) {
        x.push(former + usual / 2, later - usual / 2);
        column.push(null, at + 1);
      } else {
        x.push((former + later) / 2);
        column.push(at + 1);
      }
    });
    x.push(columns[columns.length - 1].last + usual / 2);
    return { x, column };
  };

  // heatmap.cells, with heatmap.color_range as `colors`
  heat.cells = function (columns, bins) {
    const { x, column } = heat.edgesOf(columns);
    let [low, high] = [bins, 0];
    for (const one of columns) {
      if (!one.total) continue;
      low = Math.min(low, one.bin);
      high = Math.max(high, one.bin + one.counts.length);
    }
    if (low >= high) return { x, z: [], low: bins >> 1, column, colors: [-1, 0] };
    let [least, most] = [Infinity, -Infinity];
    const z = Array.from({ length: high - low }, (_, row) =>
      column.map((at) => {
        const count = at === null ? 0 : heat.count(columns[at], low + row);
        if (!count) return null;
        const share = Math.log10(count / columns[at].total);
        if (share < least) least = share;
        if (share > most) most = share;
        return share;
      }),
    );
    const top = Math.ceil(most);
    const colors = [Math.min(Math.max(Math.floor(least), top - MOST_DECADES), top - 1), top];
    return { x, z, low, column, colors };
  };

  // heatmap.rows_in_view
  heat.rowsInView = function (rows, thresholds, bins) {
    const middle = bins / 2;
    const ends = [...(rows ? rows.map((row) => row - middle) : []), ...thresholds];
    const [low, high] = [Math.min(...ends, ...(ends.length ? [] : [0])) - AIR, Math.max(...ends, ...(ends.length ? [] : [0])) + AIR];
    const lacking = Math.max(0, LEAST_ROWS - (high - low)) / 2;
    const farthest = middle + 1;
    return [Math.max(low - lacking, -farthest), Math.min(high + lacking, farthest)];
  };

  // heatmap.filled
  heat.filled = function (figure, cells, thresholds, bins, ends) {
    const [trace, ...rest] = figure.data;
    const y = Array.from({ length: cells.z.length ? cells.z.length + 1 : 1 }, (_, row) => cells.low + row - bins / 2);
    const rows = cells.z.length ? [cells.low, cells.low + cells.z.length] : null;
    const whole = cells.x.length ? [cells.x[0], cells.x[cells.x.length - 1]] : [0, 1];
    const seen = ends ? { range: ends[0] < ends[1] ? ends : [ends[0] - 1, ends[0] + 1], autorange: false } : { range: whole };
    const shortly = seen.range[1] - seen.range[0] < STEPS_WITH_TICKS ? { tick0: 0, dtick: 1 } : {};
    const { layout } = figure;
    return {
      data: [{ ...trace, x: cells.x, y, z: cells.z, zmin: cells.colors[0], zmax: cells.colors[1] }, ...rest],
      layout: {
        ...layout,
        shapes: [...layout.shapes, ...gaps(cells, layout.yaxis.gridcolor)],
        xaxis: { ...layout.xaxis, ...seen, ...shortly },
        yaxis: { ...layout.yaxis, range: heat.rowsInView(rows, thresholds, bins) },
      },
    };
  };

  // The same along another axis than that of steps; where time went back, a column has no width.
  heat.along = function ({ data, layout }, axis) {
    if (axis.kind === "step" || axis.isEmpty()) return { data, layout };
    const [{ x, ...trace }, ...rest] = data;
    let most = -Infinity;
    const placed = Array.from(x, (edge) => (most = Math.max(most, axis.x(edge))));
    const moved = (shape) => (shape.xref === "x" ? { ...shape, x0: axis.x(shape.x0), x1: axis.x(shape.x1) } : shape);
    const range = layout.xaxis.range.map((end) => axis.x(end));
    const { tickvals, ticktext } = axis.tickmarks(...range);
    return {
      data: [{ ...trace, x: placed }, ...rest],
      layout: { ...layout, shapes: layout.shapes.map(moved), xaxis: { ...layout.xaxis, range, tickmode: "array", tickvals, ticktext } },
    };
  };

  function gaps({ x, column }, fillcolor) {
    const shade = { type: "rect", name: "no histogram", xref: "x", yref: "paper", y0: 0, y1: 1, layer: "below" };
    return column.flatMap((one, at) => (one === null ? [{ ...shade, x0: x[at], x1: x[at + 1], fillcolor, line: { width: 0 } }] : []));
  }

  // The log ratios of a bin in words; the outer ones are open.
  heat.binText = function (edges, bin) {
    if (bin === 0) return `below ${rolloutwatch.number(edges[0])}`;
    if (bin === edges.length) return `above ${rolloutwatch.number(edges[bin - 1])}`;
    return `${rolloutwatch.number(edges[bin - 1])} to ${rolloutwatch.number(edges[bin])}`;
  };

  // A share of tokens in percent.
  heat.percent = (share) => `${rolloutwatch.number(100 * share)} %`;

  // The same of a power of ten.
  heat.percentOfPower = (power) => (power < -5 ? `1e${power + 2} %` : heat.percent(10 ** power));

  // A cell in words.
  heat.cellText = function (column, bin, edges) {
    const count = heat.count(column, bin);
    const one = column.first === column.last;
    const steps = one ? `Step ${column.first}` : `Steps ${column.first} to ${column.last}`;
    const of = one || column.steps === column.last - column.first + 1 ? "" : ` (${column.steps} with a histogram)`;
    const share = count ? `${heat.percent(count / column.total)} of tokens (${count} of ${column.total})` : `no token of ${column.total}`;
    return `${steps}${of}: log ratio ${heat.binText(edges, bin)}, ${share}`;
  };
})();
