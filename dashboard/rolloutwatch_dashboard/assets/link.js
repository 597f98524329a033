// The address of what one sees, to be given to somebody else.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  // Browsers have a clipboard for pages of https and of this host only; the older way works elsewhere, if it is allowed.
  async function isCopied(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = rolloutwatch.element("textarea", { class: "hidden" });
      area.value = text;
      document.body.append(area);
      const focused = document.activeElement;
      area.select();
      const isDone = document.execCommand("copy");
      area.remove();
      if (focused) focused.focus({ preventScroll: true });
      return isDone;
    }
  }

  document.addEventListener("click", ({ target }) => {
    if (target.closest && target.closest("#copy-link")) rolloutwatch.copyLink();
  });

  // Copy a link, the one to what one sees if none is given; one that cannot be copied is shown, selected.
  rolloutwatch.copyLink = async function (link, done) {
    const copied = link || rolloutwatch.address();
    if (await isCopied(copied)) return rolloutwatch.say(done || "Copied: the link to what you see.");
    const field = rolloutwatch.element("input", { id: "shown-link", value: copied, readonly: true, spellcheck: "false" });
    const label = rolloutwatch.element("label", { for: "shown-link" }, "This browser does not let pages copy: take it from here");
    rolloutwatch.show("The link to what you see", "", label, field);
    field.focus();
    field.select();
  };
})();
