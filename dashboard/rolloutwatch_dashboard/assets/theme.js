// Light or dark: what the system says, until someone says otherwise.
(function () {
  "use strict";
  const KEY = "rolloutwatch-theme";

  document.addEventListener("click", (event) => {
    if (!event.target.closest || !event.target.closest("#theme")) return;
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      return; // storage may be forbidden; the page is right until it is left
    }
  });
})();
