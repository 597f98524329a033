// What can be done with one chart: another value axis, a picture, its figures, a link to it.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const [WIDTH, HEIGHT, SCALE] = [960, 420, 2];
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
    const { data, layout, margin } = chart.picture();
    const isDark = document.documentElement.dataset.theme === "dark";
    const seen = (trace) => {
      const changed = {};
      for (const part of ["line", "marker"]) {
        const known = trace[part] && trace[part].color;
        const ofDark = (one) => (typeof one === "string" && chart.variable(one) ? color(chart.variable(one)) : one);
        if (known) changed[part] = { ...trace[part], color: Array.isArray(known) ? known.map(ofDark) : ofDark(known) };
      }
      return isDark ? { ...trace, ...changed } : trace;
    };
    const title = { text: plain(`${chart.told.title} · ${board.name}`), x: 0.02, xanchor: "left", y: 0.96, yanchor: "top", font: { size: 15 } };
    return {
      data: data.map(seen),
      layout: {
        ...layout,
        title,
        paper_bgcolor: color("--card"),
        plot_bgcolor: color("--card"),
        font: { ...layout.font, color: color("--text"), size: 12 },
        margin: { l: 70, r: 20, t: 64, b: 48, autoexpand: false, ...margin },
        xaxis: { ...layout.xaxis, title: { text: plain(chart.now.axis.title) } },
      },
    };
  }

  async function saveFigures(chart, board) {
    try {
      const url = URL.createObjectURL(await (chart.figures ? chart.figures() : board.figures(chart)));
      save(url, `${fileName(chart, board)}.csv`);
      setTimeout(() => URL.revokeObjectURL(url), MS_TO_KEEP);
    } catch (error) {
      rolloutwatch.say(error instanceof Refused ? error.message : "The figures could not be fetched: the server does not answer.", "bad");
    }
  }

  // Why there are no figures, in words.
  const Refused = (rolloutwatch.Refused = class extends Error {});

  // What the server exports of a run; `path` is that of the run.
  rolloutwatch.exported = async function (path, query) {
    const answer = await fetch(`${path}/export?${query}`);
    if (!answer.ok) throw new Refused(`The figures could not be fetched: ${(await answer.json()).detail || answer.statusText}`);
    return answer.blob();
  };

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

  const fileName = (chart, board) => `${board.name} ${chart.told.title}`.replace(/[^\p{L}\p{N}._-]+/gu, "-").slice(0, 100);
  const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

  rolloutwatch.chartActions = { log: toggleLog, png: savePicture, csv: saveFigures, link: copyLink };
})();
