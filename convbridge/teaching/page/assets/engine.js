"use strict";
/* Convolution and pooling as their definitions read, computed in the page.
 *
 * An image is X[n][c][i][j]: batch, channel, row, column; a kernel is K[o][c][a][b]: output channel, channel, row,
 * column. All numbers are JavaScript's, that is float64. What may live here: arithmetic and nothing else, no document,
 * no language. The tests compare every result with the recorded answers of the library's backends.
 */
const engine = (() => {
  /** Something that cannot be computed. The code names a sentence of the page, the values stand in it. */
  class Problem extends Error {
    constructor(code, values = {}) {
      super(`${code} ${JSON.stringify(values)}`);
      this.code = code;
      this.values = values;
    }
  }

  // ------------------------------------------------------------------ sizes: one axis at a time

  /** How many elements a kernel spans: 3 elements with one left out between each two span 5. */
  const windowSize = (kernel, dilation = 1) => dilation * (kernel - 1) + 1;

  const PADDING_WORDS = ["valid", "same", "same_upper", "same_lower", "chapter"];

  /** What a padding word adds before and after an axis. */
  function paddingOfWord(word, size, window, stride) {
    if (word === "valid") return [0, 0];
    let total = window - 1; // the chapter's rule, whatever the stride
    if (word !== "chapter") total = Math.max((Math.ceil(size / stride) - 1) * stride + window - size, 0);
    const small = Math.floor(total / 2);
    // an odd element goes to the end (TensorFlow's "same") or to the start (the chapter's, ONNX' SAME_LOWER)
    return word === "same" || word === "same_upper" ? [small, total - small] : [total - small, small];
  }

  /** Padding at the end that lets a last window stick out, if it starts inside the image or the padding before it. */
  const overhangOfCeil = (window, stride, after) => Math.min(window - 1, after + stride - 1) - after;

  /** How many windows fit: floor((n - k + p + s) / s) with the total padding p. */
  const outputSize = (size, window, stride, padding) => Math.floor((size - window + padding + stride) / stride);

  function whole(value, minimum, what) {
    if (!Number.isSafeInteger(value) || value < minimum) throw new Problem("whole", { what, minimum, value });
    return value;
  }

  /** Everything about one axis of an operation: sizes, padding, and which pixel a window looks at. */
  function makeAxis(name, { size, kernel, stride, dilation, padding, ceil, pooling }) {
    whole(size, 1, "size");
    whole(kernel, 1, pooling ? "window" : "kernel");
    whole(stride, 1, "stride");
    whole(dilation, 1, "dilation");
    const window = windowSize(kernel, dilation);
    const [before, after] = typeof padding === "string" ? paddingOfWord(padding, size, window, stride) : padding;
    whole(before, 0, "padding");
    whole(after, 0, "padding");
    // a window that lies in the padding alone would have no maximum
    if (pooling && Math.max(before, after) >= window) throw new Problem("padding-too-large", { axis: name, window });
    const overhang = ceil ? overhangOfCeil(window, stride, after) : 0;
    const padded = size + before + after;
    if (padded + overhang < window) throw new Problem("too-large", { axis: name, window, padded });
    const outputs = outputSize(size, window, stride, before + after + overhang);
    return {
      ...{ name, size, kernel, stride, dilation, window, before, after, overhang, outputs },
      /** The pixel under element k of window o; below 0 and from `size` on lies padding. */
      at: (o, k) => o * stride + k * dilation - before,
      isInside: (pixel) => pixel >= 0 && pixel < size,
      /** Whether a pixel is in the image or in the padding that was asked for, so not where ceil mode sticks out. */
      isPadded: (pixel) => pixel >= -before && pixel < size + after,
      /** The first pixel, or row of padding, that no window reaches any more: what follows is dropped. */
      end: (outputs - 1) * stride + window - before,
    };
  }

  /** Both as a pair, also where one number stands for both. */
  const pair = (value) => (Array.isArray(value) ? value : [value, value]);

  /** Padding of each axis: a word, or [before, after]. Accepts n, [ph, pw], [[top, bottom], [left, right]], a word. */
  function paddingOfAxes(padding) {
    if (typeof padding !== "string") return pair(padding).map(pair);
    const word = padding.toLowerCase();
    if (!PADDING_WORDS.includes(word)) throw new Problem("word", { value: padding });
    return [word, word];
  }

  /** The axes, rows and columns, of an operation on images of height x width. */
  function geometry([height, width], kernel, options, pooling = false) {
    const { stride = 1, dilation = 1, padding = 0, ceil = false } = options;
    const [kernels, strides, dilations] = [kernel, stride, dilation].map(pair);
    const paddings = paddingOfAxes(padding);
    return [height, width].map((size, i) =>
      makeAxis(["height", "width"][i], {
        ...{
          size,
          kernel: kernels[i],
          stride: strides[i],
          dilation: dilations[i],
          padding: paddings[i],
          ceil,
          pooling,
        },
      }),
    );
  }

  const range = (n) => Array.from({ length: n }, (_, i) => i);

  /** What a window looks at: for each of its elements a, b the pixel i, j. */
  function* look(rows, columns, i, j) {
    for (const a of range(rows.kernel)) {
      for (const b of range(columns.kernel)) yield { a, b, i: rows.at(i, a), j: columns.at(j, b) };
    }
  }

  // ------------------------------------------------------------------ the operations

  const flip = (K) => K.map((channels) => channels.map((k) => [...k].reverse().map((row) => [...row].reverse())));

  /** Cross-correlate, as deep learning calls convolution. */
  function conv2d(X, K, bias = null, options = {}) {
    const groups = options.groups ?? 1;
    const members = K[0].length; // channels that one output channel looks at
    const perGroup = K.length / groups; // output channels of one group
    const [rows, columns] = geometry([X[0][0].length, X[0][0][0].length], [K[0][0].length, K[0][0][0].length], options);

    function element(image, o, i, j) {
      const first = Math.floor(o / perGroup) * members;
      let sum = 0;
      for (const c of range(members)) {
        for (const at of look(rows, columns, i, j)) {
          const inside = rows.isInside(at.i) && columns.isInside(at.j);
          // the zeros of the padding are multiplied too: 0 times infinity is NaN
          sum += (inside ? image[first + c][at.i][at.j] : 0) * K[o][c][at.a][at.b];
        }
      }
      return bias === null ? sum : sum + bias[o];
    }

    return X.map((image) =>
      K.map((_, o) => range(rows.outputs).map((i) => range(columns.outputs).map((j) => element(image, o, i, j)))),
    );
  }

  /** The maximum or the average of every window, for each channel on its own. */
  function pool2d(X, window, mode = "max", options = {}) {
    const { counted = true } = options;
    const [rows, columns] = geometry([X[0][0].length, X[0][0][0].length], window, options, true);

    function element(image, i, j) {
      let largest = -Infinity; // which is what the padding of a maximum holds
      let sum = 0; // and the padding of an average holds zeros,
      let divisor = 0; // which count, if they were asked for
      for (const at of look(rows, columns, i, j)) {
        const inside = rows.isInside(at.i) && columns.isInside(at.j);
        if (inside) {
          largest = Math.max(largest, image[at.i][at.j]); // NaN, if either is
          sum += image[at.i][at.j];
        }
        if (inside || (counted && rows.isPadded(at.i) && columns.isPadded(at.j))) divisor += 1;
      }
      return mode === "max" ? largest : sum / divisor;
    }

    return X.map((image) =>
      image.map((channel) => range(rows.outputs).map((i) => range(columns.outputs).map((j) => element(channel, i, j)))),
    );
  }

  return { Problem, PADDING_WORDS, conv2d, flip, geometry, look, outputSize, pool2d, range, windowSize };
})();
