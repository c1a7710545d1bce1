// What a word of the glossary means, shown beside it to pointer and keyboard; Escape takes it away.
document.addEventListener("DOMContentLoaded", () => {
  const tip = Object.assign(document.createElement("div"), { id: "xc-tip", className: "xc-tip", hidden: true });
  tip.setAttribute("role", "tooltip");
  document.body.append(tip);
  let waiting;
  let shown = null;

  const hide = () => {
    tip.hidden = true;
    shown?.removeAttribute("aria-describedby");
    shown = null;
  };
  const show = (link) => {
    clearTimeout(waiting);
    hide();
    shown = link;
    tip.textContent = link.dataset.meaning;
    tip.hidden = false;
    link.setAttribute("aria-describedby", "xc-tip");
    const word = link.getBoundingClientRect();
    const left = Math.min(word.left, document.documentElement.clientWidth - tip.offsetWidth - 8);
    const above = word.top > tip.offsetHeight + 8;
    tip.style.left = `${Math.max(8, left) + window.scrollX}px`;
    tip.style.top = `${(above ? word.top - tip.offsetHeight - 4 : word.bottom + 4) + window.scrollY}px`;
  };
  const later = () => { waiting = setTimeout(hide, 150); };

  document.querySelectorAll("a.xc-term[title]").forEach((link) => {
    link.dataset.meaning = link.title;
    link.removeAttribute("title");
    link.addEventListener("mouseenter", () => show(link));
    link.addEventListener("focus", () => show(link));
    link.addEventListener("mouseleave", later);
    link.addEventListener("blur", hide);
  });
  tip.addEventListener("mouseenter", () => clearTimeout(waiting));
  tip.addEventListener("mouseleave", later);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
});
