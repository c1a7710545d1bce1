// The methods and measures of the book, on one picture. What takes long is a generator: it yields after each step.
(() => {
  const XC = (window.XC ??= {});
  const { SIDE } = XC;
  const ROUNDING = 8 * 2 ** -52; // by how much of its largest value a constant map may differ in places

  const softmax = (values) => {
    const high = Math.max(...values), powers = values.map((value) => Math.exp(value - high));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((power) => power / sum);
  };

  // Where each row of the large map looks in the small one: two places, and the share of the second.
  const places = (side) => Array.from({ length: SIDE }, (_, i) => {
    const at = Math.max(0, (i + 0.5) * side / SIDE - 0.5), low = Math.floor(at);
    return [low, Math.min(low + 1, side - 1), at - low];
  });

  const upsample = (small, side) => {
    const large = new Float64Array(SIDE * SIDE), at = places(side);
    at.forEach(([y0, y1, dy], y) => at.forEach(([x0, x1, dx], x) => {
      const upper = (1 - dx) * small[y0 * side + x0] + dx * small[y0 * side + x1];
      const lower = (1 - dx) * small[y1 * side + x0] + dx * small[y1 * side + x1];
      large[y * SIDE + x] = (1 - dy) * upper + dy * lower;
    }));
    return large;
  };

  const upsampleGradient = (large, side) => {
    const small = new Float64Array(side * side), at = places(side);
    at.forEach(([y0, y1, dy], y) => at.forEach(([x0, x1, dx], x) => {
      const slope = large[y * SIDE + x];
      small[y0 * side + x0] += (1 - dy) * (1 - dx) * slope;
      small[y0 * side + x1] += (1 - dy) * dx * slope;
      small[y1 * side + x0] += dy * (1 - dx) * slope;
      small[y1 * side + x1] += dy * dx * slope;
    }));
    return small;
  };

  const extent = (map) => {
    let low = Infinity, high = -Infinity;
    for (const value of map) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    const constant = high - low <= ROUNDING * Math.max(Math.abs(low), Math.abs(high));
    return { low, high, span: constant ? 0 : high - low };
  };

  const normalize = (map) => {
    const { low, span } = extent(map);
    return map.map((value) => (span ? (value - low) / span : 0));
  };

  // Places that share the minimum, or the maximum, share its gradient, as in PyTorch.
  const normalizeGradient = (map, above) => {
    const { low, high, span } = extent(map), below = new Float64Array(map.length);
    if (!span) return below;
    let atLow = 0, atHigh = 0, lows = 0, highs = 0;
    map.forEach((value, i) => {
      const share = (value - low) / span;
      below[i] = above[i] / span;
      atLow -= above[i] * (1 - share) / span;
      atHigh -= above[i] * share / span;
      lows += value === low;
      highs += value === high;
    });
    map.forEach((value, i) => {
      if (value === low) below[i] += atLow / lows;
      if (value === high) below[i] += atHigh / highs;
    });
    return below;
  };

  const combine = (weights, features, cells) => {
    const map = new Float64Array(cells);
    weights.forEach((weight, k) => {
      for (let i = 0; i < cells; i++) map[i] += weight * features[k * cells + i];
    });
    return map;
  };

  const positive = (map) => map.map((value) => Math.max(value, 0));
  const saliency = (raw, side) => normalize(upsample(raw, side));

  const cam = (net, pixels, target) => {
    net.logits(pixels);
    return saliency(combine(net.classWeights(target), net.features, net.cells), net.side);
  };

  const gradCam = (net, pixels, target) => { // under global average pooling the gradient is W / cells everywhere
    net.logits(pixels);
    const weights = net.classWeights(target).map((weight) => weight / net.cells);
    return saliency(positive(combine(weights, net.features, net.cells)), net.side);
  };

  function* scoreCam(net, pixels, target) {
    net.logits(pixels);
    const { channels, cells, side } = net, features = net.features.slice();
    const scores = new Float64Array(channels).fill(-Infinity);
    for (let k = 0; k < channels; k++) {
      const map = features.subarray(k * cells, (k + 1) * cells);
      if (extent(map).span) scores[k] = net.logits(pixels, saliency(map, side))[target];
      yield { done: k + 1, of: channels };
    }
    const weights = scores.some((score) => score > -Infinity) ? softmax(scores) : new Float64Array(channels);
    return saliency(positive(combine(weights, features, cells)), side);
  }

  // What Opti-CAM maximises, from the logit of the picture, of what the map keeps, and of the rest; and its slopes.
  const OBJECTIVES = {
    mask: { value: (whole, kept) => kept, slopes: () => [1, 0] },
    diff: { value: (whole, kept) => -Math.abs(whole - kept), slopes: (whole, kept) => [Math.sign(whole - kept), 0] },
    iomask: { value: (whole, kept, rest) => kept - rest, slopes: () => [1, -1], twoSided: true },
    iodiff: {
      value: (whole, kept, rest) => Math.abs(whole - rest) - Math.abs(whole - kept),
      slopes: (whole, kept, rest) => [Math.sign(whole - kept), -Math.sign(whole - rest)],
      twoSided: true,
    },
  };

  // The objective at a mask, and a function that gives its gradient there.
  const look = (net, pixels, target, whole, objective, mask) => {
    const { value, slopes, twoSided } = OBJECTIVES[objective], rest = mask.map((v) => 1 - v);
    const removed = twoSided ? net.logits(pixels, rest)[target] : 0;
    const logits = net.logits(pixels, mask), three = [whole, logits[target], removed];
    const gradient = () => { // of the network's last forward, so that of the mask comes first
      const [kept, lost] = slopes(...three), slope = net.maskGradient(pixels, target).map((v) => kept * v);
      if (!twoSided) return slope;
      net.logits(pixels, rest);
      const other = net.maskGradient(pixels, target);
      return slope.map((v, i) => v - lost * other[i]);
    };
    return { logits, value: value(...three), gradient };
  };

  const dot = (one, other) => one.reduce((sum, value, i) => sum + value * other[i], 0);

  class Adam {
    constructor(length, rate, betas) {
      Object.assign(this, { rate, betas, t: 0, first: new Float64Array(length), second: new Float64Array(length) });
    }

    ascend(u, gradient) {
      const { rate, betas: [b1, b2], first, second } = this, t = (this.t += 1);
      gradient.forEach((g, k) => {
        first[k] = b1 * first[k] + (1 - b1) * g;
        second[k] = b2 * second[k] + (1 - b2) * g * g;
        u[k] += rate * (first[k] / (1 - b1 ** t)) / (Math.sqrt(second[k] / (1 - b2 ** t)) + 1e-8);
      });
    }
  }

  // Opti-CAM with the paper's settings. It yields before each step, and returns where the last one led.
  function* optiCam(net, pixels, target, { iterations = 100, objective = "mask" } = {}) {
    const whole = net.logits(pixels)[target], { channels, cells, side } = net, features = net.features.slice();
    const u = new Float64Array(channels), adam = new Adam(channels, 0.1, [0.9, 0.999]);
    const state = (step) => {
      const weights = softmax(u), large = upsample(combine(weights, features, cells), side), mask = normalize(large);
      return { step, weights, large, mask, ...look(net, pixels, target, whole, objective, mask) };
    };
    let step = 0, last = Infinity;
    while (step < iterations) {
      const now = state(step), { weights, large, value } = now;
      const atMap = upsampleGradient(normalizeGradient(large, now.gradient()), side);
      yield now;
      const atWeights = weights.map((_, k) => dot(atMap, features.subarray(k * cells, (k + 1) * cells)));
      const mean = dot(weights, atWeights);
      adam.ascend(u, weights.map((weight, k) => weight * (atWeights[k] - mean)));
      step += 1;
      if (Math.abs(value - last) < 1e-10) break;
      last = value;
    }
    return state(step);
  }

  const finish = (generator) => {
    let next = generator.next();
    while (!next.done) next = generator.next();
    return next.value;
  };

  // Average drop, increase and gain, from the probability of the class on the picture and through the mask.
  const measures = (p, o) => ({
    drop: p > 0 ? Math.max(0, p - o) / p : 0,
    increase: o > p ? 1 : 0,
    gain: p < 1 ? Math.max(0, o - p) / (1 - p) : 0,
  });

  Object.assign(XC, { softmax, upsample, normalize, saliency, cam, gradCam, scoreCam, optiCam, finish, measures });
})();
