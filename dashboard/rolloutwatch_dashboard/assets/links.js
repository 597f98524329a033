// Links and buttons that scripts make.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});

  // A link to another page of ours that Dash follows without loading the page anew.
  rolloutwatch.link = function (href, attributes, ...children) {
    const made = rolloutwatch.element("a", { href, ...attributes }, ...children);
    made.addEventListener("click", (event) => {
      if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      rolloutwatch.visit(href);
    });
    return made;
  };

  // A button that does something when it is pressed.
  rolloutwatch.button = function (text, attributes, act) {
    const made = rolloutwatch.element("button", { type: "button", ...attributes }, text);
    made.addEventListener("click", act);
    return made;
  };
})();
