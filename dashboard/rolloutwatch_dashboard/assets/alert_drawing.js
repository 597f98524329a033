// What is drawn and written of one alert: its chart, its life, and the field for a moment. Texts are text, whoever wrote them.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const SVG = "http://www.w3.org/2000/svg";
  const element = (...parts) => rolloutwatch.element(...parts); // it is there once pages are

  function make(tag, attributes, ...children) {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  // One line in its box, with the stretch in which the alert fired behind it.
  function drawing(told, line, [width, height]) {
    const [from, to] = told.fired;
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    svg.append(make("rect", { x: from, y: 0, width: Math.max(to - from, 2), height, class: `fired ${told.severity}` }));
    for (const [y] of line.limits) svg.append(make("path", { d: `M0 ${y}h${width}`, class: `limit ${told.severity}` }));
    for (const [kind, x] of told.marks) svg.append(make("path", { d: `M${x} 0v${height}`, class: `mark ${kind}` }));
    svg.append(make("path", { d: line.line, class: "line" }));
    if (line.far) svg.append(make("path", { d: line.far, class: "far" }));
    return svg;
  }

  // A chart is a link: to the step that one clicks at, and by key to that at which the alert began.
  function chart(place, told, box) {
    const href = (step) => place.dataset.href + step;
    const lines = told.lines.flatMap((line) => [element("span", { class: "name" }, line.title), drawing(told, line, box)]);
    const link = element("a", { href: href(place.dataset.step), "aria-label": `${told.text} Open the run at step ${place.dataset.step}.` }, ...lines);
    link.addEventListener("click", (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
      event.preventDefault();
      rolloutwatch.visit(href(event.detail ? stepAt(event, link, told) : place.dataset.step));
    });
    return link;
  }

  function stepAt(event, link, told) {
    const { left, width } = link.querySelector("svg").getBoundingClientRect();
    const share = Math.min(Math.max((event.clientX - left) / width, 0), 1);
    return Math.round(told.first + share * (told.last - told.first));
  }

  function under(told) {
    const words = [...told.marks.map(([kind, , text]) => element("span", { class: kind }, text)), told.worst ? element("span", {}, told.worst) : null];
    return element(
      "div",
      { class: "under", "aria-hidden": "true" },
      element("span", { class: "end" }, `step ${told.first}`),
      element("span", { class: "marks" }, ...words),
      element("span", { class: "end" }, `step ${told.last}`),
    );
  }

  // Draw what is told of an alert, once; of one that nothing is known of yet the place is empty, and as high as it will be.
  rolloutwatch.drawHistory = function (place, told, box) {
    if (place.drawn === told && place.drawnFor === place.dataset.history) return;
    [place.drawn, place.drawnFor] = [told, place.dataset.history];
    const focused = place.contains(document.activeElement);
    if (!told) place.replaceChildren();
    else if (told.note || !told.lines.length) place.replaceChildren(element("p", { class: "quiet" }, told.note || "No figure of these steps is finite."));
    else place.replaceChildren(chart(place, told, box), under(told));
    if (told && told.probably) place.append(element("p", { class: "probably" }, told.probably));
    if (focused && place.querySelector("a")) place.querySelector("a").focus({ preventScroll: true });
  };

  // The life of an alert, in order; nothing where it is not asked for.
  rolloutwatch.writeLife = function (place, told) {
    if (place.written === told && place.writtenFor === place.dataset.life) return;
    [place.written, place.writtenFor] = [told, place.dataset.life];
    if (!told) return place.replaceChildren();
    const items = told.life.map((one) =>
      element(
        "li",
        { class: one.kind },
        element("time", { datetime: new Date(1000 * one.time).toISOString() }, rolloutwatch.moment(one.time)),
        element("span", { class: "at" }, one.step === null ? "" : `step ${one.step}`),
        element("span", {}, one.text, one.until ? `, until ${rolloutwatch.moment(one.until)}` : null, one.note ? ": " : null, one.note ? element("q", {}, one.note) : null),
      ),
    );
    place.replaceChildren(items.length ? element("ol", { "aria-label": "What happened" }, ...items) : element("p", { class: "quiet" }, "Nothing of it is kept."));
  };

  // A moment is chosen in the zone of whoever looks, and stands in the address in UTC.
  rolloutwatch.chooseMoment = function (place) {
    const { name, label, moment } = place.dataset;
    if (place.shown === moment) return;
    place.shown = moment;
    const at = new Date(moment);
    const local = moment && !isNaN(at) ? new Date(at - 60000 * at.getTimezoneOffset()).toISOString().slice(0, 16) : "";
    const field = element("input", { type: "datetime-local", value: local, "data-name": name, id: `chosen-${name}` });
    place.replaceChildren(element("label", { for: field.id }, label), field);
  };
})();
