// What can be done with one chart: another value axis, a picture, its figures, a link to it.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const [WIDTH, HEIGHT, SCALE] = [960, 420, 2];
  const AXES = { step: "step", time: "time", relative: "time since the start" };
  const MS_TO_KEEP = 60000;

  function toggleLog(chart, board) {
    const { name, floor } = chart.told;
    const other = floor > 0 ? `-${name}` : name;
    const { log } = board.view.get();
    board.view.set({ log: log.includes(other) ? log.filter((one) => one !== other) : [...log, other] });
  }

  async function savePicture(chart, board) {
    if (!chart.graph) return rolloutwatch.say("This chart is not drawn yet.", "bad");
    const url = await window.Plotly.toImage(pictureOf(chart, board), { format: "png", width: WIDTH, height: HEIGHT, scale: SCALE });
    save(url, `${fileName(chart, board)}.png`);
  }

  // The chart as a figure by itself, with its title, in the colours that one sees: those of plotly are overridden by style.css.
  function pictureOf(chart, board) {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    const { data, layout } = chart.graph;
    const isDark = document.documentElement.dataset.theme === "dark";
    const seen = (trace) => {
      const index = Array.from(new Set(chart.colors)).indexOf(trace.line ? trace.line.color : "");
      if (!isDark || index < 0) return trace;
      return { ...trace, line: { ...trace.line, color: color(`--series-${index}`) } };
    };
    const title = { text: plain(`${chart.told.title} · ${board.told.name}`), x: 0.02, xanchor: "left", font: { size: 15 } };
    return {
      data: data.map(seen),
      layout: {
        ...layout,
        title,
        paper_bgcolor: color("--card"),
        plot_bgcolor: color("--card"),
        font: { ...layout.font, color: color("--text"), size: 12 },
        margin: { l: 70, r: 20, t: 64, b: 48, autoexpand: false },
        xaxis: { ...layout.xaxis, title: { text: AXES[chart.now.axis.kind] } },
      },
    };
  }

  async function saveFigures(chart, board) {
    const known = board.page.known;
    const metrics = chart.told.metrics.filter((metric) => known.has(metric));
    if (!metrics.length) return rolloutwatch.say("No figure of this chart has come yet.", "bad");
    const query = new URLSearchParams({ format: "csv" });
    const zoom = board.zoom(board.view.get());
    if (zoom) query.set("from_step", zoom[0]);
    if (zoom && Number.isFinite(zoom[1])) query.set("to_step", zoom[1]);
    for (const metric of metrics) query.append("metric", metric);
    const failed = (why) => rolloutwatch.say(`The figures could not be fetched: ${why}`, "bad");
    try {
      const answer = await fetch(`${board.page.feed.path}/export?${query}`);
      if (!answer.ok) return failed((await answer.json()).detail || answer.statusText);
      const url = URL.createObjectURL(await answer.blob());
      save(url, `${fileName(chart, board)}.csv`);
      setTimeout(() => URL.revokeObjectURL(url), MS_TO_KEEP);
    } catch {
      failed("the server does not answer.");
    }
  }

  function copyLink(chart, board) {
    const link = `${board.view.link().replace(/#.*$/, "")}#${chart.told.id}`;
    return rolloutwatch.copyLink(link, "The link to this chart, as you see it, is copied.");
  }

  function save(url, name) {
    const link = rolloutwatch.element("a", { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
  }

  const fileName = (chart, board) => `${board.told.name} ${chart.told.title}`.replace(/[^\p{L}\p{N}._-]+/gu, "-").slice(0, 100);
  const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

  rolloutwatch.chartActions = { log: toggleLog, png: savePicture, csv: saveFigures, link: copyLink };
})();
