// Figures: what is wider than its place says so and can be scrolled by keyboard, and each can be enlarged.
document.addEventListener("DOMContentLoaded", () => {
  const make = (tag, attributes, ...inside) => {
    const element = Object.assign(document.createElement(tag), attributes);
    element.append(...inside);
    return element;
  };

  const watch = (box) => {
    const look = () => {
      const rest = box.scrollWidth - box.clientWidth;
      box.classList.toggle("xc-before", box.scrollLeft > 2);
      box.classList.toggle("xc-after", rest - box.scrollLeft > 2);
      if (rest > 0) {
        box.tabIndex = 0;
        box.setAttribute("role", "group");
        box.setAttribute("aria-label", "Figure that can be scrolled");
      }
    };
    box.addEventListener("scroll", look, { passive: true });
    new ResizeObserver(look).observe(box);
  };

  const place = make("div", { className: "xc-sheet", tabIndex: 0 });
  place.setAttribute("role", "group");
  place.setAttribute("aria-label", "The figure, enlarged");
  const dialog = make("dialog", { className: "xc-large" }, make("form", { method: "dialog" }, make("button", { textContent: "Close" })), place);
  dialog.setAttribute("aria-label", "Enlarged figure");
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => place.replaceChildren());

  const enlarge = (drawn) => {
    const copy = drawn.cloneNode(true);
    const { width, height } = drawn.getBoundingClientRect();
    copy.style.setProperty("--ratio", width / height);
    place.replaceChildren(copy);
    dialog.showModal();
  };

  for (const box of document.querySelectorAll(".bd-article .xc-scrolled")) {
    watch(box);
    const shown = () => [...box.children].find((drawn) => !drawn.hidden);
    const open = make("button", { type: "button", className: "xc-enlarge", textContent: "⤢" });
    open.setAttribute("aria-label", "Enlarge the figure");
    open.addEventListener("click", () => enlarge(shown()));
    box.addEventListener("click", () => enlarge(shown()));
    const frame = make("div", { className: "xc-framed" });
    box.replaceWith(frame);
    frame.append(box, open);
  }
  if (document.querySelector(".xc-framed")) document.body.append(dialog);
});
