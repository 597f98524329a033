// What an address asks to compare, and what is read of series for it: pure functions, and the ways to another address.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  // what is in the address, where what one has just changed of the view stands too
  function asked() {
    rolloutwatch.view.write();
    return new URLSearchParams(location.search);
  }

  // compared.window_of: the steps from before a part of the axis to behind it, null where a run has nothing there
  function windowOf(columns, first, last) {
    let [begin, end] = [Infinity, -Infinity];
    for (const { step, time } of columns) {
      const places = time || step;
      const behind = step.filter((_, at) => places[at] > last);
      const before = step.filter((_, at) => places[at] < first);
      const isThere = places.some((place) => first <= place && place <= last) || (before.length && behind.length);
      if (!step.length || !isThere) continue;
      begin = Math.min(begin, before.length ? before.reduce((most, one) => Math.max(most, one)) : step[0]);
      end = Math.max(end, behind.length ? behind.reduce((least, one) => Math.min(least, one)) : step[step.length - 1]);
    }
    return begin <= end ? [begin, end] : null;
  }

  // An address as people read it.
  function write(query) {
    const text = rolloutwatch.queryText(query);
    return text ? `/compare?${text}` : "/compare";
  }

  function go(query) {
    history.pushState({}, "", write(query));
    dispatchEvent(new CustomEvent("_dashprivate_pushstate")); // dash is told of it as by a link
  }

  // The part in view, as the address has it; comparison._ends says what is wrong with one that is.
  function endsOf(query) {
    const [first, last] = ["from", "to"].map((name) => (query.get(name) || "").match(/^-?[0-9]{1,16}(\.[0-9]{1,9})?$/));
    if (!first || !last) return null;
    const ends = [Number(first[0]), Number(last[0])];
    return ends[0] < ends[1] && Math.max(...ends.map(Math.abs)) < 1e15 ? ends : null;
  }

  const rounded = (place) => String(Math.round(1000 * place) / 1000);

  // A series in order of steps, null where it was NaN or could not be.
  function taken(found, metric, told) {
    const one = found.series[metric];
    const infinite = one.infinite || {};
    const rows = one.step.map((step, at) => [step, step in infinite ? Number(infinite[step]) : one.value[at], one.time && one.time[at]]);
    if (told.measured.includes(metric) && rows.length && metric !== told.unreadable) {
      const there = new Set(one.step);
      const { step, value, time } = found.series[told.unreadable];
      step.forEach((at, place) => value[place] >= 1 && !there.has(at) && rows.push([at, null, time && time[place]]));
    }
    rows.sort(([former], [later]) => former - later);
    const time = told.axis.timed ? rows.map(([, , at]) => at) : null;
    return { step: rows.map(([step]) => step), value: rows.map(([, value]) => value), time };
  }

  rolloutwatch.compared = { asked, write, go, endsOf, rounded, windowOf, taken };
})();
