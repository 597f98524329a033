// plotly.js is large: it is run while the server makes the first page, and what draws charts waits for it.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});
  const source = document.querySelector("link[data-library]").href;

  let begin;
  // dash takes what it finds by this name, and fetches all of plotly.js where there is nothing
  window.Plotly = new Promise((resolve, reject) => {
    begin = () => {
      const script = document.createElement("script");
      script.src = source;
      script.onload = () => resolve(window.Plotly);
      script.onerror = () => reject(new Error(`${source} could not be loaded`));
      document.head.append(script);
    };
  });

  // called by dash with every question that it is about to ask
  rolloutwatch.asked = function () {
    if (begin) setTimeout(begin);
    begin = null;
  };
})();
