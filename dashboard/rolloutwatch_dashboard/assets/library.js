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
      script.onload = () => {
        window.Plotly.react = inTurns(window.Plotly.react);
        resolve(window.Plotly);
      };
      script.onerror = () => reject(new Error(`${source} could not be loaded`));
      document.head.append(script);
    };
  });

  // Charts that come together are drawn one after the other, and each is seen before the next one is begun.
  function inTurns(draw) {
    let former = Promise.resolve();
    return (graph, ...figure) => {
      const drawn = former.then(() => (graph.isConnected ? draw(graph, ...figure) : graph));
      former = drawn.catch(() => {}).then(() => new Promise((resolve) => setTimeout(resolve)));
      return drawn;
    };
  }

  // called by dash with every question that it is about to ask
  rolloutwatch.asked = function () {
    if (begin) setTimeout(begin);
    begin = null;
  };
})();
