// The playground: what the reader does, and what follows.
(() => {
  const { XC } = window;
  const FOLDER = new URL(".", document.currentScript.src);
  const QUIET = matchMedia("(prefers-reduced-motion: reduce)");

  const PICTURES = XC.data.pictures.map(({ pixels, ...labels }) => {
    const id = `${"species" in labels ? "species" : "twins"} ${labels.seed}`;
    return { ...labels, id, name: `Flower ${labels.seed}`, pixels: XC.planes(XC.bytes(pixels)) };
  });

  const load = (question) => new Promise((resolve, reject) => { // a script, for a page from disk may load nothing else
    const script = XC.make("script", { src: new URL(`${question}.js`, FOLDER), onload: resolve });
    script.onerror = () => reject(new Error(`The network for this question did not load: ${question}.js is missing.`));
    document.head.append(script);
  });

  const save = (name, content) => {
    const link = XC.make("a", { download: name, href: URL.createObjectURL(content) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  class Playground {
    constructor(root) {
      this.root = root;
      this.parts = XC.layOut(root);
      this.session = new XC.Session();
      this.runner = new XC.Runner((running) => this.showRunning(running));
      this.path = new XC.Path(this.parts, this.control("step"));
      this.view = "seen";
      this.stage = new XC.Stage(this.parts.stage, () => this.brush, {
        begin: () => { this.halt(); this.session.remember(); this.parts.hint.hidden = true; },
        dab: (x, y) => { this.session.dab(x, y, this.brush); this.soon(); },
        end: () => this.settle(),
        moved: (x, y) => this.say(`column ${x}, row ${y}, shown ${XC.percent(this.session.mask[y * XC.SIDE + x])}`),
        key: (name) => this.key(name),
      });
      this.offerPictures();
      this.listen();
      this.showRunning(false);
    }

    control(name) {
      return this.root.querySelector(`[name=${name}]`);
    }

    get brush() {
      const chosen = this.root.querySelector("[name=tool]:checked").value;
      const [radius, strength] = ["radius", "strength"].map((name) => Number(this.control(name).value));
      return { radius, strength, goal: chosen === "show" ? 1 : 0 };
    }

    // Pictures and questions

    offerPictures() {
      const whole = XC.everything();
      for (const picture of PICTURES) {
        const twin = !("species" in picture), name = twin ? `twin ${picture.seed}` : `flower ${picture.seed}`;
        const radio = XC.make("input", { type: "radio", name: "picture", value: picture.id, autocomplete: "off" });
        radio.setAttribute("aria-label", name);
        const canvas = XC.canvasOf(picture.pixels, whole);
        canvas.setAttribute("aria-hidden", "true");
        this.parts[twin ? "twins" : "species"].append(XC.make("label", { title: name }, radio, canvas));
      }
      if (!XC.readsBack()) {
        this.parts.file.disabled = true;
        this.parts.own.textContent = "This browser changes the pixels that a page reads, so none of yours can be used.";
      }
    }

    // Show a picture and ask a question about it; its network is loaded first if it is not there.
    async choose(picture, question, target) {
      const ticket = (this.ticket = {}); // what is chosen while a network is loaded comes last
      this.halt();
      this.alert("");
      if (!XC.data.networks[question] && !(await this.fetch(question))) return this.showChoice();
      if (ticket !== this.ticket) return undefined;
      this.session.choose(picture, question, target);
      this.path.clear();
      this.showChoice();
      this.showAll();
      this.say(XC.verdict(this.session));
      return undefined;
    }

    async fetch(question) {
      this.parts.stage.setAttribute("aria-busy", "true");
      this.say("The network for this question is being loaded.");
      try {
        await load(question);
        return true;
      } catch (error) {
        this.alert(error.message);
        return false;
      } finally {
        this.parts.stage.removeAttribute("aria-busy");
      }
    }

    async open(file) {
      if (this.parts.file.disabled) return;
      try {
        await this.choose(await XC.readPicture(file), "species");
      } catch (error) {
        this.alert(error.message);
      }
    }

    showChoice() {
      const { picture, question, net, target, whole } = this.session, own = picture.seed === undefined;
      for (const radio of this.root.querySelectorAll("[name=picture]")) radio.checked = radio.value === picture.id;
      const questions = Object.keys(XC.QUESTIONS).filter((name) => name in picture || (own && name === "species"));
      this.offer("question", questions.map((name) => [name, XC.QUESTIONS[name]]), question);
      this.offer("target", net.classes.map((name, k) => [k, name]), target);
      const named = net.classes[whole.indexOf(Math.max(...whole))], truth = net.classes[picture[question]];
      const right = named === truth ? "and is right." : `but it is ${truth}: can you make it see that?`;
      this.parts.about.textContent = own
        ? `${picture.name}, its middle, at 64 × 64 pixels. It stays on your machine. The network knows nine flowers `
          + `and names one of them whatever it sees: here ${named}.`
        : `${picture.name}. The network answers ${named}, ${right}`;
    }

    offer(name, options, chosen) {
      const made = options.map(([value, textContent]) => XC.make("option", { value, textContent }));
      this.control(name).replaceChildren(...made);
      this.control(name).value = chosen;
    }

    // Painting

    soon() {
      this.drawing ||= requestAnimationFrame(() => this.now());
    }

    now() {
      cancelAnimationFrame(this.drawing);
      this.drawing = 0;
      this.session.evaluate();
      this.showMask();
    }

    settle() { // a stroke or a change has ended
      this.now();
      this.session.record();
      this.showAll();
      this.say(XC.verdict(this.session));
    }

    change(edit) {
      this.halt();
      this.session.remember();
      edit(this.session);
      this.parts.hint.hidden = true;
    }

    fill(value) {
      this.change((session) => session.use(new Float64Array(XC.PLANE).fill(value), XC.YOURS));
      this.showAll();
      this.say(XC.verdict(this.session));
    }

    invert() {
      this.change((session) => session.edit((value) => 1 - value));
      this.settle();
    }

    undo() {
      this.halt();
      this.showAll(this.session.undo());
      this.say(XC.verdict(this.session));
    }

    key(name) {
      const radius = this.control("radius"), [hide, show] = this.root.querySelectorAll("[name=tool]");
      const acts = {
        x: () => { (hide.checked ? show : hide).checked = true; this.say(hide.checked ? "hide" : "show"); },
        "+": () => { radius.stepUp(); this.say(`size ${radius.value}`); },
        "-": () => { radius.stepDown(); this.say(`size ${radius.value}`); },
        u: () => this.undo(),
        escape: () => hide.parentNode.parentNode.querySelector(":checked").focus(),
      };
      acts["="] = acts["+"]; // the same key without Shift
      if (!Object.hasOwn(acts, name)) return false;
      acts[name]();
      this.stage.ring();
      return true;
    }

    // Methods

    adopt(mask, method, options) {
      this.session.use(mask, XC.made(method, options));
      this.session.record();
      this.showAll();
      this.say(XC.verdict(this.session));
    }

    paint(method, wish = {}) {
      const { session } = this, { net, picture: { pixels }, target } = session;
      this.change(() => {});
      this.parts.progress.textContent = "";
      if (method === "opti-cam") return this.optimise(wish);
      if (method === "score-cam") {
        const each = ({ done, of }) => {
          this.parts.progress.textContent = `Score-CAM looks through one map after another: ${done} of ${of}.`;
        };
        return this.runner.start(XC.scoreCam(net, pixels, target), each, (mask) => this.adopt(mask, method));
      }
      const one = (mask, i) => (i ? mask : 0);
      const maps = { cam: XC.cam, "grad-cam": XC.gradCam, "fake-cam": () => XC.everything().map(one) };
      return this.adopt(maps[method](net, pixels, target), method);
    }

    optimise({ objective = "mask", step = null }) {
      const { session, path } = this, { net, picture: { pixels }, target } = session;
      this.control("objective").value = objective;
      net.logits(pixels);
      path.begin(net, objective);
      const show = (found, draw) => {
        path.add(found);
        session.use(found.mask, path.made(path.steps.length - 1), found.logits);
        path.show(path.steps.length - 1, draw);
        if (draw) this.showMask();
        return draw; // one step for each frame that is drawn
      };
      const each = (found) => show(found, !QUIET.matches || found.step % 10 === 0);
      this.runner.start(XC.optiCam(net, pixels, target, { objective }), each, (found) => {
        path.complete = true;
        show(found, true);
        this.adopt(found.mask, "opti-cam", { objective });
        if (step !== null) this.goTo(Math.min(step, path.steps.length - 1));
      });
    }

    goTo(step) {
      const { mask, logits } = this.path.steps[step];
      this.session.use(mask, this.path.made(step), logits);
      this.path.show(step);
      this.showAll();
      this.say(XC.verdict(this.session));
    }

    halt() {
      this.runner.stop();
    }

    // What is shown

    showRunning(running) {
      this.root.toggleAttribute("data-running", running);
      for (const button of this.root.querySelectorAll("[data-act]")) {
        if (button.dataset.act in XC.METHODS) button.disabled = running;
      }
      this.root.querySelector("[data-act=stop]").disabled = !running;
      this.control("step").disabled = running;
    }

    showMask() {
      const { picture, mask } = this.session;
      this.stage.show(picture.pixels, mask, this.view);
      XC.showNumbers(this.parts, this.session);
    }

    showAll() {
      this.showMask();
      XC.showBoard(this.parts, this.session);
      this.parts.python.textContent = XC.inPython(this.session);
    }

    say(sentence) { // once it has settled, so that it is read aloud once
      clearTimeout(this.saying);
      this.saying = setTimeout(() => { this.parts.said.textContent = sentence; }, 500);
    }

    alert(sentence) {
      this.parts.alert.textContent = sentence;
    }

    showComputed() {
      const { net, picture, mask } = this.session, start = performance.now();
      for (let i = 0; i < 5; i++) net.logits(picture.pixels, mask);
      const spent = ((performance.now() - start) / 5).toFixed(1);
      this.parts.computed.textContent = `In double precision, by ${net.engine.name}: ${spent} ms to ask the network `
        + "once, about twice that for a step of Opti-CAM. The numbers are those of the Python package, to nine digits.";
    }

    // Taking away, and coming back

    async share() {
      const { link, kept } = this.parts, field = link.querySelector("input");
      link.hidden = true;
      if (this.session.picture.seed === undefined) {
        kept.textContent = "A picture of yours is in no link: it stays on your machine.";
        return;
      }
      field.value = `${location.href.split(/[?#]/)[0]}#${await XC.linked(this.session)}`;
      try {
        await navigator.clipboard.writeText(field.value);
        kept.textContent = `Copied: a link of ${field.value.length} characters, which holds the mask.`;
      } catch {
        kept.textContent = "This browser lets no page copy: here is the link, to be copied by hand.";
        link.hidden = false;
        field.select();
      }
    }

    async follow(words, otherwise) {
      try {
        const wish = await XC.asked(words, PICTURES);
        if (!wish) return;
        await this.choose(wish.picture, wish.question, wish.target);
        if (wish.mask) {
          this.session.use(wish.mask, XC.YOURS);
          this.settle();
        } else if (wish.method) this.paint(wish.method, wish);
      } catch (error) {
        this.alert(`${error.message} ${otherwise}`);
      }
    }

    async begin() {
      await this.choose(PICTURES[0], "species");
      this.parts.stage.removeAttribute("aria-busy");
      const { search, hash } = location;
      const words = new URLSearchParams(hash.includes("=") ? hash.slice(1) : search);
      await this.follow(words, "The first picture is shown instead.");
      this.root.dataset.ready = "";
    }

    // What is listened to

    act(name) {
      const acts = {
        undo: () => this.undo(),
        all: () => this.fill(1),
        none: () => this.fill(0),
        invert: () => this.invert(),
        stop: () => { this.halt(); this.showAll(); },
        link: () => this.share(),
        numbers: () => save("mask.json", new Blob([XC.numbers(this.session)], { type: "application/json" })),
        picture: () => XC.poster(this.session, XC.verdict(this.session)).toBlob((blob) => save("mask.png", blob)),
      };
      if (name in acts) acts[name]();
      else this.paint(name, { objective: this.control("objective").value });
    }

    input(control) {
      const { session } = this, { name, value, files } = control;
      const inputs = {
        picture: () => {
          const picture = PICTURES.find(({ id }) => id === value);
          return this.choose(picture, "species" in picture ? "species" : "petal");
        },
        question: () => this.choose(session.picture, value),
        target: () => this.choose(session.picture, session.question, Number(value)),
        step: () => this.goTo(Number(value)),
        view: () => { this.view = value; this.showMask(); },
      };
      if (files?.length) {
        this.open(files[0]);
        control.value = ""; // or the same file could not be opened again
      } else if (Object.hasOwn(inputs, name)) inputs[name]();
    }

    listen() {
      const { root } = this;
      root.addEventListener("click", ({ target }) => {
        const { act, again } = target.closest("button")?.dataset ?? {};
        if (act) this.act(act);
        if (again) this.again(again);
      });
      root.addEventListener("input", ({ target }) => this.input(target));
      for (const kind of ["dragover", "dragleave", "drop"]) {
        document.addEventListener(kind, (event) => {
          if (!event.dataTransfer?.types.includes("Files")) return;
          event.preventDefault();
          root.toggleAttribute("data-dropping", kind === "dragover");
          if (kind === "drop") this.open(event.dataTransfer.files[0]);
        });
      }
      document.addEventListener("paste", ({ clipboardData }) => {
        if (clipboardData?.files.length) this.open(clipboardData.files[0]);
      });
      window.addEventListener("hashchange", () => {
        this.follow(new URLSearchParams(location.hash.slice(1)), "What was shown is kept.");
      });
      this.parts.how.addEventListener("toggle", () => this.showComputed());
    }

    again(name) {
      const { mask, origin } = this.session.board.get(name);
      this.change((session) => session.use(mask, origin));
      this.showAll();
      this.say(XC.verdict(this.session));
    }
  }

  const root = document.querySelector(".xc-play");
  if (root) (XC.playground = new Playground(root)).begin();
})();
