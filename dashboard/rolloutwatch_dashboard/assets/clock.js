// Texts that are true only for a moment, as the server made them: they are kept true here, and nothing is asked for that.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const FOR_EVER = 10 * 365 * 86400; // whoever waits longer waits until it ends
  const UNITS = [[86400, "d"], [3600, "h"], [60, "min"]];
  const MOST_DRIFT = 5000; // milliseconds; beyond that somebody has set a clock

  function lasting(seconds) {
    for (const [size, unit] of UNITS) if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
    return `${Math.max(0, Math.round(seconds))} s`;
  }

  const remaining = (until, now) => (until - now > FOR_EVER ? "until somebody ends it" : `for another ${lasting(until - now)}`);

  // The same names as in clock.py.
  const KINDS = {
    ago: (time, now) => rolloutwatch.age(now - time),
    lasting: (time, now) => lasting(now - time),
    remaining,
  };

  // The server's clock, as far as what it says can tell; all in milliseconds.
  class ServerClock {
    constructor() {
      this.behind = null; // of this host's clock; what came fastest says it best
    }

    hear(now) {
      const behind = Date.now() - now;
      if (this.behind === null || behind < this.behind || behind - this.behind > MOST_DRIFT) this.behind = behind;
    }

    now() {
      return Date.now() - (this.behind || 0);
    }
  }

  // Bring what stands within a place up to date; the text of Dash stays the one it is, whatever it says.
  function keepTrue(place, now) {
    for (const { dataset, firstChild } of place.querySelectorAll("[data-clock]")) {
      const { clock, at, before = "", after = "" } = dataset;
      const text = `${before}${KINDS[clock](Number(at), now / 1000)}${after}`;
      if (firstChild && firstChild.data !== text) firstChild.data = text;
    }
  }

  rolloutwatch.clock = { KINDS, ServerClock, keepTrue };
})();
