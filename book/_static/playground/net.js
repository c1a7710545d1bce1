// The book's small residual network in double precision: logits, feature maps, and the gradient at the mask.
// A convolution is the product of its filters with the patches of its input, laid out as columns.
(() => {
  const XC = (window.XC ??= {});
  const SIDE = 64, PLANE = SIDE * SIDE;

  const doubles = (halves) => { // through the float32 of the same bits, which is smaller by 2^112
    const words = new Uint32Array(halves.length), values = new Float64Array(halves.length);
    for (let i = 0; i < words.length; i++) words[i] = ((halves[i] & 0x8000) << 16) | ((halves[i] & 0x7fff) << 13);
    const small = new Float32Array(words.buffer);
    for (let i = 0; i < values.length; i++) values[i] = small[i] * 2 ** 112;
    return values;
  };

  const decode = ({ halves, weights }) => {
    const values = doubles(new Uint16Array(XC.bytes(halves).buffer));
    const tensor = ([start, shape]) => {
      const length = shape.reduce((a, b) => a * b, 1);
      return { shape, values: values.subarray(start, start + length) };
    };
    return Object.fromEntries(Object.entries(weights).map(([name, place]) => [name, tensor(place)]));
  };

  const up4 = (length) => 4 * Math.ceil(length / 4);

  // A matrix of rows x K, whose rows and columns lie these steps apart, in panels of four rows; missing rows are zero.
  const pack = (engine, values, rows, K, across, along) => {
    const packed = engine.array(up4(rows) * K).fill(0);
    for (let r = 0; r < rows; r++) {
      const panel = (r & ~3) * K + (r & 3);
      for (let k = 0; k < K; k++) packed[panel + 4 * k] = values[r * across + k * along];
    }
    return packed;
  };

  const rectify = (values) => {
    for (let i = 0; i < values.length; i++) if (values[i] < 0) values[i] = 0;
    return values;
  };
  const gate = (gradient, activation) => { // what a rectifier passes back
    for (let i = 0; i < gradient.length; i++) if (!(activation[i] > 0)) gradient[i] = 0;
    return gradient;
  };

  class Convolution { // with the batch normalisation after it folded in
    constructor(engine, { weight, norm, epsilon }, size, stride) {
      const [outputs, inputs, kernel] = weight.shape, K = inputs * kernel * kernel;
      const side = Math.floor((size - 1) / stride) + 1;
      Object.assign(this, { engine, inputs, outputs, size, stride, kernel, K, side, N: side * side });
      const scale = norm.weight.values.map((g, i) => g / Math.sqrt(norm.running_var.values[i] + epsilon));
      this.bias = norm.bias.values.map((b, i) => b - norm.running_mean.values[i] * scale[i]);
      const filters = weight.values.slice();
      for (let i = 0; i < filters.length; i++) filters[i] *= scale[Math.floor(i / K)];
      this.filters = pack(engine, filters, outputs, K, K, 1);
      this.transposed = pack(engine, filters, K, outputs, 1, K);
      this.sources = this.findSources();
      this.result = engine.array(outputs * this.N);
      this.gradient = engine.array(inputs * size * size);
    }

    // Where each number of the patches comes from, in panels of four columns; -1 in the padding.
    findSources() {
      const { kernel, size, stride, side, K, N } = this, pad = kernel >> 1;
      const sources = new Int32Array(K * N).fill(-1);
      for (let k = 0; k < K; k++) {
        const channel = Math.floor(k / kernel ** 2), dy = Math.floor(k / kernel) % kernel - pad, dx = k % kernel - pad;
        for (let n = 0; n < N; n++) {
          const y = Math.floor(n / side) * stride + dy, x = n % side * stride + dx;
          const inside = y >= 0 && y < size && x >= 0 && x < size;
          if (inside) sources[((n & ~3) * K) + 4 * k + (n & 3)] = (channel * size + y) * size + x;
        }
      }
      return sources;
    }

    forward(x) {
      const { engine, outputs, K, N, sources, result, bias } = this, columns = engine.columns;
      for (let i = 0; i < sources.length; i++) columns[i] = sources[i] < 0 ? 0 : x[sources[i]];
      engine.multiply(this.filters, columns, result, outputs, K, N);
      for (let i = 0; i < result.length; i++) result[i] += bias[Math.floor(i / N)];
      return result;
    }

    // Add the gradient at the input, given that at the output, to a gradient.
    backward(above, below) {
      const { engine, outputs, K, N, sources } = this, { columns, products } = engine;
      for (let o = 0, i = 0; o < outputs; o++) {
        for (let n = 0; n < N; n++, i++) columns[(n & ~3) * outputs + 4 * o + (n & 3)] = above[i];
      }
      engine.multiply(this.transposed, columns, products, up4(K), outputs, N);
      for (let k = 0, i = 0; k < K; k++) {
        for (let n = 0; n < N; n++, i++) {
          const source = sources[(n & ~3) * K + 4 * k + (n & 3)];
          if (source >= 0) below[source] += products[i];
        }
      }
      return below;
    }
  }

  class Block {
    constructor(engine, layer, name, size, stride) {
      this.first = new Convolution(engine, layer(`${name}.conv1`, `${name}.norm1`), size, stride);
      this.second = new Convolution(engine, layer(`${name}.conv2`, `${name}.norm2`), this.first.side, 1);
      this.shortcut = new Convolution(engine, layer(`${name}.shortcut.0`, `${name}.shortcut.1`), size, stride);
      this.convolutions = [this.first, this.second, this.shortcut];
    }

    forward(x) {
      const inner = rectify(this.first.forward(x)), sum = this.second.forward(inner), short = this.shortcut.forward(x);
      for (let i = 0; i < sum.length; i++) sum[i] += short[i];
      return (this.result = rectify(sum));
    }

    backward(above) { // changes its argument
      gate(above, this.result);
      const inner = gate(this.second.backward(above, this.second.gradient.fill(0)), this.first.result);
      return this.shortcut.backward(above, this.first.backward(inner, this.first.gradient.fill(0)));
    }
  }

  class Network {
    constructor(stored, engine) {
      const tensors = decode(stored), { strides, epsilon } = stored;
      const norm = (name) => Object.fromEntries(
        ["weight", "bias", "running_mean", "running_var"].map((part) => [part, tensors[`${name}.${part}`]]));
      const layer = (conv, after) => ({ weight: tensors[`${conv}.weight`], norm: norm(after), epsilon });
      Object.assign(this, { engine, classes: stored.classes, mean: stored.mean, std: stored.std });
      this.stem = new Convolution(engine, layer("stem.0", "stem.1"), SIDE, strides[0]);
      this.blocks = [];
      let side = this.stem.side;
      strides.slice(1).forEach((stride, i) => {
        this.blocks.push(new Block(engine, layer, `stages.${i}`, side, stride));
        side = this.blocks[i].second.side;
      });
      this.head = { weight: tensors["fc.weight"].values, bias: tensors["fc.bias"].values };
      Object.assign(this, { side, cells: side * side, channels: tensors["fc.weight"].shape[1] });
      this.input = engine.array(3 * PLANE);
      this.top = engine.array(this.channels * this.cells);
      const all = [this.stem, ...this.blocks.flatMap((block) => block.convolutions)];
      engine.columns = engine.array(Math.max(...all.map(({ K, N, outputs }) => N * Math.max(K, outputs))));
      engine.products = engine.array(Math.max(...all.map(({ K, N }) => N * up4(K))));
    }

    // The logits of pixels, 3 x 64 x 64 from 0 to 1, seen through a mask if one is given.
    logits(pixels, mask = null) {
      const { input, mean, std, head, cells, channels } = this;
      for (let c = 0, i = 0; c < 3; c++) {
        for (let p = 0; p < PLANE; p++, i++) input[i] = ((mask ? pixels[i] * mask[p] : pixels[i]) - mean[c]) / std[c];
      }
      this.features = this.blocks.reduce((x, block) => block.forward(x), rectify(this.stem.forward(input)));
      const pooled = Float64Array.from({ length: channels }, (_, c) => {
        let sum = 0;
        for (let i = c * cells; i < (c + 1) * cells; i++) sum += this.features[i];
        return sum / cells;
      });
      return head.bias.map((bias, k) => pooled.reduce((sum, v, c) => sum + head.weight[k * channels + c] * v, bias));
    }

    // The weights of one class in the linear layer, one for each feature map.
    classWeights(target) {
      return this.head.weight.subarray(target * this.channels, (target + 1) * this.channels);
    }

    // After logits() through a mask: the gradient of one logit with respect to the mask.
    maskGradient(pixels, target) {
      const { cells, top, stem, std } = this, gradient = new Float64Array(PLANE);
      this.classWeights(target).forEach((w, c) => top.fill(w / cells, c * cells, (c + 1) * cells));
      const inner = this.blocks.reduceRight((above, block) => block.backward(above), top);
      const atInput = stem.backward(gate(inner, stem.result), stem.gradient.fill(0));
      for (let c = 0, i = 0; c < 3; c++) {
        for (let p = 0; p < PLANE; p++, i++) gradient[p] += atInput[i] * pixels[i] / std[c];
      }
      return gradient;
    }
  }

  Object.assign(XC, { Network, SIDE, PLANE });
})();
