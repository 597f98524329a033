// Rules that somebody writes and has not saved: kept in this tab, and not left without a question.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  const KEY = "rolloutwatch-rules-draft";
  let seen = null; // the editor whose text was compared with a draft already
  let coming = null; // what was put into it, until it is there
  let done = null; // what was saved or let go of, until something else is written
  let isUnsaved = false;

  // as a text area has it
  const written = (document) => document.replaceAll("\r\n", "\n");

  function stored() {
    try {
      const draft = JSON.parse(sessionStorage.getItem(KEY));
      return draft && typeof draft.document === "string" ? draft : null;
    } catch {
      return null; // storage may be forbidden, and what stands there may be another's
    }
  }

  function store(draft) {
    try {
      if (draft) sessionStorage.setItem(KEY, JSON.stringify(draft));
      else sessionStorage.removeItem(KEY);
    } catch {
      return; // forbidden, or full: the question before one leaves is left
    }
  }

  rolloutwatch.drafts = {
    // Keep what stands in an editor, if it is other than the rules that it was made for.
    keep(area, { document, tag }) {
      if (area.readOnly || (coming !== null && area.value !== coming)) return;
      coming = null;
      if (area.value === done) return;
      done = null;
      isUnsaved = area.value !== written(document);
      if (!isUnsaved) return store(null);
      const former = stored();
      if (!former || former.document !== area.value) store({ document: area.value, tag });
    },

    // Put a draft into an editor that still shows the rules; return it, null if there is none.
    take(area, { document }) {
      if (seen === area) return null;
      seen = area;
      const draft = stored();
      if (!draft || area.readOnly || draft.document === written(document) || area.value !== written(document)) return null;
      coming = draft.document;
      window.dash_clientside.set_props(area.id, { value: coming });
      isUnsaved = true;
      return draft;
    },

    drop() {
      store(null);
      [isUnsaved, coming] = [false, null];
      done = document.getElementById("rules-document").value;
    },
  };

  addEventListener("beforeunload", (event) => {
    if (isUnsaved && document.getElementById("rules-document")) event.preventDefault();
  });
})();
