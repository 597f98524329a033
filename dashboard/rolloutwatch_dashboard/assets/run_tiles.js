// The tiles of a run: one figure each, large, with its state and its trend.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const { CLASSES } = rolloutwatch.STATES;
  const { say } = rolloutwatch.head;
  const SVG = "http://www.w3.org/2000/svg";
  const ARROWS = { rising: "↗ rising", falling: "↘ falling", steady: "→ steady", "": "" };

  const $ = (id) => document.getElementById(id);

  rolloutwatch.paintTiles = function (standing) {
    for (const tile of standing.told.tiles) {
      const element = $(tile.id);
      if (!element) continue;
      const { state, word, now, isNow, isOff, small, values } = standing.judge(tile);
      const classes = ["tile", standing.isOver() ? "unknown" : state, isOff ? "off" : "", isNow ? "now" : ""];
      element.className = classes.filter(Boolean).join(" ");
      say(element.querySelector(".value"), now === undefined ? "–" : rolloutwatch.number(now));
      say(element.querySelector(".word"), standing.isOver() && CLASSES.includes(state) ? `was ${word}` : word);
      say(element.querySelector(".small"), small);
      paintTrend(element.querySelector(".trend"), values);
    }
  };

  function paintTrend(element, values) {
    const known = values.filter(Number.isFinite);
    if (!known.length) {
      element.replaceChildren();
      return;
    }
    if (!element.firstChild) {
      const drawing = document.createElementNS(SVG, "svg");
      drawing.setAttribute("viewBox", "0 0 100 24");
      drawing.setAttribute("preserveAspectRatio", "none");
      drawing.setAttribute("aria-hidden", "true");
      drawing.append(document.createElementNS(SVG, "path"));
      element.append(drawing, document.createElement("span"));
    }
    const [low, high] = [Math.min(...known), Math.max(...known)];
    let pen = "M";
    const path = values.map((value, index) => {
      if (!Number.isFinite(value)) {
        pen = "M";
        return "";
      }
      const x = (100 * index) / Math.max(values.length - 1, 1);
      const y = high > low ? 22 - (20 * (value - low)) / (high - low) : 12;
      const part = `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
      pen = "L";
      return part;
    });
    element.querySelector("path").setAttribute("d", path.join(""));
    say(element.querySelector("span"), ARROWS[rolloutwatch.trend(values)]);
  }
})();
