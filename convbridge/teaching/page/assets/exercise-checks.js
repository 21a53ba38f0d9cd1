/* Checking an answer to an exercise: formulas, reading what was typed, saying what is wrong.
 *
 * The same as convbridge/teaching/exercises/formulas.py and checking.py, and compared with them by a test. A matrix
 * is a list of rows. What may live here: arithmetic and verdicts; no document.
 */
const exerciseChecks = (() => {
  const LARGEST = 1e6;
  const LARGEST_WHOLE = 64;
  const TOLERANCE = 1e-9;

  // ------------------------------------------------------------------ formulas

  const depth = (X) => (Array.isArray(X) ? 1 + depth(X[0]) : 0);
  const channels = (X) => (depth(X) === 3 ? X : [X]);
  const numbers = (X) => (Array.isArray(X) ? X.flat(3) : [X]);
  const both = (X) => (numbers(X).length > 1 ? numbers(X) : [numbers(X)[0], numbers(X)[0]]);
  const column = (X) => numbers(X).map((number) => [number]);
  const map = (X, change) => X.map((row) => row.map(change));
  const matmul = (A, B) => A.map((row) => B[0].map((_, j) => row.reduce((sum, a, k) => sum + a * B[k][j], 0)));

  function correlate(X, K, { stride = 1, padding = 0, bias = 0 } = {}) {
    const options = { stride: both(stride), padding: both(padding) };
    return engine.conv2d([channels(X)], [channels(K)], [numbers(bias)[0]], options)[0][0];
  }

  /** Every window of a matrix, as a list of its numbers. */
  function windows(X, window) {
    const [rows, columns] = engine.geometry([X.length, X[0].length], both(window), {});
    return engine
      .range(rows.outputs)
      .map((i) =>
        engine
          .range(columns.outputs)
          .map((j) => [...engine.look(rows, columns, i, j)].map((at) => X[at.i][at.j])),
      );
  }

  const pool = (mode) => (p) =>
    engine.pool2d([[p.X]], both(p.window), mode, { stride: both(p.stride), padding: both(p.padding ?? 0) })[0][0];

  function size({ image, kernel, padding, stride }) {
    const [images, kernels, paddings, strides] = [image, kernel, padding, stride].map(both);
    return [images.map((n, i) => engine.outputSize(n, kernels[i], strides[i], 2 * paddings[i]))];
  }

  /** From the last layer to the first: each adds what its window reaches beyond one element. */
  function field({ kernel, layers }) {
    let seen = 1;
    for (let layer = 0; layer < numbers(layers)[0]; layer++) seen += kernel - 1;
    return [[seen, seen]];
  }

  const OPERATIONS = {
    correlate: (p) => correlate(p.X, p.K, p),
    convolve: ({ X, K }) => correlate(X, engine.flip([[K]])[0][0]),
    maximum: pool("max"),
    average: pool("avg"),
    minimum: ({ X, window }) => map(windows(X, window), (seen) => Math.min(...seen)),
    varies: ({ X, window }) => map(windows(X, window), (seen) => (Math.min(...seen) < Math.max(...seen) ? 1 : 0)),
    // a convolution with 1×1 kernels: pixels in a row, channels below each other
    mix: ({ W, X }) =>
      engine.conv2d(
        [X.map((row) => [row])],
        W.map((row) => row.map((weight) => [[weight]])),
      )[0].map(([row]) => row),
    product: ({ A, X }) => matmul(A, column(X)),
    flat: ({ X }) => column(X),
    scale: ({ by, X }) => map(X, (number) => numbers(by)[0] * number),
    size,
    field,
    columns: ({ X }) => [[X[0].length]],
    pick: ({ X, row, column: j }) => [[X[row][j]]],
  };

  /** Compute a formula; throws engine.Problem. */
  function compute(formula, answers = [], facts = {}) {
    if (typeof formula !== "object" || Array.isArray(formula)) return formula;
    if (formula.op === "answer") return answers[formula.part];
    if (formula.op === "fact") return [[facts[formula.name]]];
    const operands = Object.entries(formula).filter(([name]) => name !== "op");
    return OPERATIONS[formula.op](
      Object.fromEntries(operands.map(([name, part]) => [name, compute(part, answers, facts)])),
    );
  }

  // ------------------------------------------------------------------ what was typed

  class Unreadable extends Error {
    constructor(say, values = {}, at = null) {
      super(say);
      Object.assign(this, { say, values, at });
    }
  }

  function readCell(part, text, at) {
    const typed = text.trim();
    if (!typed && part.blanks) return 0;
    if (!typed) throw new Unreadable("empty", {}, at);
    const value = words.parse(typed);
    if (!Number.isFinite(value)) throw new Unreadable("number", { typed }, at); // null is not finite either
    if (Math.abs(value) > LARGEST) throw new Unreadable("large", { typed, largest: LARGEST }, at);
    const { least } = part;
    if (least !== null && !(Number.isInteger(value) && least <= value && value <= LARGEST_WHOLE))
      throw new Unreadable("whole", { least, largest: LARGEST_WHOLE, typed }, at);
    return value;
  }

  function readPart(exercise, part, cells) {
    if (part.chooses) {
      const typed = (cells[0]?.[0] ?? "").trim().toLowerCase();
      const option = exercise.options.indexOf(typed);
      if (!typed) throw new Unreadable("nothing");
      if (option < 0) throw new Unreadable("option", { letters: exercise.options.join(", "), typed });
      return [[option]];
    }
    const widest = part.most || part.columns;
    const width = cells[0]?.length ?? 0;
    const fits = cells.length === part.rows && cells.every((row) => row.length === width);
    if (!fits || width < (part.most ? 1 : part.columns) || width > widest)
      throw new Unreadable("shape", { rows: part.rows, columns: part.most ? `1–${widest}` : widest });
    return cells.map((row, i) => row.map((text, j) => readCell(part, text, [i, j])));
  }

  const nameOf = (exercise, part) => exercise.parts[part].name || `exercises.${exercise.name}.part.${part}`;

  // ------------------------------------------------------------------ verdicts

  /** Where an output is not what it should be: a matrix of true and false. */
  function findBad(got, wanted, zeros) {
    const isSmall = (value) => Math.abs(value) <= TOLERANCE;
    const differ = (a, b) => !(Math.abs(a - b) <= TOLERANCE * Math.max(1, Math.abs(a), Math.abs(b)));
    if (wanted === "zero") return map(got, (value) => !isSmall(value));
    if (wanted === "nonzero") return map(got, isSmall);
    if (wanted === "equal") return map(got, (value) => isSmall(value) || differ(value, got[0][0]));
    return got.map((row, i) =>
      row.map((value, j) => (zeros ? isSmall(value) !== isSmall(wanted[i][j]) : differ(value, wanted[i][j]))),
    );
  }

  const sizeOf = (X) => [X.length, X[0].length];
  const sameSize = (A, B) => String(sizeOf(A)) === String(sizeOf(B));

  /** The message that fits what was wanted; one about the answer itself does not give the number away. */
  function usual(case_, got) {
    const isSmall = Math.abs(got) <= TOLERANCE;
    if (case_.wanted === "equal") return isSmall ? "should-not-be-zero" : "should-be-equal";
    if (typeof case_.wanted === "string" || case_.zeros) return isSmall ? "should-not-be-zero" : "should-be-zero";
    return case_.got.op === "answer" ? "off" : "differs";
  }

  /** What is wrong with an answer in one case; null if nothing is. */
  function attempt(exercise, case_, answers, facts) {
    const prefix = `exercises.${exercise.name}`;
    const about = case_.about >= 0 ? `${prefix}.given.${case_.about}` : nameOf(exercise, case_.got.part ?? 0);
    const wrong = (key, values, output = null, at = null) => ({ kind: "wrong", key, values: { about, ...values }, output, at });
    let got;
    try {
      got = compute(case_.got, answers, facts);
    } catch (error) {
      if (!(error instanceof engine.Problem)) throw error;
      return wrong("exercises.say.impossible", {});
    }
    const wanted = typeof case_.wanted === "string" ? case_.wanted : compute(case_.wanted, answers, facts);
    const named = typeof wanted === "string";
    if (!named && !sameSize(got, wanted)) {
      const shapes = { got: sizeOf(got).join(" × "), wanted: sizeOf(wanted).join(" × ") };
      return wrong("exercises.say.output-shape", shapes, got);
    }
    const bad = findBad(got, wanted, case_.zeros);
    const count = bad.flat().filter(Boolean).length;
    if (!count) return null;
    const row = bad.findIndex((one) => one.includes(true));
    const at = [row, bad[row].indexOf(true)];
    const values = { row, column: at[1], got: got[row][at[1]], count, all: got.flat().length, first: got[0][0] };
    if (!named) values.wanted = wanted[row][at[1]];
    const mistake = case_.mistakes.find(([formula]) => {
      const other = compute(formula, answers, facts);
      return sameSize(other, got) && !findBad(got, other, false).flat().includes(true);
    });
    const say = mistake ? mistake[1] : case_.say;
    return wrong(say ? `${prefix}.say.${say}` : `exercises.say.${usual(case_, values.got)}`, values, got, at);
  }

  /** Check an answer: for each part rows of cells as they were typed, a choice being one cell with a letter. */
  function check(exercise, typed, facts) {
    const unreadable = (say, values, at = null) => ({ kind: "unreadable", key: `exercises.say.${say}`, values, output: null, at });
    const { parts } = exercise;
    if (typed.length !== parts.length) return unreadable("parts", { parts: parts.length, typed: typed.length });
    const answers = [];
    for (const [i, part] of parts.entries()) {
      try {
        answers.push(readPart(exercise, part, typed[i]));
      } catch (error) {
        if (!(error instanceof Unreadable)) throw error;
        const place = error.at ? { row: error.at[0], column: error.at[1] } : {};
        const verdict = unreadable(error.say, { part: nameOf(exercise, i), ...error.values, ...place }, error.at);
        return { ...verdict, part: i };
      }
    }
    for (const case_ of exercise.cases) {
      const verdict = attempt(exercise, case_, answers, facts);
      if (verdict) return { ...verdict, ofAnswer: case_.got.op === "answer", part: case_.got.part ?? 0 };
    }
    return { kind: "right", key: "exercises.right", values: {}, output: null, at: null };
  }

  /** A verdict as a sentence. */
  function sentence({ key, values }) {
    const said = ([name, value]) => {
      if (typeof value === "number") return [name, words.spoken(value)];
      const isKey = (name === "part" || name === "about") && value.startsWith("exercises.");
      return [name, isKey ? t(value) : value];
    };
    return t(key, Object.fromEntries(Object.entries(values).map(said)));
  }

  return { check, compute, sentence };
})();
