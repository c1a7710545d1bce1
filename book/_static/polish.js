// Accessible names that say what is shown, and landmarks around everything, which the theme leaves out.
const polish = () => {
  const all = (selector, change) => document.querySelectorAll(selector).forEach(change);
  all("details.hide > summary[aria-label], button.search-button-field[aria-label]", (e) => e.removeAttribute("aria-label"));
  all("button.theme-switch-button svg", (e) => {
    e.querySelector("title")?.remove();
    e.removeAttribute("role");
    e.setAttribute("aria-hidden", "true");
  });
  all("button.theme-switch-button [title]", (e) => e.removeAttribute("title"));
  all(".citation-list > [role]", (e) => e.setAttribute("role", "listitem"));
  all(".bd-sidebar-primary:not([role])", (e) => {
    e.setAttribute("role", "navigation");
    e.setAttribute("aria-label", "Book");
  });
};

document.addEventListener("DOMContentLoaded", () => {
  // The theme looks for this element on every page with a margin note.
  if (!document.querySelector("div.bd-sidebar-secondary")) {
    document.body.append(Object.assign(document.createElement("div"), { className: "bd-sidebar-secondary", hidden: true }));
  }
  polish();
});
window.addEventListener("load", () => setTimeout(polish, 50)); // icons are drawn by script
