// What people do about runs: tag them, put them away, delete them after a question. The server decides who may.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  rolloutwatch.RunsActions = class {
    // tags: {most, letters} a run may have; done(): something has been done
    constructor(tags, done) {
      [this.tags, this.done] = [tags, done];
    }

    async send(method, row, body, done) {
      const answer = await rolloutwatch.ask(method, `/api/v1/runs/${encodeURIComponent(row.id)}`, body);
      if (answer.ok && done) rolloutwatch.say(done);
      this.done();
      return answer.text;
    }

    async archive(row, archived) {
      const where = archived ? "in the archive: it is not listed unless one asks for it" : "listed again";
      const wrong = await this.send("PATCH", row, { archived }, `${row.project} / ${row.name} is ${where}.`);
      if (wrong) rolloutwatch.say(wrong, "bad");
    }

    askForTags(row) {
      const { most, letters } = this.tags;
      rolloutwatch.open({
        title: `Tags of ${row.project} / ${row.name}`,
        text: "In one line, with commas between them.",
        fields: [{ name: "tags", label: "Tags", kind: "text", value: row.tags.join(", "), most: most * (letters + 2), optional: true }],
        yes: "Save",
        act: ({ tags }) => this.send("PATCH", row, { tags: tags.split(",").map((tag) => tag.trim()).filter(Boolean) }),
      });
    }

    askToDelete(row) {
      const steps = row.step === null ? "It has no step." : `Its last step is ${row.step}.`;
      rolloutwatch.open({
        title: `Delete ${row.project} / ${row.name}?`,
        text: `${steps} All of its steps, marks and alerts are gone for everybody and for ever; only a backup has them then. To have it out of the way, archive it instead.`,
        yes: "Delete for ever",
        kind: "danger",
        act: () => this.send("DELETE", row, undefined, `${row.project} / ${row.name} is deleted.`),
      });
    }
  };
})();
