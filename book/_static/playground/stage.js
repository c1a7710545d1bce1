// The picture to paint on: mouse, finger, pen and keys become touches of a brush, wherever they are.
(() => {
  const XC = (window.XC ??= {});
  const { SIDE } = XC;
  const PACE = 2, FAST = 8;
  const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  // Handlers: begin, dab(x, y), end; moved(x, y) by keys; key(name), which says whether it knew the key.
  class Stage {
    constructor(element, brush, handlers) {
      const canvas = element.querySelector("canvas"), tile = XC.canvasOf(null, new Float64Array(SIDE * SIDE), "map");
      Object.assign(this, { element, canvas, tile, brush, handlers });
      Object.assign(this, { cursor: [SIDE / 2, SIDE / 2], stroke: null, hover: null });
      const on = (kinds, handle) => kinds.split(" ").forEach((kind) => element.addEventListener(kind, handle));
      on("pointerdown", (event) => this.press(event));
      on("pointermove", (event) => this.drag(event));
      on("pointerup pointercancel", () => this.release());
      on("pointerleave", () => { this.hover = null; this.ring(); });
      on("keydown", (event) => this.key(event));
      on("focus blur", () => this.ring());
    }

    place({ clientX, clientY }) {
      const box = this.canvas.getBoundingClientRect();
      return [(clientX - box.left) / box.width * SIDE - 0.5, (clientY - box.top) / box.height * SIDE - 0.5];
    }

    press(event) {
      if (event.button !== 0 || this.stroke) return;
      this.element.setPointerCapture(event.pointerId);
      this.handlers.begin();
      this.stroke = this.hover = this.place(event);
      this.handlers.dab(...this.stroke);
    }

    drag(event) {
      this.hover = event.pointerType === "touch" && !this.stroke ? null : this.place(event);
      if (!this.stroke) return this.ring();
      const events = event.getCoalescedEvents?.() ?? [];
      for (const each of events.length ? events : [event]) this.line(this.place(each));
      return undefined;
    }

    line([x, y]) { // no step is longer than two pixels
      const [x0, y0] = this.stroke, steps = Math.max(1, Math.ceil(Math.hypot(x - x0, y - y0) / 2));
      for (let s = 1; s <= steps; s++) this.handlers.dab(x0 + (x - x0) * s / steps, y0 + (y - y0) * s / steps);
      this.stroke = [x, y];
    }

    release() {
      if (!this.stroke) return;
      this.stroke = null;
      this.handlers.end();
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const move = MOVES[event.key], pace = event.shiftKey ? FAST : PACE;
      if (move) {
        this.cursor = this.cursor.map((v, i) => Math.min(SIDE - 1, Math.max(0, v + pace * move[i])));
        this.hover = null;
        this.handlers.moved(...this.cursor);
        this.ring();
      } else if (event.key === " ") {
        this.handlers.begin();
        this.handlers.dab(...this.cursor);
        this.handlers.end();
      } else if (!this.handlers.key(event.key.toLowerCase())) return;
      event.preventDefault();
    }

    show(pixels, mask, view) {
      XC.drawPixels(this.tile.getContext("2d"), pixels, mask, view);
      this.ring();
    }

    ring() { // black within white, to be seen on any picture
      const context = this.canvas.getContext("2d"), unit = this.canvas.width / SIDE;
      context.imageSmoothingEnabled = false;
      context.drawImage(this.tile, 0, 0, this.canvas.width, this.canvas.height);
      const at = this.hover ?? (document.activeElement === this.element ? this.cursor : null);
      if (!at) return;
      for (const [colour, width] of [["#000", 4], ["#fff", 2]]) {
        Object.assign(context, { strokeStyle: colour, lineWidth: width });
        context.beginPath();
        context.arc((at[0] + 0.5) * unit, (at[1] + 0.5) * unit, this.brush().radius * unit, 0, 7);
        context.stroke();
      }
    }
  }

  Object.assign(XC, { Stage });
})();
