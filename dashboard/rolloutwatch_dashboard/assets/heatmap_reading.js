// Reading the heat map: by a mouse, a finger, or keys, cell by cell; and the way from a cell to its step.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});
  const { heat } = rolloutwatch;
  const { say } = rolloutwatch.head;

  const MS_OF_A_DOUBLE_CLICK = 320;
  const PX_OF_A_CLICK = 6; // a mouse that goes farther draws a box
  const COLUMNS_AT_ONCE = 2000; // when a step is looked for
  const CELLS_OF_A_SHIFT = 10;
  const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

  const $ = (id) => document.getElementById(id);
  const isFinger = () => matchMedia("(hover: none)").matches;

  rolloutwatch.HeatReader = class {
    // map: {told, path, graph, cells, known, edges, limit, now, pointer, isZoomed(), showAll(), fetch(query), closed}
    constructor(map) {
      this.map = map;
      this.at = null; // column and row of the cell that is read
      this.onUp = (event) => this.released(event);
      document.addEventListener("pointerup", this.onUp);
      this.endKeys = rolloutwatch.addKeys({ of: "The map of the log ratio, when it has the focus", heeds: (event) => this.heeds(event), keys: this.keys() });
    }

    close() {
      this.endKeys();
      clearTimeout(this.opening);
      document.removeEventListener("pointerup", this.onUp);
    }

    // The drawing and what stands around it are there.
    adopt(graph, card) {
      graph.addEventListener("pointerdown", (event) => this.pressedAt(event));
      graph.on("plotly_doubleclick", () => {
        clearTimeout(this.opening);
        this.map.showAll();
      });
      card.querySelector("[data-show=all]").onclick = () => this.map.showAll();
      card.querySelector(".heat-plot").onblur = () => this.leave();
      card.querySelector("[data-open]").onclick = (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey || !this.at) return;
        event.preventDefault();
        this.open(...this.at);
      };
    }

    // The column and the row of the cell at a place on the screen, which plotly tells too late; null where there is none.
    cellAt(clientX, clientY) {
      const { graph, cells } = this.map;
      if (!cells || !cells.z.length) return null;
      const { xaxis, yaxis } = graph._fullLayout;
      const box = graph.getBoundingClientRect();
      const [x, y] = [xaxis.p2l(clientX - box.left - xaxis._offset), yaxis.p2l(clientY - box.top - yaxis._offset)];
      const edges = graph.data[0].x;
      const column = rolloutwatch.placeFrom(edges, x) - 1;
      const row = Math.floor(y - graph.data[0].y[0]);
      const isInside = column >= 0 && column < cells.column.length && row >= 0 && row < cells.z.length;
      return isInside ? [column, row] : null;
    }

    // The histogram of a column, null where there is none, or none yet.
    columnOf(column) {
      const { cells, known, limit } = this.map;
      const at = cells.column[column];
      const found = at === null || at === undefined ? null : known.columns[at];
      return found && (limit === null || found.last <= limit) ? found : null;
    }

    // Somebody points at it: read the cell that is there, and tell other charts the step.
    pointed({ clientX, clientY }) {
      const cell = this.cellAt(clientX, clientY);
      this.read(...(cell || [null]));
      if (!this.at) return null;
      const { graph, now } = this.map;
      const { xaxis } = graph._fullLayout;
      const { first, last } = this.columnOf(this.at[0]);
      const step = now.axis.step(xaxis.p2l(clientX - graph.getBoundingClientRect().left - xaxis._offset));
      return Math.min(Math.max(step, first), last);
    }

    leave() {
      this.read(null);
      if (this.map.pointer) this.map.pointer.show(null);
    }

    // Read out a cell; none for null.
    read(column, row) {
      const { told, cells, edges, path } = this.map;
      const found = column === null ? null : this.columnOf(column);
      this.at = found ? [column, row] : null;
      const text = $(`${told.id}-text`);
      const way = $(`${told.id}-card`).querySelector("[data-open]");
      const cursor = $(`${told.id}-cursor`);
      way.hidden = cursor.hidden = !found;
      if (!found) return say(text, isFinger() ? told.hints[1] : told.hints[0]);
      say(text, heat.cellText(found, cells.low + row, edges));
      way.href = `${path}/steps/${found.first}`;
      say(way, found.first === found.last ? `Open step ${found.first}` : "Open the step with most of it");
      this.frame(cursor, column, row);
    }

    // Put a frame around a cell.
    frame(cursor, column, row) {
      const { graph } = this.map;
      const { xaxis, yaxis } = graph._fullLayout;
      const { x, y } = graph.data[0];
      const [left, right] = [xaxis.l2p(x[column]), xaxis.l2p(x[column + 1])];
      const [top, bottom] = [yaxis.l2p(y[row] + 1), yaxis.l2p(y[row])];
      cursor.hidden = right < 0 || left > xaxis._length;
      cursor.style.left = `${xaxis._offset + left}px`;
      cursor.style.top = `${yaxis._offset + top}px`;
      cursor.style.width = `${Math.max(2, right - left)}px`;
      cursor.style.height = `${Math.max(2, bottom - top)}px`;
    }

    // Plotly's own clicks are at what was pointed at before; ours are where they are.
    pressedAt(event) {
      this.down = event.button === 0 && event.target.closest(".nsewdrag") ? event : null;
    }

    released(event) {
      const { down } = this;
      this.down = null;
      if (!down || down.pointerId !== event.pointerId) return;
      if (Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) < PX_OF_A_CLICK) this.clicked(event);
    }

    clicked({ clientX, clientY, ctrlKey, metaKey }) {
      const cell = this.cellAt(clientX, clientY);
      this.read(...(cell || [null]));
      // a finger has not pointed at anything before; it finds the way below
      if (!this.at || isFinger()) return;
      clearTimeout(this.opening);
      // a double click takes the zoom back
      const wait = this.map.isZoomed() ? MS_OF_A_DOUBLE_CLICK : 0;
      this.opening = setTimeout(() => this.open(...cell, ctrlKey || metaKey), wait);
    }

    heeds({ target }) {
      const place = target.closest && target.closest(".heat-plot");
      const { graph } = this.map;
      return Boolean(place && graph && place.contains(graph));
    }

    keys() {
      const by = (times) => ({ key }) => this.move(...MOVES[key], times);
      const moves = Object.keys(MOVES);
      return [
        { on: moves, does: "the cell beside, above, below", act: by(1) },
        { on: moves.map((key) => `Shift+${key}`), does: `${CELLS_OF_A_SHIFT} cells on`, act: by(CELLS_OF_A_SHIFT) },
        { on: ["Enter"], does: "open the step of the cell", act: () => (this.at ? this.open(...this.at) : false) },
        { on: ["Escape"], does: "leave the cell", act: () => this.leave() },
      ];
    }

    // To the next column that has a histogram; the first time to the newest one, where most tokens are. Tells whether there is one.
    move(across, up, times) {
      if (!this.map.cells) return false;
      const { z, column } = this.map.cells;
      const clip = (value, most) => Math.min(Math.max(value, 0), most);
      const there = Array.from(column.keys()).filter((at) => this.columnOf(at));
      if (!there.length) return false;
      if (!this.at) {
        const last = there[there.length - 1];
        const rows = z.map((row) => (row[last] === null ? -Infinity : row[last]));
        this.read(last, rows.indexOf(Math.max(...rows)));
      } else {
        const next = there[clip(there.indexOf(this.at[0]) + across * times, there.length - 1)];
        this.read(next, clip(this.at[1] + up * times, z.length - 1));
      }
      if (this.map.pointer) this.map.pointer.show(this.columnOf(this.at[0]).first, this.map);
      return true;
    }

    // Open the step of a column that has the largest share of its tokens in the row's bin; of those alike the first one.
    async open(column, row, isElsewhere = false) {
      const { map } = this;
      const bin = map.cells.low + row;
      let found = this.columnOf(column);
      try {
        while (found && found.first < found.last) found = await this.narrowed(found, bin);
      } catch {
        return say($(`${map.told.id}-text`), "The server does not answer, so that the step cannot be found.");
      }
      if (map.closed || !found) return;
      const href = `${map.path}/steps/${found.first}`;
      if (isElsewhere) return void window.open(href);
      rolloutwatch.goTo(href);
    }

    async narrowed({ first, last }, bin) {
      const answer = await this.map.fetch({ from_step: first, to_step: last, columns: COLUMNS_AT_ONCE });
      const columns = heat.columnsOf(answer.columns);
      const share = (one) => (one.total ? heat.count(one, bin) / one.total : 0);
      return columns.reduce((best, one) => (share(one) > share(best) ? one : best));
    }
  };
})();
