/* Stacks of layers: their text, what comes out of every layer, and how far it sees.
 *
 * The language and the numbers are those of `convbridge shapes`; the tests compare them. A layer is { kind: "conv",
 * "max" or "avg", kernel, stride, dilation: [height, width], padding: [[top, bottom], [left, right]] or a word,
 * channels: a number or null, groups, ceil }. What may live here: arithmetic and nothing else, no document, no language.
 */
const stack = (() => {
  const { Problem, PADDING_WORDS, geometry, range } = engine;

  /** The largest numbers that the page offers. */
  const LIMITS = { size: 1024, kernel: 255, stride: 255, dilation: 255, padding: 255, channels: 65536, layers: 64 };

  /** What a layer's text begins with. */
  const KINDS = { conv: "conv", pool: "max", maxpool: "max", avgpool: "avg" };
  const isPooling = (layer) => layer.kind !== "conv";

  /** Do something about a layer; a problem will say which. */
  function within(number, text, act) {
    try {
      return act();
    } catch (problem) {
      if (problem instanceof Problem) Object.assign(problem, { layer: number, text });
      throw problem;
    }
  }

  // ------------------------------------------------------------------ from text

  /** Read a stack: layers between | or ; or on lines of their own, "3 * conv 5" for three. Throws engine.Problem. */
  function parse(text) {
    if (/(^|[|;])\s*([|;]|$)/.test(text)) throw new Problem("empty");
    const layers = [];
    for (const written of text.split(/[|;\n]/).map((piece) => piece.trim())) {
      if (!written) continue;
      within(layers.length + 1, written, () => {
        const [, times, layer] = /^(?:(\d{1,10})\s*\*\s*)?(.*)$/s.exec(written);
        const count = times === undefined ? 1 : check("times", Number(times), 1, Infinity);
        check("layers", layers.length + count, 1, LIMITS.layers);
        const read = parseLayer(layer);
        for (const _ of range(count)) layers.push(structuredClone(read));
      });
    }
    return layers;
  }

  function check(what, value, minimum, maximum) {
    if (value < minimum) throw new Problem("whole", { what, minimum, value });
    if (value > maximum) throw new Problem("limit", { what, maximum, value });
    return value;
  }

  function parseLayer(text) {
    const [name, size, ...rest] = text.toLowerCase().split(/\s+/);
    if (!Object.hasOwn(KINDS, name)) throw new Problem("kind", { value: name || "?" });
    const kind = KINDS[name];
    const what = kind === "conv" ? "kernel" : "window";
    if (size === undefined) throw new Problem("kernel-missing", { value: name });
    const kernel = parsePair(what, size, 1, LIMITS.kernel);
    const found = {};
    for (const word of rest) {
      const [key, value] = parseWord(word, kind);
      if (Object.hasOwn(found, key)) throw new Problem("twice", { value: word });
      found[key] = value;
    }
    const still = [
      [0, 0],
      [0, 0],
    ];
    const stride = kind === "conv" ? [1, 1] : [...kernel];
    return { kind, kernel, stride, padding: still, dilation: [1, 1], channels: null, groups: 1, ceil: false, ...found };
  }

  function parseWord(word, kind) {
    const pooling = kind !== "conv";
    if (word === "ceil") {
      if (!pooling) throw new Problem("not-for-convolution", { value: word });
      return ["ceil", true];
    }
    const rest = word.slice(1).replace(/^=+/, "");
    switch (word[0]) {
      case "s":
        return ["stride", parsePair("stride", rest, 1, LIMITS.stride)];
      case "d":
        return ["dilation", parsePair("dilation", rest, 1, LIMITS.dilation)];
      case "p":
        return ["padding", parsePadding(rest)];
      case "c":
      case "g": {
        if (pooling) throw new Problem("not-for-pooling", { value: word });
        const [key, what] = word[0] === "c" ? ["channels", "outputs"] : ["groups", "groups"];
        if (!/^\d{1,10}$/.test(rest)) throw new Problem("whole", { what, minimum: 1, value: rest || "?" });
        return [key, check(what, Number(rest), 1, LIMITS.channels)];
      }
      default:
        throw new Problem("unknown", { value: word });
    }
  }

  /** N or HxW. */
  function parsePair(what, text, minimum, maximum) {
    const found = /^(\d{1,10})(?:x(\d{1,10}))?$/.exec(text);
    if (!found) throw new Problem("pair", { what, value: text || "?" });
    return [found[1], found[2] ?? found[1]].map((number) => check(what, Number(number), minimum, maximum));
  }

  /** A word, N, HxW, or with both ends of an axis TOP:BOTTOMxLEFT:RIGHT. */
  function parsePadding(text) {
    if (PADDING_WORDS.includes(text)) return text;
    const found = /^(\d{1,10})(?::(\d{1,10}))?(?:x(\d{1,10})(?::(\d{1,10}))?)?$/.exec(text);
    if (!found) throw new Problem("padding", { value: text || "?" });
    const [, top, bottom = top, left, right = left] = found;
    const sides = left === undefined ? [top, bottom, top, bottom] : [top, bottom, left, right];
    const numbers = sides.map((number) => check("padding", Number(number), 0, LIMITS.padding));
    return [numbers.slice(0, 2), numbers.slice(2)];
  }

  // ------------------------------------------------------------------ to text

  const writePair = ([height, width]) => (height === width ? `${height}` : `${height}x${width}`);

  function writePadding(padding) {
    if (typeof padding === "string") return padding;
    const axes = padding.map(([before, after]) => (before === after ? `${before}` : `${before}:${after}`));
    return axes[0] === axes[1] ? axes[0] : axes.join("x");
  }

  /** A layer as text; what is left out is as a layer has it by itself. */
  function writeLayer(layer) {
    const pooling = isPooling(layer);
    const kernel = writePair(layer.kernel);
    const stride = writePair(layer.stride);
    const padding = writePadding(layer.padding);
    const dilation = writePair(layer.dilation);
    const words = [{ conv: "conv", max: "pool", avg: "avgpool" }[layer.kind], kernel];
    if (stride !== (pooling ? kernel : "1")) words.push(`s${stride}`);
    if (padding !== "0") words.push(`p${padding}`);
    if (dilation !== "1") words.push(`d${dilation}`);
    if (!pooling && layer.channels !== null) words.push(`c${layer.channels}`);
    if (!pooling && layer.groups !== 1) words.push(`g${layer.groups}`);
    if (pooling && layer.ceil) words.push("ceil");
    return words.join(" ");
  }

  /** A stack as text, equal neighbours as one with their number. */
  function write(layers) {
    const runs = [];
    for (const text of layers.map(writeLayer)) {
      if (runs.at(-1)?.text === text) runs.at(-1).count += 1;
      else runs.push({ text, count: 1 });
    }
    return runs.map(({ text, count }) => (count === 1 ? text : `${count} * ${text}`)).join(" | ");
  }

  // ------------------------------------------------------------------ numbers

  /**
   * Follow an image through the layers: `steps`, one for each layer up to the first that is impossible, and the
   * `problem` with that one or null. `depth` is the number of the image's channels, or null. Counts are BigInts.
   */
  function walk(layers, size, depth) {
    const steps = [];
    let before = { size, channels: depth, field: [1, 1], jump: [1, 1], start: [0, 0] };
    for (const [index, layer] of layers.entries()) {
      try {
        before = within(index + 1, writeLayer(layer), () => follow(layer, before));
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        return { steps, problem };
      }
      steps.push(before);
    }
    return { steps, problem: null };
  }

  /** What holds after one more layer. */
  function follow(layer, before) {
    const pooling = isPooling(layer);
    if (!pooling) {
      for (const channels of [before.channels, layer.channels]) {
        if (channels !== null && channels % layer.groups)
          throw new Problem("groups", { channels, value: layer.groups });
      }
    }
    const axes = geometry(before.size, layer.kernel, { ...layer, ceil: pooling && layer.ceil }, pooling);
    const size = axes.map((axis) => axis.outputs);
    const field = before.field.map((seen, i) => seen + (axes[i].window - 1) * before.jump[i]);
    const start = before.start.map((first, i) => first - axes[i].before * before.jump[i]);
    const jump = before.jump.map((far, i) => far * axes[i].stride);
    if (Math.max(...field, ...jump) > Number.MAX_SAFE_INTEGER) throw new Problem("far");
    const weights = countWeights(layer, before.channels);
    return {
      ...{ axes, size, field, jump, start },
      channels: pooling ? before.channels : layer.channels,
      parameters: weights && weights + BigInt(layer.channels ?? 0),
      products: weights && weights * BigInt(size[0]) * BigInt(size[1]),
    };
  }

  /** Weights without biases, of which pooling has none. */
  function countWeights(layer, depth) {
    if (isPooling(layer)) return 0n;
    if (depth === null || layer.channels === null) return null;
    return [depth / layer.groups, ...layer.kernel, layer.channels].map(BigInt).reduce((a, b) => a * b);
  }

  /** The sum of what is known of all, or null. */
  const total = (counts) => (counts.includes(null) ? null : counts.reduce((a, b) => a + b, 0n));

  // ------------------------------------------------------------------ seeing

  /** The field of an element as the formula has it, [first, size] along each axis; it may leave the image. */
  const fieldOf = (step, at) => at.map((o, i) => [step.start[i] + o * step.jump[i], step.field[i]]);

  /**
   * The rows and the columns of the input that an element of the last step depends on. They can be fewer than its
   * field: padding, gaps in a dilated kernel, and what an earlier layer dropped do not count.
   */
  function seen(steps, at) {
    return at.map((o, i) => {
      let pixels = [o];
      for (const axis of steps.map((step) => step.axes[i]).reverse()) {
        const below = new Set();
        for (const output of pixels) {
          for (let k = 0; k < axis.kernel; k += 1) below.add(axis.at(output, k));
        }
        pixels = [...below].filter(axis.isInside);
      }
      return pixels.sort((a, b) => a - b);
    });
  }

  /** From the last step down to the first: an element, and the one in the middle of what it sees below. */
  function middles(steps, at) {
    const found = [at];
    for (const { axes } of steps.slice(1).reverse()) {
      const middle = (axis, o) => axis.at(o, Math.floor((axis.kernel - 1) / 2));
      found.push(axes.map((axis, i) => Math.min(Math.max(middle(axis, found.at(-1)[i]), 0), axis.size - 1)));
    }
    return found;
  }

  return { LIMITS, fieldOf, isPooling, middles, parse, seen, total, walk, write, writeLayer };
})();
