// Matrix products in double precision, by a WebAssembly kernel or by script: the same sums in the same order.
// A lies in panels of four rows, [rows / 4][K][4], B in panels of four columns, [N / 4][K][4], C by rows.
(() => {
  const XC = (window.XC ??= {});
  const MEGABYTES = 16;

  const multiplyTile = (A, B, C, a, b, c, K, N) => { // four rows of A and two columns of B: what fits into registers
    let s00 = 0, s01 = 0, s10 = 0, s11 = 0, s20 = 0, s21 = 0, s30 = 0, s31 = 0;
    for (let k = 0; k < K; k++, a += 4, b += 4) {
      const b0 = B[b], b1 = B[b + 1], a0 = A[a], a1 = A[a + 1], a2 = A[a + 2], a3 = A[a + 3];
      s00 += a0 * b0; s01 += a0 * b1;
      s10 += a1 * b0; s11 += a1 * b1;
      s20 += a2 * b0; s21 += a2 * b1;
      s30 += a3 * b0; s31 += a3 * b1;
    }
    C[c] = s00; C[c + 1] = s01;
    C[c + N] = s10; C[c + N + 1] = s11;
    C[c + 2 * N] = s20; C[c + 2 * N + 1] = s21;
    C[c + 3 * N] = s30; C[c + 3 * N + 1] = s31;
  };

  const scriptEngine = () => ({
    name: "script",
    array: (length) => new Float64Array(length),
    multiply: (A, B, C, rows, K, N) => {
      for (let row = 0; row < rows; row += 4) {
        for (let column = 0; column < N; column += 2) {
          multiplyTile(A, B, C, row * K, (column & ~3) * K + (column & 3), row * N + column, K, N);
        }
      }
    },
  });

  const fastEngine = (kernel) => {
    const memory = new WebAssembly.Memory({ initial: 16 * MEGABYTES, maximum: 16 * MEGABYTES });
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(kernel), { e: { m: memory } });
    let used = 0;
    return {
      name: "WebAssembly",
      array: (length) => {
        const values = new Float64Array(memory.buffer, used, length);
        used += 8 * (length + (length & 1)); // each begins at sixteen bytes
        return values;
      },
      multiply: (A, B, C, rows, K, N) => {
        exports.multiply(A.byteOffset, B.byteOffset, C.byteOffset, rows, K, N);
      },
    };
  };

  const bytes = (text) => {
    const characters = atob(text), found = new Uint8Array(characters.length);
    for (let i = 0; i < found.length; i++) found[i] = characters.charCodeAt(i);
    return found;
  };

  // The fast one, or, where WebAssembly or its vectors are missing or forbidden, the other: the numbers are the same.
  const anyEngine = () => {
    try {
      return fastEngine(bytes(XC.data.kernel));
    } catch {
      return scriptEngine();
    }
  };

  Object.assign(XC, { scriptEngine, fastEngine, anyEngine, bytes });
})();
