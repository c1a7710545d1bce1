// What is explained and what was found: picture, question, class, mask, its past, and the best masks so far. No page.
(() => {
  const XC = (window.XC ??= {});
  const { PLANE } = XC;
  const LEVELS = 255, PAST = 50; // a painted mask has as many levels as a byte, so that a link carries it exactly

  const METHODS = {
    cam: "CAM", "grad-cam": "Grad-CAM", "score-cam": "Score-CAM", "opti-cam": "Opti-CAM", "fake-cam": "Fake-CAM",
  };
  const OBJECTIVES = ["mask", "diff", "iomask", "iodiff"];
  const QUESTIONS = {
    species: "Which species is it?",
    petal: "What colour are the petals?",
    stem: "What colour is the stem?",
  };

  const level = (value) => Math.floor(LEVELS * value + 0.5) / LEVELS;
  const everything = () => new Float64Array(PLANE).fill(1);
  const planes = (bytes) => { // float32 of a byte over 255, as the package has it
    const pixels = new Float64Array(3 * PLANE);
    for (let i = 0; i < PLANE; i++) {
      for (let c = 0; c < 3; c++) pixels[c * PLANE + i] = Math.fround(bytes[3 * i + c] / 255);
    }
    return pixels;
  };

  // Where a mask comes from: painted, or a method's, perhaps painted on afterwards.
  const YOURS = { name: "You" };
  const made = (method, { objective = "mask", step = null } = {}) => {
    const variant = objective === "mask" ? "" : `, ${objective}`, stopped = step === null ? "" : `, step ${step}`;
    return { name: METHODS[method] + variant + stopped, method, objective, step };
  };
  const edited = (origin) => {
    if (origin === YOURS) return YOURS;
    return { name: origin.method ? `${METHODS[origin.method]}, edited` : origin.name };
  };
  const ofClass = (origin, name) => ( // once another class is explained
    !origin.method || origin.method === "fake-cam" ? origin : { name: `${origin.name}, for ${name}` });

  class Session {
    constructor() {
      Object.assign(this, { networks: {}, boards: new Map(), past: [], origin: YOURS, mask: everything() });
    }

    // The network that answers a question; its data must be there.
    network(question) {
      return (this.networks[question] ??= new XC.Network(XC.data.networks[question], XC.anyEngine()));
    }

    // Take another picture or question. The mask stays where only the question changes.
    choose(picture, question, target) {
      if (picture !== this.picture) Object.assign(this, { past: [], origin: YOURS, mask: everything() });
      const net = this.network(question), whole = net.logits(picture.pixels);
      const wanted = target ?? picture[question] ?? whole.indexOf(Math.max(...whole));
      if (this.net && (net !== this.net || wanted !== this.target)) this.disown();
      Object.assign(this, { picture, question, net, whole, target: wanted });
      this.evaluate();
    }

    disown() { // masks that a method made for the class that was explained until now
      const name = this.net.classes[this.target];
      this.origin = ofClass(this.origin, name);
      this.past = this.past.map(({ mask, origin }) => ({ mask, origin: ofClass(origin, name) }));
    }

    evaluate() {
      this.logits = this.net.logits(this.picture.pixels, this.mask);
    }

    get found() {
      const p = XC.softmax(this.whole)[this.target], o = XC.softmax(this.logits)[this.target];
      return { p, o, ...XC.measures(p, o), area: this.mask.reduce((a, b) => a + b, 0) / PLANE };
    }

    remember() {
      this.past.push({ mask: this.mask.slice(), origin: this.origin });
      if (this.past.length > PAST) this.past.shift();
    }

    undo() {
      if (!this.past.length) return false;
      Object.assign(this, this.past.pop());
      this.evaluate();
      return true;
    }

    // Show a mask and the logits through it, if they are known.
    use(mask, origin, logits = null) {
      Object.assign(this, { mask, origin });
      if (logits) this.logits = logits;
      else this.evaluate();
    }

    // Change every value of the mask by hand.
    edit(change) {
      this.use(this.mask.map((value, i) => level(change(level(value), i))), edited(this.origin));
    }

    // One touch of a round brush, which brings what it covers nearer to a goal; the network is asked later.
    dab(x, y, { radius, strength, goal }) {
      this.origin = edited(this.origin);
      this.mask = this.mask.map((value, i) => {
        const inside = (i % XC.SIDE - x) ** 2 + (Math.floor(i / XC.SIDE) - y) ** 2 <= radius ** 2;
        return level(inside ? value + (goal - value) * strength : value);
      });
    }

    // The masks to compare, for this picture, question and class.
    get board() {
      const { id } = this.picture, key = `${id} ${this.question} ${this.target}`;
      if (!this.boards.has(key)) this.boards.set(key, new Map());
      return this.boards.get(key);
    }

    // Enter the mask into the board: a method's replaces its last, a painted one only one that is worse.
    record() {
      const { name, method } = this.origin, entry = { ...this.found, mask: this.mask, origin: this.origin };
      const last = this.board.get(name);
      if (method || !last || score(entry) > score(last)) this.board.set(name, entry);
    }

    get ranking() {
      return [...this.board].sort((one, other) => score(other[1]) - score(one[1]));
    }
  }

  const score = ({ gain, drop }) => gain - drop; // one of them is zero

  Object.assign(XC, { Session, METHODS, OBJECTIVES, QUESTIONS, YOURS, everything, made, planes, score });
})();
