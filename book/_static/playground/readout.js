// Numbers on the page: what the mask does to the class, to all classes, and which mask does best.
(() => {
  const XC = (window.XC ??= {});

  const percent = (value) => `${(100 * value).toFixed(1)}\u00a0%`;
  const number = (value) => value.toFixed(2).replace("-", "−");

  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const row = (head, ...cells) => make("tr", {}, make("th", { scope: "row" }, head),
    ...cells.map((cell) => (cell instanceof Node ? cell : make("td", { textContent: cell }))));

  // One sentence: what the mask does to the class.
  const verdict = ({ net, target, found }) => {
    const { p, o, drop, gain } = found, change = gain > 0 ? `gain ${percent(gain)}` : `drop ${percent(drop)}`;
    return `${net.classes[target]}: ${percent(p)} on the picture, ${percent(o)} through the mask; ${change}.`;
  };

  const showMeter = (parts, session) => {
    const { p, o } = session.found, [shown, change, mark] = parts.meter.children;
    shown.style.width = `${100 * Math.min(p, o)}%`;
    Object.assign(change.style, { left: `${100 * Math.min(p, o)}%`, width: `${100 * Math.abs(o - p)}%` });
    change.className = o > p ? "gain" : "drop";
    mark.style.left = `${100 * p}%`;
    parts.meter.setAttribute("aria-label", `probability: ${verdict(session)}`);
    parts.through.textContent = `through the mask ${percent(o)}, logit ${number(session.logits[session.target])}`;
    parts.whole.textContent = `on the picture ${percent(p)}, logit ${number(session.whole[session.target])}`;
  };

  const showTiles = (parts, { found: { drop, gain, increase, area } }) => {
    parts.drop.textContent = percent(drop);
    parts.gain.textContent = percent(gain);
    parts.increase.textContent = increase ? "yes" : "no";
    parts.area.textContent = percent(area);
    parts.drop.parentNode.classList.toggle("drop", drop >= 5e-4);
    parts.gain.parentNode.classList.toggle("gain", gain >= 5e-4);
  };

  const bars = (...shares) => {
    const cell = make("td", { className: "xc-bars" }, ...shares.map((share) => {
      const bar = make("i");
      bar.style.width = `${100 * share}%`;
      return bar;
    }));
    cell.setAttribute("aria-hidden", "true");
    return cell;
  };

  const showClasses = (parts, { net, target, whole, logits }) => {
    const before = XC.softmax(whole), after = XC.softmax(logits);
    parts.classes.replaceChildren(...net.classes.map((name, k) => {
      const line = row(name, bars(before[k], after[k]), percent(before[k]), percent(after[k]));
      line.classList.toggle("chosen", k === target);
      return line;
    }));
  };

  const showBoard = (parts, session) => {
    const { ranking } = session, best = ranking.length ? XC.score(ranking[0][1]) : 0;
    parts.board.replaceChildren(...ranking.map(([name, entry]) => {
      const again = make("button", { type: "button", textContent: name, className: "xc-again" });
      again.dataset.again = name;
      const line = row(again, percent(entry.area), percent(entry.drop), percent(entry.gain));
      line.classList.toggle("best", XC.score(entry) === best);
      return line;
    }));
    parts.lead.textContent = lead(session.board);
  };

  const points = (value) => { // of what can be gained or lost
    const shown = (100 * value).toFixed(1);
    return shown === "1.0" ? "1 point" : `${shown} points`;
  };

  const lead = (board) => {
    const you = board.get("You"), rival = board.get("Opti-CAM");
    if (!you && !rival) return "Nothing to compare yet: paint a mask, then run Opti-CAM.";
    if (!you) return "Your turn: choose Show all, then hide what the network does not need.";
    if (!rival) return "Now let Opti-CAM try.";
    const ahead = XC.score(you) - XC.score(rival);
    if (Math.abs(ahead) < 5e-4) return "You and Opti-CAM are level.";
    return ahead > 0 ? `You lead Opti-CAM by ${points(ahead)}.` : `Opti-CAM leads you by ${points(-ahead)}.`;
  };

  const showNumbers = (parts, session) => {
    showMeter(parts, session);
    showTiles(parts, session);
    showClasses(parts, session);
  };

  Object.assign(XC, { make, number, percent, showBoard, showNumbers, verdict });
})();
