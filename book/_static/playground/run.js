// Methods that take a while run between frames, and Opti-CAM's path is drawn and kept, step by step.
(() => {
  const XC = (window.XC ??= {});
  const BUDGET = 25; // milliseconds of work in a frame
  const LARGEST = 10;

  // Advance a generator in frames until it ends or is stopped. `each` says whether its value must be drawn first.
  class Runner {
    constructor(changed) {
      Object.assign(this, { changed, frame: 0 });
    }

    get running() {
      return this.frame !== 0;
    }

    start(generator, each, end) {
      this.stop();
      const turn = () => {
        const until = performance.now() + BUDGET;
        let next;
        do next = generator.next(); while (!next.done && !each(next.value) && performance.now() < until);
        this.frame = next.done ? 0 : requestAnimationFrame(turn);
        if (next.done) {
          end(next.value);
          this.changed(false);
        }
      };
      this.frame = requestAnimationFrame(turn);
      this.changed(true);
    }

    stop() {
      if (!this.running) return;
      cancelAnimationFrame(this.frame);
      this.frame = 0;
      this.changed(false);
    }
  }

  // Opti-CAM's steps: the curve of its objective, and the feature maps that weigh most.
  class Path {
    constructor(parts, slider) {
      Object.assign(this, { parts, slider, steps: [] });
    }

    clear() {
      this.steps = [];
      this.parts.path.hidden = true;
    }

    // How a step's mask is made again: by so many iterations, or, of the last, by all.
    made(at) {
      const { objective, complete, steps } = this;
      return XC.made("opti-cam", { objective, step: complete && at === steps.length - 1 ? null : at });
    }

    begin(net, objective) { // the features of the network's last forward, which is that of the whole picture
      Object.assign(this, { objective, complete: false });
      const { cells, channels, features } = net;
      this.maps = Array.from({ length: channels }, (_, k) => XC.normalize(features.slice(k * cells, (k + 1) * cells)));
      this.steps = [];
    }

    add({ mask, logits, weights, value }) {
      this.steps.push({ mask, logits, weights, value });
    }

    show(at, draw = true) {
      const { steps, slider, parts } = this, value = XC.number(steps[at].value), last = steps.length - 1;
      slider.max = last;
      slider.value = at;
      if (!draw) return;
      parts.path.hidden = false;
      parts.step.textContent = `Step ${at} of ${last}: ${value}`;
      slider.setAttribute("aria-valuetext", `step ${at}, objective ${value}`);
      this.drawChart(at);
      this.drawChannels(at);
    }

    drawChart(at) {
      const { chart } = this.parts, values = this.steps.map(({ value }) => value);
      const low = Math.min(...values), high = Math.max(...values), last = Math.max(1, values.length - 1);
      const points = values.map((value, i) => `${100 * i / last} ${95 - 90 * (value - low) / (high - low || 1)}`);
      chart.querySelector("path").setAttribute("d", `M${points.join("L")}`);
      for (const end of ["x1", "x2"]) chart.querySelector("line").setAttribute(end, 100 * at / last);
      [high, low].forEach((value, i) => { chart.querySelectorAll("span")[i].textContent = XC.number(value); });
      const [first, best, now] = [values[0], high, values.at(-1)].map(XC.number);
      chart.setAttribute("aria-label", `Objective by step: ${first} at first, ${best} at best, ${now} at last`);
    }

    drawChannels(at) {
      const { weights } = this.steps[at], order = Array.from(weights.keys()).sort((i, j) => weights[j] - weights[i]);
      const largest = order.slice(0, LARGEST), words = largest.map((k) => `map ${k}: ${XC.percent(weights[k])}`);
      this.parts.channels.setAttribute("aria-label", words.join(", "));
      this.parts.channels.replaceChildren(...largest.map((k) => {
        const bar = XC.make("i");
        bar.style.height = `${100 * weights[k] / weights[largest[0]]}%`;
        const weight = XC.make("small", { textContent: (100 * weights[k]).toFixed(1) });
        const map = XC.canvasOf(null, this.maps[k], "map");
        return XC.make("span", { title: `map ${k}` }, XC.make("span", {}, bar), map, weight);
      }));
    }
  }

  Object.assign(XC, { Runner, Path });
})();
