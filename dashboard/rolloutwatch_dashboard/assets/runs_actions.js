// What people do about runs: tag them, put them away, delete them after a question. The server decides who may.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const MOST_NAMES = 20; // of runs in a question
  const FOR_EVER = "All steps, marks and alerts are gone for everybody and for ever; only a backup has them then.";

  const nameOf = (row) => `${row.project} / ${row.name}`;
  const path = (row) => `/api/v1/runs/${encodeURIComponent(row.id)}`;
  const counted = (rows) => `${rows.length} ${rows.length === 1 ? "run" : "runs"}`;
  const split = (tags) => tags.split(",").map((tag) => tag.trim()).filter(Boolean);

  function named(rows) {
    const left = rows.length - MOST_NAMES;
    return rows.slice(0, MOST_NAMES).map(nameOf).join(", ") + (left > 0 ? ` and ${left} more` : "");
  }

  rolloutwatch.RunsActions = class {
    // tags: {most, letters} a run may have; done(): something has been done
    constructor(tags, done) {
      [this.tags, this.done] = [tags, done];
    }

    // Do the same to several runs, one after the other; `bodyOf(row)` is what is sent. Says in words what was refused.
    async sendAll(method, rows, bodyOf, did) {
      const refused = [];
      for (const row of rows) {
        const answer = await rolloutwatch.ask(method, path(row), bodyOf(row));
        if (!answer.ok) refused.push(`${nameOf(row)}: ${answer.text}`);
      }
      this.done();
      if (!refused.length) rolloutwatch.say(`${counted(rows)} ${did}.`);
      return refused.length ? `${rows.length - refused.length} of ${counted(rows)} ${did}. ${refused.join(" ")}` : "";
    }

    async send(method, row, body, done) {
      const answer = await rolloutwatch.ask(method, path(row), body);
      if (answer.ok && done) rolloutwatch.say(done);
      this.done();
      return answer.text;
    }

    async archive(row, archived) {
      const where = archived ? "in the archive: it is not listed unless one asks for it" : "listed again";
      const wrong = await this.send("PATCH", row, { archived }, `${nameOf(row)} is ${where}.`);
      if (wrong) rolloutwatch.say(wrong, "bad");
    }

    async archiveAll(rows, archived) {
      const did = archived ? "archived: not listed unless one asks for them" : "listed again";
      const wrong = await this.sendAll("PATCH", rows, () => ({ archived }), did);
      if (wrong) rolloutwatch.say(wrong, "bad");
    }

    askForTags(row) {
      const { most, letters } = this.tags;
      rolloutwatch.open({
        title: `Tags of ${nameOf(row)}`,
        text: "In one line, with commas between them.",
        fields: [{ name: "tags", label: "Tags", kind: "text", value: row.tags.join(", "), most: most * (letters + 2), optional: true }],
        yes: "Save",
        act: ({ tags }) => this.send("PATCH", row, { tags: split(tags) }),
      });
    }

    askForTagsOf(rows) {
      const { most, letters } = this.tags;
      const field = { kind: "text", value: "", most: most * (letters + 2), optional: true };
      rolloutwatch.open({
        title: `Tags of ${counted(rows)}`,
        text: "In one line, with commas between them. Other tags stay as they are.",
        fields: [
          { ...field, name: "add", label: "Add" },
          { ...field, name: "take", label: "Take away" },
        ],
        yes: "Save",
        act: ({ add, take }) => {
          const tags = (row) => [...new Set([...row.tags.filter((tag) => !split(take).includes(tag)), ...split(add)])];
          return this.sendAll("PATCH", rows, (row) => ({ tags: tags(row) }), "tagged");
        },
      });
    }

    // One question for all of them; those that are live stay.
    askToDeleteAll(rows) {
      const [live, over] = [rows.filter((row) => row.state === "live"), rows.filter((row) => row.state !== "live")];
      const stay = live.length ? ` ${named(live)} ${live.length === 1 ? "is live and stays" : "are live and stay"}.` : "";
      rolloutwatch.open({
        title: `Delete ${counted(over)}?`,
        text: `${named(over)}.${stay} ${FOR_EVER} To have them out of the way, archive them instead.`,
        yes: "Delete for ever",
        kind: "danger",
        act: () => this.sendAll("DELETE", over, () => undefined, "deleted"),
      });
    }

    askToDelete(row) {
      const steps = row.step === null ? "It has no step." : `Its last step is ${row.step}.`;
      rolloutwatch.open({
        title: `Delete ${nameOf(row)}?`,
        text: `${steps} ${FOR_EVER} To have it out of the way, archive it instead.`,
        yes: "Delete for ever",
        kind: "danger",
        act: () => this.send("DELETE", row, undefined, `${nameOf(row)} is deleted.`),
      });
    }
  };
})();
