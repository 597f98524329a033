// A configuration of the correction as people set it: all that may be typed is text, whatever it is; the server says what is wrong.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});
  const whatif = (rolloutwatch.whatif = rolloutwatch.whatif || {});

  const SWITCHES = ["rollout_is_batch_normalize", "bypass_mode"];
  const LONGEST = 500; // of what an address says of one key

  const text = (value) => (value === null || value === undefined ? "" : String(value));
  const orNull = (said) => (said === "" ? null : said);

  // What is set, of a configuration's keys. Of each option that rejects there are bounds; those that are off keep theirs.
  whatif.read = function (keys, before) {
    const options = text(keys.rollout_rs).split(",").map((name) => name.trim()).filter(Boolean);
    return {
      ...Object.fromEntries(Object.entries(keys).filter(([key]) => !key.startsWith("rollout_rs")).map(([key, value]) => [key, text(value)])),
      options,
      bounds: { ...(before ? before.bounds : {}), ...boundsOf(options, text(keys.rollout_rs_threshold), text(keys.rollout_rs_threshold_lower)) },
    };
  };

  function boundsOf(options, threshold, lower) {
    const entries = threshold.split(",").map((entry) => entry.trim());
    const isLast = (at) => at === options.length - 1;
    const entryOf = (at) => (entries.length === 1 ? entries[0] : isLast(at) ? entries.slice(at).join(",") : text(entries[at]));
    const alone = options.length === 1 ? lower : "";
    return Object.fromEntries(options.map((name, at) => [name, split(entryOf(at), alone)]));
  }

  function split(entry, lower) {
    const [first, ...rest] = entry.split("_");
    return rest.length && !lower ? { lower: first, upper: rest.join("_") } : { lower, upper: entry };
  }

  // The keys of what is set, as the server takes them.
  whatif.write = function (set) {
    const { options, bounds, ...others } = set;
    const keys = Object.fromEntries(Object.entries(others).map(([key, said]) => [key, orNull(said)]));
    for (const key of SWITCHES) if (["true", "false"].includes(keys[key])) keys[key] = keys[key] === "true";
    const threshold = options.map((name) => (bounds[name].lower ? `${bounds[name].lower}_${bounds[name].upper}` : bounds[name].upper));
    keys.rollout_rs = options.join(",") || null;
    keys.rollout_rs_threshold = options.length && threshold.some(Boolean) ? threshold.join(",") : null;
    keys.rollout_rs_threshold_lower = null;
    return keys;
  };

  // Keys as an address has them: those that differ from the run's own.
  whatif.toQuery = function (keys, own) {
    const query = new URLSearchParams();
    for (const key of Object.keys(own)) if (text(keys[key]) !== text(own[key])) query.set(key, keys[key] === null ? "null" : text(keys[key]));
    return query.toString();
  };

  // The run's own keys, with those that an address names; it may be any nonsense.
  whatif.fromQuery = function (search, own) {
    const query = new URLSearchParams(search);
    const named = Object.keys(own).filter((key) => query.has(key));
    const said = (key) => query.get(key).slice(0, LONGEST);
    return { ...own, ...Object.fromEntries(named.map((key) => [key, ["null", ""].includes(said(key)) ? null : said(key)])) };
  };

  // Where a slider stands, in powers of ten: of the value, or of how far a ratio is above or below 1.
  const SCALES = {
    value: { to: Math.log10, from: (at) => 10 ** at },
    above: { to: (value) => Math.log10(value - 1), from: (at) => 1 + 10 ** at },
    below: { to: (value) => -Math.log10(1 - value), from: (at) => 1 - 10 ** -at },
  };
  const RANGES = {
    veto: ["value", -8, 0],
    divergence: ["value", -5, 2],
    "ratio upper": ["above", -2, 2],
    "ratio lower": ["value", -4, 0],
    "mean upper": ["above", -5, 0],
    "mean lower": ["below", 0.3, 5],
  };

  // A slider for a kind of bound: its ends, where it stands for a text, null if that is no such number, and the text of a place.
  whatif.slider = function (kind) {
    const [scale, low, high] = RANGES[kind];
    const { to, from } = SCALES[scale];
    return {
      low,
      high,
      place: (said) => {
        const at = said.trim() === "" ? NaN : to(Number(said));
        if (Number.isNaN(at)) return null;
        return Math.min(high, Math.max(low, at));
      },
      said: (at) => rounded(from(at), scale === "value" ? 0 : 1),
    };
  };

  // Two digits of how far a value is from a centre.
  function rounded(value, centre) {
    const away = Number((value - centre).toPrecision(2));
    return String(Number((centre + away).toPrecision(9)));
  }
})();
