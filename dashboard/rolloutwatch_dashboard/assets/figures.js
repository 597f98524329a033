// What is computed about figures in the browser: pure functions, the same as their namesakes in Python.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const AIR_SHARE = 0.08;
  const BELOW_ZERO_SHARE = 0.03;
  const LEAST_DECADES = 0.02;
  const LEAST_SHARE = 0.01;
  const USUAL_SHARE = 0.9;
  const GAP = 3;
  rolloutwatch.gap = { USUAL_SHARE, GAP }; // the heat map has the same
  const LARGEST = 1e200;
  const MOST_LABELS = 7;
  const LEAST_LABELS = 3;
  const [PLAIN_FROM, PLAIN_TO] = [-3, 6];
  const CLOSE = 1e-9;
  const STEPS_JUDGED = 10;
  const DISTANCES_LOOKED_AT = 5;
  const LATE = 1.5;
  const STRONG = ["linked", "contested", "alert_critical", "takeover", "rollback", "restart", "alert_warning", "config"];
  const ALERT = "alert_";
  const isStrong = (mark) => mark.found === true && STRONG.includes(mark.kind);
  const MOST_LINES = 40;
  const MOST_ROWS = 3;
  const PX_BETWEEN_TICKS = 3;
  const PX_PER_LETTER = 5.6;
  const PX_BETWEEN_LABELS = 8;
  const MOST_TOLD = 4;
  const HEIGHT_OF_TICKS = 0.05;
  const HEIGHT_OF_ROW = 0.085;
  const MARK_LABELS = new Map([["weight_sync", "sync"]]);
  const LETTERS_OF_A_LABEL = 16;
  const LETTERS_OF_AN_ALERT = 26;
  const LETTERS_OF_A_VERSION = 8;
  const MOST_FIELDS = 8;
  const LETTERS_OF_A_FIELD = 60;
  const STEPS_NOW = 10; // of the trend: the mean of so many steps against that of those before

  // text.number
  rolloutwatch.number = function (value) {
    if (value === null || value === undefined || Number.isNaN(value)) return "NaN";
    if (!Number.isFinite(value)) return value > 0 ? "∞" : "-∞";
    const size = Math.abs(value);
    if ((size && size < 1e-3) || size >= 1e6) return value.toExponential(2).replace("e+", "e");
    const decimals = size >= 1000 ? 0 : 5 - Math.max(1, String(Math.trunc(size)).length) - (size < 1 ? 0 : 1);
    const text = value.toFixed(decimals);
    return text.includes(".") ? text.replace(/0+$/, "").replace(/\.$/, "") : text;
  };

  // A figure of an alert as the API tells it: one that is not finite is text, and one that is not there is none.
  rolloutwatch.toldNumber = function (value) {
    if (value === null || value === undefined) return "–";
    return rolloutwatch.number(Number(value));
  };

  // text.age
  rolloutwatch.age = function (seconds) {
    if (seconds < 2) return "just now";
    for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
      if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ago`;
    }
    return `${Math.floor(seconds)} s ago`;
  };

  // a time in seconds since 1970, in the zone of whoever looks: written as text.moment does, which is the way of Swedes
  rolloutwatch.moment = function (seconds) {
    const time = new Date(1000 * seconds);
    if (Number.isNaN(time.getTime())) return "";
    const zone = { timeZoneName: "short" };
    return time.toLocaleString("sv-SE", { dateStyle: "short", timeStyle: "medium" }) + " " + time.toLocaleTimeString("en", zone).split(" ").pop();
  };

  // rules.worst
  rolloutwatch.worst = function (rules, metric, value) {
    let found = null;
    if (value === null || value === undefined) return found;
    for (const rule of rules) {
      const broken = (rule.above !== null && value > rule.above) || (rule.below !== null && value < rule.below);
      if (rule.metric === metric && broken && (found === null || rule.severity > found.severity)) found = rule;
    }
    return found;
  };

  // judgement.verdict; null where all is well
  rolloutwatch.verdict = function (rules, metric, values) {
    const first = Math.max(0, values.length - STEPS_JUDGED);
    const broken = values.slice(first).map((value) => rolloutwatch.worst(rules, metric, value));
    const severity = Math.max(0, ...broken.map((rule) => (rule ? rule.severity : 0)));
    const isWorst = (rule) => rule !== null && rule.severity === severity;
    const at = broken.findLastIndex(isWorst);
    if (at < 0) return null;
    const times = broken.filter(isWorst).length;
    return { rule: broken[at], value: values[first + at], at: first + at, times, of: broken.length };
  };

  // the alert that says most of how a run is; of several as bad the one that began first
  rolloutwatch.worstAlert = function (alerts) {
    const isWorse = (one, other) => one.severity > other.severity || (one.severity === other.severity && one.step < other.step);
    return alerts.reduce((worst, one) => (worst === null || isWorse(one, worst) ? one : worst), null);
  };

  // the place at which what a verdict finds began: so many good values in a row end it as make a run healthy again
  rolloutwatch.STEPS_JUDGED = STEPS_JUDGED;
  rolloutwatch.beginning = function (rules, { rule, at }, values) {
    let first = at;
    for (let place = at - 1; place >= 0 && first - place <= STEPS_JUDGED; place--) {
      const broken = rolloutwatch.worst(rules, rule.metric, values[place]);
      if (broken && broken.severity >= rule.severity) first = place;
    }
    return first;
  };

  // what an alert says of a run: what it means, of which figures, since when, and how many others fire
  rolloutwatch.alertText = function (alert, others, { step, atLeast } = alert, cause = "") {
    const said = firstSentence(alert.summary) || `Rule ${alert.rule} fires`;
    const figures = (alert.known || []).filter(({ limit }) => limit).map(({ title, limit }) => `${title} ${limit}`);
    const more = others > 0 ? ` ${others} more ${others === 1 ? "alert fires" : "alerts fire"}.` : "";
    return `${said}${figures.length ? `: ${figures.join(" and ")}` : ","} since step ${step}${atLeast ? " or earlier" : ""}${probably(cause)}.${more}`;
  };

  const probably = (cause) => (cause ? `; probably ${cause}` : "");

  // what a verdict says of a run, for which no alert fires (yet); it says the same as long as that goes on
  rolloutwatch.verdictText = function ({ rule, value, began }, cause = "") {
    const said = firstSentence(rule.summary);
    const what = `${rule.title} ${rolloutwatch.beyond(rule, value)} since step ${began.step}${began.atLeast ? " or earlier" : ""}${probably(cause)}.`;
    return said ? `${said}: ${what}` : what;
  };

  // which limit a value is beyond
  rolloutwatch.beyond = function (rule, value) {
    const isAbove = rule.above !== null && value > rule.above;
    return `${isAbove ? "above" : "below"} ${rolloutwatch.number(isAbove ? rule.above : rule.below)}`;
  };

  // without the full stop
  function firstSentence(text) {
    return text.split(/(?<=[.!?])\s/)[0].replace(/[.!?]$/, "");
  }

  // judgement.is_past
  rolloutwatch.isPast = function (steps, now) {
    if (!steps.length) return true;
    const tail = steps.slice(-DISTANCES_LOOKED_AT - 1);
    const distances = tail.slice(1).map((step, index) => step - tail[index]).sort((one, other) => one - other);
    const usual = distances.length ? distances[(distances.length - 1) >> 1] : 1;
    return now - tail[tail.length - 1] > Math.max(1, LATE * usual);
  };

  // timeseries.drawn, of what may come: null for what is not finite, and for what no axis can count to
  rolloutwatch.drawn = function (values, chart) {
    return values.map((value) => {
      if (value === null || Math.abs(value) > LARGEST) return null;
      return chart.floor > 0 ? Math.max(value, chart.floor) : value;
    });
  };

  // timeseries.with_gaps
  rolloutwatch.withGaps = function (steps, values) {
    const distances = steps.slice(1).map((step, index) => step - steps[index]).sort((one, other) => one - other);
    const most = distances.length ? GAP * distances[Math.trunc(USUAL_SHARE * (distances.length - 1))] : Infinity;
    const found = { step: [], value: [] };
    steps.forEach((step, at) => {
      if (at && step - steps[at - 1] > most && values[at - 1] !== null) {
        found.step.push(steps[at - 1] + 1);
        found.value.push(null);
      }
      found.step.push(step);
      found.value.push(values[at]);
    });
    return found;
  };

  // timeseries.isolated
  rolloutwatch.isolated = function (values) {
    const isThere = (at) => values[at] !== null && values[at] !== undefined;
    const found = [];
    for (let at = 0; at < values.length; at++) if (isThere(at) && !isThere(at - 1) && !isThere(at + 1)) found.push(at);
    return found;
  };

  // timeseries.value_range; values that cannot be drawn are null
  rolloutwatch.valueRange = function (columns, chart) {
    const isLog = chart.floor > 0;
    const scale = isLog ? Math.log10 : (value) => value;
    const known = (list) => list.filter((mark) => mark !== null && (mark > 0 || !isLog)).map(scale);
    const [marks, home] = [known(chart.limits), known([...chart.home, chart.ideal])];
    let [low, high] = [Math.min(...home), Math.max(...home)];
    for (const values of columns) {
      for (const value of values) {
        if (value === null) continue;
        const point = scale(value);
        if (point < low) low = point;
        if (point > high) high = point;
      }
    }
    if (low > high) [low, high] = marks.length ? [Math.min(...marks), Math.max(...marks)] : [0, 0];
    const [below, above] = [marks.filter((mark) => mark < low), marks.filter((mark) => mark > high)];
    if (below.length) low = Math.max(...below);
    if (above.length) high = Math.min(...above);
    const least = isLog ? LEAST_DECADES : LEAST_SHARE * Math.max(Math.abs(low), Math.abs(high)) || 1;
    const isSigned = isLog || low < 0;
    if (high - low < least) {
      const middle = (low + high - least) / 2;
      low = isSigned ? middle : Math.max(0, middle);
      high = low + least;
    }
    const span = high - low;
    const bottom = low - AIR_SHARE * span;
    return [isSigned ? bottom : Math.max(bottom, -BELOW_ZERO_SHARE * span), high + AIR_SHARE * span];
  };

  // ticks.ticks_of
  rolloutwatch.ticksOf = function (low, high) {
    const ticks = roundTicks(low, high);
    return {
      tickmode: "array",
      tickvals: ticks.map(([digits, power]) => Number(`${digits}e${power}`)),
      ticktext: ticks.map(([digits, power]) => tickText(digits, power)),
    };
  };

  function roundTicks(low, high) {
    const isShown = (place) => low - CLOSE <= place && place <= high + CLOSE;
    const decades = [];
    for (let power = Math.floor(low); power <= Math.ceil(high); power++) decades.push(power);
    let found = decades.flatMap((power) => [1, 2, 5].map((digit) => [digit, power]));
    found = found.filter(([digit, power]) => isShown(power + Math.log10(digit)));
    if (found.length < LEAST_LABELS) return evenTicks(10 ** low, 10 ** high);
    for (let every = 1; found.length > MOST_LABELS; every++) {
      found = decades.filter((power) => power % every === 0 && isShown(power)).map((power) => [1, power]);
    }
    return found;
  }

  function evenTicks(low, high) {
    const power = Math.floor(Math.log10((high - low) / MOST_LABELS));
    for (let at = 0; ; at++) {
      const [digit, raised] = [[1, 2, 5][at % 3], power + Math.floor(at / 3)];
      const step = Number(`${digit}e${raised}`);
      const [first, last] = [Math.ceil(low / step - CLOSE), Math.floor(high / step + CLOSE)];
      if (!(last - first >= MOST_LABELS)) {
        return Array.from({ length: last - first + 1 }, (_, count) => [digit * (first + count), raised]);
      }
    }
  }

  function tickText(digits, power) {
    const text = String(digits);
    const size = power + text.length - 1;
    if (size < PLAIN_FROM || size >= PLAIN_TO) {
      const rest = text.slice(1).replace(/0+$/, "");
      return `${text[0]}${rest ? "." : ""}${rest}e${size}`;
    }
    if (power >= 0) return text + "0".repeat(power);
    const padded = text.padStart(1 - power, "0");
    return `${padded.slice(0, power)}.${padded.slice(power)}`;
  }

  // "rising", "falling", "steady", or "" while there is too little to tell
  rolloutwatch.trend = function (values) {
    const known = values.filter(Number.isFinite);
    const before = known.slice(0, -STEPS_NOW);
    if (before.length < STEPS_NOW) return "";
    const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;
    const center = mean(before);
    const spread = Math.sqrt(mean(before.map((value) => (value - center) ** 2)) / STEPS_NOW);
    const change = mean(known.slice(-STEPS_NOW)) - center;
    // three standard errors: nine tiles in ten thousand would move by chance
    if (Math.abs(change) <= 3 * spread + 1e-12 * Math.abs(center)) return "steady";
    return change > 0 ? "rising" : "falling";
  };

  // what is cut may end in half a letter
  const cut = (text, most) => (text.length <= most ? text : `${text.slice(0, most - 1).replace(/[\ud800-\udbff]$/, "")}…`);
  const spaced = (name) => name.replaceAll("_", " ");
  const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

  function valueText(value) {
    if (value === null) return "none";
    if (typeof value === "boolean") return value ? "yes" : "no";
    if (typeof value === "number") return Number.isSafeInteger(value) ? String(value) : rolloutwatch.number(value);
    return value;
  }

  // text.mark_label
  rolloutwatch.markLabel = function (mark) {
    if (mark.found === true && mark.kind.startsWith(ALERT)) {
      return cut(spaced(valueText(mark.fields.rule)), LETTERS_OF_AN_ALERT);
    }
    if (mark.found === true && mark.kind === "linked") return `step ${mark.step}`;
    const label = cut(MARK_LABELS.get(mark.kind) || spaced(mark.kind), LETTERS_OF_A_LABEL);
    const version = mark.fields.version;
    return version === undefined || version === null ? label : `${label} ${cut(valueText(version), LETTERS_OF_A_VERSION)}`;
  };

  // text.mark_text
  rolloutwatch.markText = function (mark) {
    const fields = Object.entries(mark.fields).map(
      ([name, value]) => `${cut(spaced(name), LETTERS_OF_A_FIELD)} ${cut(valueText(value), LETTERS_OF_A_FIELD)}`,
    );
    const more = fields.length - MOST_FIELDS;
    const known = more > 0 ? [...fields.slice(0, MOST_FIELDS), `${more} more`] : fields;
    return [`step ${mark.step}: ${cut(spaced(mark.kind), LETTERS_OF_A_FIELD)}`, ...known].join(", ");
  };

  // where a mark stands on the axis
  const placeOf = (mark) => (mark.place === undefined ? mark.step : mark.place);

  // marks.place_marks; labels are [place, height, text, side], words [step, text]
  // x: tells where on the axis a step is, if that is not an axis of steps
  rolloutwatch.placeMarks = function (marks, steps, begin, end, width, x) {
    const inView = marks.filter((mark) => begin <= mark.step && mark.step <= end);
    const seen = x ? inView.map((mark) => ({ ...mark, place: x(mark.step) })) : inView;
    const [first, last] = x ? [x(begin), x(end)] : [begin, end];
    const scale = width / Math.max(last - first, 1e-9);
    const quiet = stylesOf(seen);
    const style = (mark) => (isStrong(mark) ? mark.kind : quiet[mark.kind]);
    const placed = { paths: {}, labels: [], words: [] };
    for (const one of ["marks", ...STRONG.slice().reverse()]) {
      const lines = new Set(seen.filter((mark) => style(mark) === one).map(placeOf));
      if (lines.size) placed.paths[one] = Array.from(lines, (step) => `M${step},0L${step},1`).join("");
    }
    const ticks = ticksOfMarks(seen.filter((mark) => style(mark) === "ticks").map(placeOf), scale);
    if (ticks.length) placed.paths.ticks = ticks.map((step) => `M${step},0L${step},${HEIGHT_OF_TICKS}`).join("");
    placed.labels = labelsOf(seen.filter((mark) => style(mark) !== "ticks"), first, scale, width);
    placed.words = wordsOf(seen, steps);
    return placed;
  };

  function stylesOf(seen) {
    const counts = new Map();
    for (const mark of seen) if (!isStrong(mark)) counts.set(mark.kind, (counts.get(mark.kind) || 0) + 1);
    const kinds = Array.from(counts).sort(([one, n], [other, m]) => n - m || (one < other ? -1 : 1));
    const styles = Object.create(null); // by names that a run chose, "constructor" say
    let lines = 0;
    for (const [kind, count] of kinds) {
      lines += count;
      styles[kind] = lines <= MOST_LINES ? "marks" : "ticks";
    }
    return styles;
  }

  function ticksOfMarks(steps, scale) {
    const found = [];
    for (const step of Array.from(new Set(steps)).sort((one, other) => one - other)) {
      if (!found.length || (step - found[found.length - 1]) * scale >= PX_BETWEEN_TICKS) found.push(step);
    }
    return found;
  }

  function labelsOf(marks, first, scale, width) {
    const rank = (mark) => (isStrong(mark) ? STRONG.indexOf(mark.kind) : 9);
    const ordered = marks.slice().sort((one, other) => rank(one) - rank(other) || one.step - other.step);
    const [taken, found, told] = [[], [], new Set()];
    const lines = marks.filter(isStrong).map((mark) => (placeOf(mark) - first) * scale);
    for (const mark of ordered) {
      const text = rolloutwatch.markLabel(mark);
      if (told.has(`${mark.step} ${text}`)) continue;
      told.add(`${mark.step} ${text}`);
      const at = (placeOf(mark) - first) * scale;
      const long = PX_PER_LETTER * text.length + PX_BETWEEN_LABELS;
      const isFree = ([row, left]) => taken.every(([other, begin, end]) => row !== other || left >= end || left + long <= begin);
      const isClear = ([, left]) => !lines.some((line) => line !== at && left < line && line < left + long);
      const free = placesOf(at, long, width, isStrong(mark)).filter(isFree);
      if (!free.length) continue;
      const [row, left] = free.find(isClear) || free[0];
      taken.push([row, left, left + long]);
      const side = left === at ? "right" : "left";
      const apart = side === "right" ? `\u00a0${plain(text)}` : `${plain(text)}\u00a0`;
      found.push([placeOf(mark), 1 - HEIGHT_OF_ROW * row, apart, `bottom ${side}`]);
    }
    return found;
  }

  function placesOf(at, long, width, strong) {
    const sides = [...(at + long <= width ? [at] : []), ...(at >= long || at + long > width ? [at - long] : [])];
    const rows = Array.from({ length: strong ? MOST_ROWS : 1 }, (_, row) => row);
    return strong ? rows.flatMap((row) => sides.map((left) => [row, left])) : [[0, sides[0]]];
  }

  function wordsOf(marks, steps) {
    if (!steps.length) return [];
    const texts = new Map();
    for (const mark of marks) {
      const near = nearest(steps, mark.step);
      texts.set(near, [...(texts.get(near) || []), rolloutwatch.markText(mark)]);
    }
    return Array.from(texts).sort(([one], [other]) => one - other).map(([step, of]) => [step, united(of)]);
  }

  function nearest(steps, step) {
    let [low, high] = [0, steps.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (steps[middle] < step) low = middle + 1;
      else high = middle;
    }
    if (low === 0 || (low < steps.length && steps[low] - step < step - steps[low - 1])) return steps[low];
    return steps[low - 1];
  }

  function united(texts) {
    const more = texts.length - MOST_TOLD;
    const shown = texts.slice(0, MOST_TOLD);
    return (more > 0 ? [...shown, `and ${more} more`] : shown).join("\n");
  }

  // The marks of a run, each once, however they come; of what is marked at every step no more than a screen can show.
  rolloutwatch.Marks = class {
    constructor(marks, most) {
      this.most = most;
      this.byKey = new Map();
      marks.forEach((mark) => this.put(mark));
    }

    // tells whether it is news
    put(mark) {
      const key = `${mark.step} ${mark.kind} ${mark.time} ${mark.found === true}`;
      if (this.byKey.has(key)) return false;
      this.byKey.set(key, mark);
      if (this.byKey.size > 4 * this.most) this.thin();
      this.sorted = null;
      return true;
    }

    list() {
      this.sorted = this.sorted || Array.from(this.byKey.values()).sort((one, other) => one.step - other.step || one.time - other.time);
      return this.sorted;
    }

    thin() {
      const counts = new Map();
      for (const mark of this.byKey.values()) counts.set(mark.kind, (counts.get(mark.kind) || 0) + 1);
      const passed = new Map();
      for (const [key, mark] of this.byKey) {
        const number = (passed.get(mark.kind) || 0) + 1;
        passed.set(mark.kind, number);
        if (counts.get(mark.kind) > this.most && !isStrong(mark) && number % 2) this.byKey.delete(key);
      }
    }
  };

  // Values by step, ascending, however they come.
  rolloutwatch.Column = class {
    constructor(step, value) {
      this.step = Array.from(step || []);
      this.value = Array.from(value || []);
    }

    put(step, value) {
      let at = this.step.length;
      if (at && this.step[at - 1] >= step) {
        let low = 0;
        while (low < at) {
          const middle = (low + at) >> 1;
          if (this.step[middle] < step) low = middle + 1;
          else at = middle;
        }
      }
      const present = this.step[at] === step ? 1 : 0;
      this.step.splice(at, present, step);
      this.value.splice(at, present, value);
    }

    // a step of which is known that it has no value; one that came all the same stays
    leaveOut(step) {
      if (this.step.length && !this.step.includes(step)) this.put(step, null);
    }

    last() {
      return this.value.length ? this.value[this.value.length - 1] : undefined;
    }

    // the last step that has a value, and the value
    lastKnown() {
      const at = this.value.findLastIndex((value) => value !== null);
      return at < 0 ? null : { step: this.step[at], value: this.value[at] };
    }
  };
})();
