// Charts that are as they came with their page: what their menus save is made of the figure that is drawn.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const VARIABLES = { "#0072b2": "--series-0", "#d55e00": "--series-1" }; // theme.SERIES, as charts.css has them
  const LEFT = 70; // pixels, for labels of a value axis
  const LARGER = 1.2; // are the letters of a picture
  const LEGEND = { orientation: "h", x: 1, xanchor: "right", y: 1, yanchor: "bottom", font: { size: 11 }, itemsizing: "constant" };
  const FORMULA = /^[=+\-@\t\r]/;
  const NUMBER = /^-?([0-9]+|Infinity)$/; // as text, where a number cannot be what it is

  class DrawnChart {
    constructor(name, title) {
      this.told = { name, id: name, title };
      this.graph = document.querySelector(`#${CSS.escape(name)} .js-plotly-plot`);
      const { text } = ((this.graph && this.graph.layout.xaxis) || {}).title || {};
      this.now = { axis: { title: text || "step" } };
    }

    // On a page the legend stands above the chart; in a picture, where there is nothing above it, within.
    picture() {
      const { data, layout } = this.graph;
      const isNamed = (trace) => Boolean(trace.name) && trace.showlegend !== false;
      return {
        data: data.map((trace) => ({ ...trace, showlegend: isNamed(trace) })),
        layout: { ...layout, showlegend: data.some(isNamed), legend: { ...LEGEND, ...layout.legend } },
        margin: { l: Math.max(LEFT, LARGER * layout.margin.l) },
      };
    }

    variable(color) {
      return VARIABLES[color] || null;
    }
  }

  // What ChartMenus asks for, of whichever charts the page has at the moment.
  rolloutwatch.DrawnCharts = class {
    // name: that of the page, in names of files; table(graph): what a chart shows, as columns {name, values}
    constructor(name, table) {
      this.name = name;
      this.table = table;
    }

    get charts() {
      const titled = (menu) => menu.closest(".card").querySelector("h3").textContent;
      return Array.from(document.querySelectorAll(".chart-menu"), (menu) => new DrawnChart(menu.dataset.chart, titled(menu)));
    }

    figures({ graph }) {
      if (!graph) throw new rolloutwatch.Refused("This chart is not drawn yet.");
      const columns = this.table(graph);
      if (!columns.length || !columns[0].values.length) throw new rolloutwatch.Refused("Nothing is drawn in this chart.");
      return new Blob([rolloutwatch.asCsv(columns)], { type: "text/csv" });
    }
  };

  // What figures/step_layout.table tells with a figure.
  rolloutwatch.toldTable = ({ layout }) => (layout.meta || {}).table || [];

  // Columns {name, values} as comma-separated values; what is not there is left out.
  rolloutwatch.asCsv = function (columns) {
    const rows = columns[0].values.map((_, at) => columns.map(({ values }) => cell(values[at])).join());
    return [columns.map(({ name }) => cell(name)).join(), ...rows, ""].join("\n");
  };

  // exports/text.cell: a text as a cell that no spreadsheet takes for a formula; a number is spelt so that it is read back.
  function cell(value) {
    if (value === null || value === undefined) return "";
    if (typeof value === "number" || NUMBER.test(value)) return String(value);
    const safe = FORMULA.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  }
})();
