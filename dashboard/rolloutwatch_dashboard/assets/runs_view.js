// What is chosen of the runs there are: which are asked for, in which order, and how the worst of them is. Pure functions.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const STATES = ["live", "stalled", "crashed", "finished"];
  const KINDS = ["ok", "unknown", "warning", "critical"]; // from good to bad
  const PORTION = 100; // rows that are drawn at once
  const DEFAULT_SORT = "updated";
  const SECONDS_OF_PACE = 60;

  rolloutwatch.runs = { KINDS, STATES, PORTION };

  // What an address asks for, which may be anything. {q, states, tags, sort, reversed, archived, most}
  rolloutwatch.runsView = function (search, sorts) {
    const query = new URLSearchParams(search);
    const asked = query.get("sort") || DEFAULT_SORT;
    const isReversed = asked.startsWith("-");
    const sort = isReversed ? asked.slice(1) : asked;
    const most = Number(query.get("most"));
    return {
      q: (query.get("q") || "").slice(0, 200),
      states: STATES.filter((state) => query.getAll("state").join(",").split(",").includes(state)),
      tags: [...new Set(query.getAll("tag").filter(Boolean))].slice(0, 20),
      sort: sorts.includes(sort) ? sort : DEFAULT_SORT,
      reversed: sorts.includes(sort) && isReversed,
      archived: query.get("archived") === "1",
      most: Number.isSafeInteger(most) && most > PORTION ? most : PORTION,
    };
  };

  // The address of a view, as short as can be.
  rolloutwatch.runsQuery = function (view) {
    const query = new URLSearchParams();
    if (view.q) query.set("q", view.q);
    if (view.states.length) query.set("state", view.states.join(","));
    for (const tag of view.tags) query.append("tag", tag);
    if (view.reversed || view.sort !== DEFAULT_SORT) query.set("sort", (view.reversed ? "-" : "") + view.sort);
    if (view.archived) query.set("archived", "1");
    if (view.most > PORTION) query.set("most", view.most);
    const text = query.toString().replaceAll("%2C", ",");
    return text ? `?${text}` : "";
  };

  // Whether a row is asked for; every word has to be in its name or in one of its tags.
  rolloutwatch.isAskedFor = function (row, view) {
    const text = [`${row.project} / ${row.name}`, row.id, ...row.tags].join("\n").toLowerCase();
    return (
      (view.archived || !row.archived) &&
      (!view.states.length || view.states.includes(row.state)) &&
      view.tags.every((tag) => row.tags.includes(tag)) &&
      view.q.toLowerCase().split(/\s+/).every((word) => text.includes(word))
    );
  };

  // How bad a row is, by its figures and its alerts.
  const badness = (row) => Math.max(KINDS.indexOf(row.health.kind), row.fires ? KINDS.indexOf(row.fires.kind) : 0);

  const byName = (one, other) => one.id.localeCompare(other.id, "en", { numeric: true });

  // A live run is updated all the time: such runs stand as they began, so that rows stay where they are.
  const time = (row) => (row.state === "live" ? [1, row.started] : [0, row.updated]);

  // How fast live runs go: by the steps that came while one looks on, at most so many seconds back, else by all of the run.
  rolloutwatch.RunPaces = class {
    constructor() {
      this.seen = new Map(); // by id, [updated, step] as they were told
    }

    // A run's steps per second, null where nobody knows; to be asked once for each row that comes.
    of({ id, state, started, updated, first, step }) {
      if (step === null) return null;
      const seen = (this.seen.get(id) || []).filter(([time, at]) => state === "live" && updated - time < SECONDS_OF_PACE && at < step);
      const [[began, from]] = [...seen, [started, first]];
      this.seen.set(id, [...seen, [updated, step]]);
      return step > from && updated > began ? (step - from) / (updated - began) : null;
    }
  };

  // The bad ones first: the low, the high, or those far from the ideal; then what is no number, then what is not there.
  function goodness(figure, told) {
    if (figure.rank === null) return figure.text === "–" ? [2, 0] : [1, 0];
    if (told.better === "higher") return [0, figure.rank];
    if (told.better === "lower") return [0, -figure.rank];
    return [0, told.ideal > 0 && figure.rank > 0 ? -Math.abs(Math.log(figure.rank / told.ideal)) : -Math.abs(figure.rank - told.ideal)];
  }

  function compare(one, other) {
    const at = one.findIndex((value, place) => value !== other[place]);
    return at < 0 ? 0 : one[at] < other[at] ? -1 : 1;
  }

  // Rows in an order; those that are equal by name. What has no value stays at the end, whichever way it is sorted.
  rolloutwatch.sortedRuns = function (rows, view, figures) {
    const at = figures.findIndex((figure) => figure.key === view.sort);
    const keys = {
      name: () => [0],
      health: (row) => [-badness(row), ...time(row).map((value) => -value)],
      state: (row) => [STATES.indexOf(row.state), ...time(row).map((value) => -value)],
      step: (row) => [row.step === null ? 1 : 0, row.step === null ? 0 : -row.step],
      speed: (row) => [row.speed === null ? 1 : 0, row.speed === null ? 0 : -row.speed],
      age: (row) => [row.started],
      updated: (row) => time(row).map((value) => -value),
    };
    const key = at < 0 ? keys[view.sort] : (row) => goodness(row.figures[at], figures[at]);
    const hasEnd = at >= 0 || view.sort === "step" || view.sort === "speed";
    const sign = view.reversed ? -1 : 1;
    const keyed = rows.map((row) => [key(row), row]);
    keyed.sort(([a, one], [b, other]) => {
      if (hasEnd && a[0] !== b[0]) return a[0] - b[0];
      return sign * (compare(a, b) || byName(one, other));
    });
    return keyed.map(([, row]) => row);
  };

  // What a tab in the background tells: how many of the runs that go on are bad, and how bad the worst of them is.
  rolloutwatch.worstOfRuns = function (rows) {
    const live = rows.filter((row) => row.state === "live" && !row.archived);
    const worst = Math.max(-1, ...live.map(badness));
    const count = live.filter((row) => badness(row) === worst).length;
    const kind = KINDS[worst] || "unknown";
    return { kind, title: worst >= KINDS.indexOf("warning") ? `${count} ${kind}` : "" };
  };
})();
