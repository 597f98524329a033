// The heat map as a picture, and as figures: pure functions of what is drawn.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});
  const { heat } = rolloutwatch;

  const HEAD = "first_step,last_step,steps,log_ratio_from,log_ratio_to,tokens,share_of_tokens";

  // A cell with tokens on each line, column by column; of the outer bins one end is infinite.
  heat.asCsv = function (columns, edges) {
    const ends = [-Infinity, ...edges, Infinity];
    const lines = columns.flatMap(({ first, last, steps, bin, counts, total }) =>
      counts.flatMap((count, at) => (count ? [[first, last, steps, ends[bin + at], ends[bin + at + 1], count, count / total].join()] : [])),
    );
    return [HEAD, ...lines, ""].join("\n");
  };

  // The figure with a scale of its colours above it; on dark ground as heatmap.css turns them around.
  heat.picture = function ({ data, layout }, [low, high], isDark) {
    const powers = Array.from({ length: high - low + 1 }, (_, at) => low + at);
    const [trace, ...rest] = data;
    const colorbar = {
      orientation: "h", x: 1, xanchor: "right", y: 1.01, yanchor: "bottom", len: 0.42, thickness: 8, outlinewidth: 0,
      tickvals: powers, ticktext: powers.map(heat.percentOfPower), ticks: "", ticklabelposition: "outside top",
      title: { text: "of a step's tokens", side: "top", font: { size: 11 } },
    };
    const colorscale = isDark ? trace.colorscale.map(([at, color]) => [at, turned(color)]) : trace.colorscale;
    return { data: [{ ...trace, colorscale, showscale: true, colorbar }, ...rest], layout, margin: { r: layout.margin.r, t: 84 } };
  };

  // invert(1) hue-rotate(180deg), which is what the Filter Effects module says
  function turned(color) {
    const [r, g, b] = [1, 3, 5].map((at) => 255 - parseInt(color.slice(at, at + 2), 16));
    const mixed = [-0.574 * r + 1.43 * g + 0.144 * b, 0.426 * r + 0.43 * g + 0.144 * b, 0.426 * r + 1.43 * g - 0.856 * b];
    return `rgb(${mixed.map((one) => Math.round(Math.min(Math.max(one, 0), 255))).join(", ")})`;
  }
})();
