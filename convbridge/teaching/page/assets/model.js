/* What an explorer computes from its state: results, sums in words, messages. What may live here: no document. */
const model = (() => {
  const isPooling = (state) => state.operation === "max" || state.operation === "avg";
  const sizeOf = (X) => [X[0].length, X[0][0].length];

  /** Cut or extend a matrix; what is new is `fill`. */
  const resize = (matrix, [height, width], fill = 0) =>
    engine.range(height).map((i) => engine.range(width).map((j) => matrix[i]?.[j] ?? fill));

  /** Give every kernel one matrix for each channel of the image, and, if there is a bias, every kernel one. */
  function conform(state) {
    const size = sizeOf(state.K[0]);
    state.K = state.K.map((channels) => state.X.map((_, c) => channels[c] ?? resize([], size, 1)));
    if (state.bias) state.bias = state.K.map((_, o) => state.bias[o] ?? 0);
    return state;
  }

  const copies = (list, count) => engine.range(count).map((i) => list[i] ?? structuredClone(list.at(-1)));

  /** Change the number of input channels; a new one is a copy of the last, and so are its kernels. */
  function setInputs(state, count) {
    state.X = copies(state.X, count);
    state.K = state.K.map((channels) => copies(channels, count));
  }

  /** Change the number of output channels in the same way; a new bias is 0. */
  function setOutputs(state, count) {
    state.K = copies(state.K, count);
    conform(state);
  }

  /** Compute what a state asks for; throws engine.Problem. */
  function compute(state) {
    const kernel = sizeOf(state.K[0]);
    const pooling = isPooling(state);
    const options = { ...state, ceil: pooling && state.ceil };
    limit("size", sizeOf(state.X), link.LIMITS.size);
    limit(pooling ? "window" : "kernel", kernel, link.LIMITS.kernel);
    for (const name of ["stride", "dilation"]) limit(name, state[name], link.LIMITS[name]);
    if (typeof state.padding !== "string") limit("padding", state.padding.flat(), link.LIMITS.padding);
    const axes = engine.geometry(sizeOf(state.X), kernel, options, pooling);
    const K = state.operation === "convolve" ? engine.flip(state.K) : state.K;
    const [Y] = pooling
      ? engine.pool2d([state.X], kernel, state.operation, options)
      : engine.conv2d([state.X], K, state.bias, options);
    return { axes, K, Y };
  }

  function limit(what, values, maximum) {
    for (const value of values) if (value > maximum) throw new engine.Problem("limit", { what, maximum, value });
  }

  /** A problem as a sentence. */
  function sentence({ code, values }) {
    const { what, axis } = values;
    return t(`problem.${code}`, { ...values, what: what && t(`what.${what}`), axis: axis && t(`axis.${axis}`) });
  }

  /** How many windows a result has. */
  const count = ({ Y }) => Y.length * Y[0].length * Y[0][0].length;

  /** The output channel, row and column of a step. */
  function place({ Y }, step) {
    const [height, width] = sizeOf(Y);
    const within = step % (height * width);
    return [Math.floor(step / (height * width)), Math.floor(within / width), within % width];
  }

  /** The channels of the image that an output channel looks at. */
  const channelsOf = (state, o) => (isPooling(state) ? [o] : engine.range(state.X.length));

  /** The rows, or columns, that some window looks at. */
  const reachedOn = (axis) =>
    new Set(engine.range(axis.outputs).flatMap((o) => engine.range(axis.kernel).map((k) => axis.at(o, k))));

  /** How an output comes about: 0×0 + 1×1 + 3×2 + 4×3 = 19. */
  function spell(state, result, o, i, j) {
    const [rows, columns] = result.axes;
    const value = result.Y[o][i][j];
    const looked = [...engine.look(rows, columns, i, j)];
    const inside = (at) => rows.isInside(at.i) && columns.isInside(at.j);
    const counts = (at) =>
      inside(at) || (state.operation !== "max" && state.counted && rows.isPadded(at.i) && columns.isPadded(at.j));
    // in a sum and a product, so that no two signs meet
    const bracketed = (number) =>
      number < 0 && state.operation !== "max" ? `(${words.spoken(number)})` : words.spoken(number);
    let exact = words.isShort(value);
    const number = (x) => ((exact &&= words.isShort(x)), bracketed(x));
    let terms;
    if (isPooling(state)) {
      const padding = state.operation === "max" ? "−∞" : "0";
      const parts = looked
        .filter((at) => state.operation === "max" || counts(at))
        .map((at) => (inside(at) ? number(state.X[o][at.i][at.j]) : padding));
      terms =
        state.operation === "max"
          ? `max(${parts.join(", ")})`
          : `${parts.length === 1 ? parts[0] : `(${parts.join(" + ")})`} / ${parts.length}`;
    } else {
      const products = channelsOf(state, o).map((c) =>
        looked
          .map((at) => `${inside(at) ? number(state.X[c][at.i][at.j]) : "0"}×${number(result.K[o][c][at.a][at.b])}`)
          .join(" + "),
      );
      terms = products.length === 1 ? products[0] : products.map((text) => `(${text})`).join(" + ");
      if (state.bias) terms += ` + ${number(state.bias[o])}`;
    }
    return t(exact ? "sum" : "sum.rounded", { terms, value: words.spoken(value) });
  }

  return {
    ...{ channelsOf, compute, conform, count, isPooling, place, reachedOn },
    ...{ resize, sentence, setInputs, setOutputs, sizeOf, spell },
  };
})();
