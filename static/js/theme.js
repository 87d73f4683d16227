// Sets the theme before the page is painted, and lets the switch in the masthead change it.
// Loaded in <head> without `defer` on purpose: a later moment would show a flash of the other theme.
(() => {
  "use strict";
  const KEY = "headroom-theme";
  const system = window.matchMedia("(prefers-color-scheme: dark)");

  // Private windows may refuse storage; the page then simply follows the system.
  const chosen = () => {
    try { return localStorage.getItem(KEY); } catch { return null; }
  };
  const remember = (theme) => {
    try { localStorage.setItem(KEY, theme); } catch { /* the choice then lasts until the next page */ }
  };

  const wanted = () => (["light", "dark"].includes(chosen()) ? chosen() : system.matches ? "dark" : "light");

  const show = (theme) => {
    document.documentElement.dataset.bsTheme = theme;
    for (const button of document.querySelectorAll("[data-theme-switch]")) {
      button.setAttribute("aria-pressed", String(theme === "dark"));
    }
    document.dispatchEvent(new CustomEvent("headroom:theme", { detail: { theme } }));
  };

  show(wanted());
  system.addEventListener("change", () => show(wanted()));
  window.addEventListener("storage", (event) => { if (event.key === KEY) show(wanted()); });

  document.addEventListener("DOMContentLoaded", () => show(wanted()));
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-switch]")) return;
    const theme = document.documentElement.dataset.bsTheme === "dark" ? "light" : "dark";
    remember(theme);
    show(theme);
  });
})();
