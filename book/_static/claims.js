// The page of claims: narrowed to a verdict, a paper or some words; and a link opens what it leads to.
document.addEventListener("DOMContentLoaded", () => {
  const box = document.querySelector(".xc-claims");
  if (!box) return;
  const [verdict, paper, words] = ["verdict", "paper", "words"].map((name) => box.querySelector(`[name=${name}]`));
  const claims = [...document.querySelectorAll("[data-verdict][data-paper]")];
  const chapters = [...document.querySelectorAll("details.xc-chapter"), ...box.querySelectorAll(".xc-matrix")];

  const narrow = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const claim of claims) {
      const { verdict: kinds, paper: by, words: text } = claim.dataset;
      const fits = (!verdict.value || kinds.split(" ").includes(verdict.value)) && (!paper.value || paper.value === by);
      claim.hidden = !(fits && wanted.every((word) => text.includes(word)));
    }
    for (const chapter of chapters) chapter.hidden = !chapter.querySelector("[data-verdict]:not([hidden])");
    const rows = [...box.querySelectorAll("tbody tr")];
    const shown = rows.filter((row) => !row.hidden).length;
    box.querySelector("output").textContent = shown < rows.length ? `${shown} of ${rows.length} claims` : "";
  };
  for (const control of [verdict, paper, words]) control.addEventListener("input", narrow);

  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target?.closest(".xc-folds")) return;
    for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    target.scrollIntoView();
  };
  window.addEventListener("hashchange", open);
  open();
});
