/* The section about learning a kernel: recorded lessons, own ones, each step of them. */
components.register("learning", ({ root, name: section, remember }) => {
  const { X, Y, lessons, code } = words.data.components.learning;
  const LIMIT = 200; // steps
  const backends = Object.keys(lessons[0].runs);
  let lesson = lessons[0]; // the recorded one that was chosen last
  let state = null; // start, rate, steps, bias, step (from 0), of (a backend)
  let found = null; // losses, weights, biases of what is seen
  let typed = new Map(); // field to what is wrong with it
  let notice = "";
  let looped = null; // the lesson whose loops are drawn

  const choice = root.querySelector(".choice");
  const card = root.querySelector(".lesson");
  const loops = root.querySelector(".frameworks");
  const fields = make("div", { class: "fields" });
  const problem = make("p", { class: "problem", role: "alert", hidden: true });
  const origin = make("p", { class: "small origin" });
  const verdict = make("p", { class: "verdict" });
  const caption = make("p", { class: "small muted curve-title" });
  const plot = make("div", { class: "plot" });
  const table = make("div", { class: "steps scroll", tabindex: "0", role: "region" });
  const of = make("div", { class: "of" });
  const note = make("p", { class: "grows", role: "status" });
  const board = make("div", { class: "grids" });
  const slopes = make("div", { class: "grids" });
  const sums = make("div", { class: "sums", "aria-live": "polite" });
  const steps = stepper.create({
    label: "learning.stepper",
    count: () => (found ? found.losses.length : 0),
    at: () => state.step,
    go: (step) => go(step),
    where: () => t("learning.where", { step: state.step + 1, all: found.losses.length }),
    quiet: (on) => sums.setAttribute("aria-live", on ? "off" : "polite"),
  });
  card.append(
    ...[fields, problem, origin, note],
    make("div", { class: "course" }, make("div", {}, caption, plot), make("div", {}, of, table)),
    ...[verdict, steps.element, board, make("div", { class: "descent" }, slopes, sums)],
  );
  frameworks.enlist(loops);

  // ---------------------------------------------------------------- state

  const same = (one, other) =>
    ["rate", "steps", "bias"].every((key) => one[key] === other[key]) &&
    one.start.every((value, j) => value === other.start[j]);
  const recorded = () => lessons.find((one) => same(one, state)) ?? null;
  const taken = ({ start, rate, steps: all, bias }) => ({ start: [...start], rate, steps: all, bias });

  const finite = (value) => value !== null && Number.isFinite(value);
  const readers = {
    start: (text) => {
      const numbers = text.split(",").map(words.parse);
      return numbers.length === 2 && numbers.every(finite) ? { start: numbers } : null;
    },
    rate: (text) => (finite(words.parse(text)) && words.parse(text) > 0 ? { rate: words.parse(text) } : null),
    steps: (text) => (/^\d+$/.test(text) && text >= 1 && text <= LIMIT ? { steps: Number(text) } : null),
    bias: (text) => (["0", "1"].includes(text) ? { bias: text === "1" } : null),
    step: (text) => (/^\d+$/.test(text) && text >= 1 ? { step: text - 1 } : null),
    of: (text) => (backends.includes(text) ? { of: text } : null),
  };

  function show(_, parts) {
    steps.pause();
    const changes = {};
    const unreadable = [];
    for (const [name, text] of parts) {
      const change = Object.hasOwn(readers, name) ? readers[name](text) : null;
      if (change) Object.assign(changes, change);
      else unreadable.push(text ? `${name}=${text}` : name);
    }
    // what a link does not say is as in the first lesson that has what it does say
    const fits = (one) =>
      (!changes.start || changes.start.every((value, j) => value === one.start[j])) &&
      (changes.bias === undefined || changes.bias === one.bias);
    lesson = lessons.find(fits) ?? lessons.find((one) => changes.bias === one.bias) ?? lessons[0];
    state = { ...taken(lesson), step: 0, of: backends[0], ...changes };
    typed = new Map();
    notice = unreadable.length ? t("problem.link", { value: unreadable.join(", ") }) : "";
    drawFields();
    update();
  }

  function link() {
    const parts = [section];
    const one = recorded();
    if (one !== lessons[0]) parts.push(`start=${state.start.join(",")}`);
    if (state.bias) parts.push("bias=1");
    if (!one) parts.push(`rate=${state.rate}`, `steps=${state.steps}`);
    if (state.of !== backends[0]) parts.push(`of=${state.of}`);
    if (state.step) parts.push(`step=${state.step + 1}`);
    return parts.join("&");
  }

  /** After a change of what is learned. */
  function update() {
    const one = recorded();
    if (one) lesson = one;
    found = one ? one.runs[state.of] : descent.run({ X, Y }, state);
    const end = found.losses.findIndex((loss) => !Number.isFinite(loss));
    if (end >= 0) found = { ...found, losses: found.losses.slice(0, Math.max(end, 1)) };
    state.step = Math.min(state.step, found.losses.length - 1);
    const messages = [notice, ...typed.values()].filter(Boolean);
    problem.hidden = messages.length === 0;
    problem.textContent = messages.join(" ");
    origin.innerHTML = t(one ? "learning.recorded" : "learning.computed");
    origin.classList.toggle("own", !one);
    drawChoice();
    drawNote(end);
    drawVerdict(one);
    drawTable(one);
    drawLoops();
    drawStep();
  }

  function go(step) {
    state.step = step;
    drawStep();
    remember();
  }

  /** After a change by the reader. */
  function change() {
    steps.pause();
    update();
    remember();
  }

  // ---------------------------------------------------------------- what is learned

  /** A number in words: 0.36, 9.683 × 10¹²⁰. */
  function spoken(value) {
    if (!finite(value) || !value || (Math.abs(value) >= 1e-4 && Math.abs(value) < 1e6)) return words.spoken(value);
    const [digits, exponent] = value.toExponential(3).split("e");
    return `${digits.replace("-", "−")} × ${chart.power(Number(exponent))}`;
  }
  /** A number with the digits that the book prints, if they say something. */
  const printed = (value, digits) => (Math.abs(value) < 1e4 ? value.toFixed(digits).replace("-", "−") : spoken(value));
  const lossText = (value) => (value < 1e-5 ? spoken(value) : printed(value, 6));
  const kernelText = (value) => printed(value, 7);

  const pair = (numbers) => numbers.map(words.spoken).join(", ");

  function drawChoice() {
    const links = lessons.map((one) => {
      const text = t(one.bias ? "learning.from.bias" : "learning.from", { start: pair(one.start) });
      const href = `#${section}&start=${one.start.join(",")}&bias=${one.bias ? 1 : 0}`;
      return make("li", {}, make("a", { href, "aria-current": recorded() === one ? "true" : false }, text));
    });
    choice.replaceChildren(make("nav", { "aria-label": t("choose") }, make("ul", { class: "examples" }, links)));
  }

  /** A field to type a number into; `take` returns a message, or nothing if the number was taken. */
  function field(key, label, value, take) {
    const input = make("input", {
      ...{ type: "text", value: String(value), "aria-label": label, autocomplete: "off", spellcheck: "false" },
      oninput: () => {
        const trouble = take(input.value);
        if (trouble) {
          input.setAttribute("aria-invalid", "true");
          typed.set(key, trouble);
        } else {
          input.removeAttribute("aria-invalid");
          typed.delete(key);
        }
        notice = "";
        change();
      },
    });
    return input;
  }

  const given = (value) => value.trim() || "?";

  function drawFields() {
    const starts = state.start.map((value, j) => {
      const what = t("learning.start.label", { j });
      return field(`start.${j}`, what, value, (text) => {
        const number = words.parse(text);
        if (!finite(number)) return t("learning.problem.number", { what, value: given(text) });
        state.start[j] = number;
      });
    });
    const rate = field("rate", t("learning.rate"), state.rate, (text) => {
      const number = words.parse(text);
      if (!finite(number) || number <= 0) return t("learning.problem.rate", { value: given(text) });
      state.rate = number;
    });
    const all = field("steps", t("learning.steps"), state.steps, (text) => {
      const number = /^\s*[+-]?\d+\s*$/.test(text) ? Number(text) : NaN;
      const what = t("what.steps");
      if (!(number >= 1)) return t("problem.whole", { what, minimum: 1, value: given(text) });
      if (number > LIMIT) return t("problem.limit", { what, maximum: LIMIT, value: number });
      state.steps = number;
    });
    const bias = make("input", {
      ...{ type: "checkbox", checked: state.bias },
      onchange: () => ((state.bias = bias.checked), change()),
    });
    const group = (key, ...inputs) => make("fieldset", {}, make("legend", {}, t(key)), ...inputs);
    fields.replaceChildren(
      group("learning.start", ...starts),
      group("learning.rate", rate),
      group("learning.steps", all),
      make("label", { class: "check" }, bias, ` ${t("learning.bias")}`),
    );
  }

  // ---------------------------------------------------------------- how it went

  function drawNote(end) {
    const { losses } = found;
    const largest = (lessons.find((one) => one.bias === state.bias) ?? lesson).largest_rate;
    const lines = [];
    if (losses.at(-1) > losses[0]) {
      const [first, last] = [losses[0], losses.at(-1)].map(spoken);
      lines.push(t("learning.grows", { first, last, largest: spoken(largest) }));
    }
    if (end >= 0) lines.push(t("learning.overflow", { step: end + 1 }));
    if (losses.every((loss) => loss === 0)) lines.push(t("learning.curve.zero"));
    note.textContent = lines.join(" ");
    note.hidden = !lines.length;
  }

  function drawPlot() {
    const curves = recorded()
      ? backends.map((name) => ({ name, values: lesson.runs[name].losses }))
      : [{ name: t("learning.page"), values: found.losses }];
    const names = curves.map(({ name }) => name).join(", ");
    const [first, last] = [found.losses[0], found.losses.at(-1)].map(spoken);
    const label = t("learning.curve.label", { names, first, last, step: found.losses.length });
    caption.textContent = t("learning.curve");
    chart.draw(plot, {
      curves,
      at: state.step,
      label,
      axis: t("learning.axis"),
      go: (step) => (steps.pause(), go(step)),
    });
  }

  function drawVerdict(one) {
    verdict.hidden = !one;
    if (!one) return;
    const { kind, difference, fraction, between, count } = one.verdict;
    const [badge, key] = frameworks.BADGES[kind];
    const [left, right] = between.map((text) => text.replace(/ loop$/, () => ` (${t("learning.own")})`));
    const text = t(`learning.verdict.${key}`, {
      ...{ count, left, right, difference: spoken(Number(difference)) },
      share: `${(Number(fraction) * 100).toPrecision(2)} %`,
    });
    verdict.dataset.kind = key;
    verdict.replaceChildren(make("span", { class: `badge ${badge}` }, t(`badge.${key}`)), ` ${text}`);
  }

  function drawTable(one) {
    const who = make(
      "select",
      { onchange: () => ((state.of = who.value), change(), of.querySelector("select").focus()) },
      backends.map((name) => make("option", { value: name, selected: name === state.of }, name)),
    );
    of.replaceChildren(make("label", { class: "small" }, `${t("learning.of")} `, one ? who : t("learning.page")));
    const { losses, weights, biases } = found;
    const columns = ["step", "loss", "kernel", ...(biases ? ["bias"] : [])];
    const rows = losses.map((loss, i) =>
      make(
        "tr",
        { "data-row": i },
        make("th", { scope: "row" }, String(i + 1)),
        make("td", {}, lossText(loss)),
        make("td", {}, weights[i].map(kernelText).join(", ")),
        biases ? make("td", {}, kernelText(biases[i])) : null,
      ),
    );
    const head = make(
      "tr",
      {},
      columns.map((key) => make("th", { scope: "col" }, t(`learning.column.${key}`))),
    );
    table.setAttribute("aria-label", t("learning.table"));
    table.replaceChildren(make("table", { class: "mono" }, make("thead", {}, head), make("tbody", {}, rows)));
  }

  // ---------------------------------------------------------------- one step

  /** A cell with two decimals; the whole number is its title. */
  const shown = (label, value) => grids.shown(label, Number(value.toFixed(2)), { title: String(value) });

  function grid(key, matrix) {
    const [rows, columns] = [engine.range(matrix.length), engine.range(matrix[0].length)];
    const name = t(key);
    return grids.grid(name, rows, columns, (i, j) =>
      shown(t("cell.value", { name, i, j, value: words.short(matrix[i][j]) }), matrix[i][j]),
    ).figure;
  }

  const sign = (text) => make("span", { class: "sign", "aria-hidden": "true" }, text);
  const bracketed = (value) => (value < 0 ? `(${spoken(value)})` : spoken(value));
  /** A parameter's step as a sum. */
  function updated(key, before, slope, after, j = 0) {
    const [a, rate, b, result] = [before, state.rate, slope, after].map((value) => Number(words.short(value)));
    const equal = Math.abs(a - rate * b - result) < 1e-9 ? "=" : "≈"; // of the digits that are shown
    const left = `${spoken(before)} − ${spoken(state.rate)}×${bracketed(slope)}`;
    const text = t(key, { j, sum: `${left} ${equal} ${spoken(after)}` });
    return make("p", { class: "sum mono" }, text);
  }

  function drawStep() {
    const { step } = state;
    const { losses, weights, biases } = found;
    const kernel = step ? weights[step - 1] : state.start;
    const bias = biases && step ? biases[step - 1] : 0;
    const { output, gradient, slope } = descent.look({ X, Y }, kernel, bias);
    board.replaceChildren(
      grid("input", X),
      sign("⋆"),
      grid("learning.kernel", [kernel]),
      ...(biases ? [sign("+"), grid("learning.bias.now", [[bias]])] : []),
      sign("="),
      grid("learning.output", output),
      sign("≟"),
      grid("learning.wanted", Y),
    );
    slopes.replaceChildren(
      grid("learning.gradient", [gradient]),
      ...(biases ? [grid("learning.gradient.bias", [[slope]])] : []),
    );
    sums.replaceChildren(
      make("p", { class: "loss" }, t("learning.loss", { value: lossText(losses[step]) })),
      ...kernel.map((value, j) => updated("learning.update", value, gradient[j], weights[step][j], j)),
      ...(biases ? [updated("learning.update.bias", bias, slope, biases[step])] : []),
    );
    for (const row of table.querySelectorAll("tbody tr")) {
      const current = Number(row.dataset.row) === step;
      if (current) row.setAttribute("aria-current", "step");
      else row.removeAttribute("aria-current");
      // the table alone scrolls, not the page
      if (current) table.scrollTop = row.offsetTop - table.clientHeight / 2;
    }
    drawPlot();
    steps.draw();
  }

  // ---------------------------------------------------------------- the frameworks' loops

  const nested = (value, digits) =>
    Array.isArray(value) ? `[${value.map((item) => nested(item, digits)).join(", ")}]` : value.toFixed(digits);

  function loop(name) {
    const own = lesson.own[name];
    if (!own) return [make("p", { class: "small" }, t("learning.no-loop"))];
    const lines = [
      [lesson.call, ""],
      [`losses[${lesson.every - 1}::${lesson.every}]`, nested(own.losses, 6)],
      ["weight", nested(own.weight, 7)],
      ...(own.bias === null ? [] : [["bias", words.short(own.bias)]]),
    ];
    const calls = lines.flatMap(([call, result]) => [
      make("code", {}, `>>> ${call}\n`),
      ...(result ? [make("samp", {}, `${result}\n`)] : []),
    ]);
    const session = make("pre", { class: "call", translate: "no" }, calls);
    return [frameworks.source(name, "lesson.learn", t("learning.loop"), code[name]), session];
  }

  function drawLoops() {
    if (looped === lesson) return;
    looped = lesson;
    loops.replaceChildren(
      make("h3", {}, t("learning.loops")),
      make("p", { class: "small muted" }, make("mark", {}, t("frameworks.legend"))),
      ...frameworks.panes(loop),
    );
    frameworks.mark(loops);
  }

  new ResizeObserver(() => state && drawPlot()).observe(plot);
  words.whenSpoken(() => {
    if (!state) return;
    typed = new Map();
    looped = null;
    drawFields();
    update();
  });

  return { show, link };
});
