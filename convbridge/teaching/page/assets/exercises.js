/* The exercises: a line for each, opened to its question, a grid to fill in, and what the page says about it. */
components.register("exercises", ({ root, name: link, remember }) => {
  const { facts, exercises } = words.data.components.exercises;
  const board = root.querySelector(".exercises");
  const progress = make("p", { class: "progress small muted", role: "status" });
  const trouble = make("p", { class: "problem", role: "alert", hidden: true });
  let opened = ""; // the one that the link names
  let notice = "";

  const emptyCells = (rows, columns) => engine.range(rows).map(() => engine.range(columns).map(() => ""));
  const states = new Map(
    exercises.map(({ name, parts }) => [
      name,
      {
        typed: parts.map((part) => emptyCells(part.rows, part.columns)),
        ...{ verdict: null, isOpen: false, isSolved: false, hint: false, solution: false },
      },
    ]),
  );

  function drawProgress() {
    const solved = [...states.values()].filter((state) => state.isSolved).length;
    progress.textContent = t("exercises.progress", { solved, all: exercises.length });
  }

  // ------------------------------------------------------------------ grids

  /** A grid; wide ones get smaller cells where there is little room. */
  function gridOf(label, height, width, cell) {
    const made = grids.grid(label, engine.range(height), engine.range(width), cell);
    made.figure.classList.toggle("wide", width > 6);
    return made;
  }

  /** A grid of numbers to look at; `at` is the place that is not right. */
  function shown(label, X, at = null) {
    return gridOf(label, X.length, X[0].length, (i, j) => {
      const cell = grids.shown(t("cell.value", { name: label, i, j, value: words.spoken(X[i][j]) }), X[i][j]);
      cell.classList.toggle("off", at !== null && at[0] === i && at[1] === j);
      return cell;
    }).figure;
  }

  const labelOf = (exercise, i) => exercise.parts[i].name || t(`exercises.${exercise.name}.part.${i}`);

  /** A grid to fill in; the enter key checks. */
  function fillable(exercise, i, state, { changed, check }) {
    const label = labelOf(exercise, i);
    const cells = state.typed[i];
    return gridOf(label, cells.length, cells[0].length, (row, column) =>
      make(
        "td",
        {},
        make("input", {
          ...{ type: "text", value: cells[row][column], autocomplete: "off", spellcheck: "false" },
          "aria-label": t("exercises.empty", { name: label, i: row, j: column }),
          oninput: (event) => {
            cells[row][column] = event.target.value;
            changed();
          },
          onfocus: (event) => event.target.select(),
          onkeydown: (event) => event.key === "Enter" && check(),
        }),
      ),
    ).figure;
  }

  // ------------------------------------------------------------------ one exercise

  function choices(exercise, i, state, { changed }) {
    const { name, options } = exercise;
    const chosen = (option) =>
      make("input", {
        ...{ type: "radio", name: `${name}-${i}`, value: option, checked: state.typed[i][0][0] === option },
        onchange: () => {
          state.typed[i] = [[option]];
          changed();
        },
      });
    return make(
      "fieldset",
      {},
      make("legend", { translate: exercise.parts[i].name ? "no" : null }, labelOf(exercise, i)),
      options.map((option) =>
        make("label", { class: "option" }, chosen(option), make("span", {}, t(`exercises.${name}.option.${option}`))),
      ),
    );
  }

  /** Buttons for a grid whose width is part of the answer. */
  function widths(exercise, i, state, redraw) {
    const { most, rows } = exercise.parts[i];
    const button = (key, sign, change) =>
      make(
        "button",
        {
          ...{ type: "button", "aria-label": t(`exercises.${key}`), title: t(`exercises.${key}`), "data-width": key },
          onclick: () => {
            const width = state.typed[i][0].length + change;
            if (width < 1 || width > most) return;
            const old = state.typed[i];
            state.typed[i] = emptyCells(rows, width).map((row, a) => row.map((_, b) => old[a][b] ?? ""));
            redraw();
            board.querySelector(`[data-exercise="${exercise.name}"] [data-width="${key}"]`).focus();
          },
        },
        sign,
      );
    return make("div", { class: "widths" }, button("less", "−", -1), button("more", "+", 1));
  }

  /** A box that is filled when it is opened: nobody finds a solution by searching the page. */
  function hidden(key, state, content) {
    const box = make("details", { class: key, open: state[key] }, make("summary", {}, t(`exercises.${key}`)));
    const fill = () => box.childElementCount > 1 || box.append(...content());
    if (state[key]) fill();
    box.addEventListener("toggle", () => {
      state[key] = box.open;
      if (box.open) fill();
    });
    return box;
  }

  function solution(exercise) {
    const { name, parts, options, answer, numbers } = exercise;
    const values = Object.entries(numbers).map(([key, formula]) => [key, words.spoken(exerciseChecks.compute(formula)[0][0])]);
    const shownParts = parts.map((part, i) => {
      const value = exerciseChecks.compute(answer[i], [], facts);
      if (!part.chooses) return shown(labelOf(exercise, i), value);
      const option = t(`exercises.${name}.option.${options[value[0][0]]}`);
      return make("p", { class: "chosen" }, make("b", { translate: "no" }, labelOf(exercise, i)), " ", option);
    });
    return [make("p", {}, t(`exercises.${name}.solution`, Object.fromEntries(values))), make("div", { class: "grids" }, shownParts)];
  }

  /** What the page says about an answer, with the output that is not right. */
  function drawVerdict(exercise, state, panel) {
    const [said, output] = ["verdict", "given-output"].map((name) => panel.querySelector(`.${name}`));
    const { verdict } = state;
    for (const cell of panel.querySelectorAll(".answer td.off")) cell.classList.remove("off");
    output.replaceChildren();
    said.className = `verdict ${verdict?.kind ?? ""}`;
    said.replaceChildren();
    if (!verdict) return;
    const begin = verdict.kind === "wrong" ? [make("b", {}, t("exercises.wrong")), " "] : [];
    said.append(...begin, exerciseChecks.sentence(verdict));
    if (verdict.at && (verdict.kind === "unreadable" || verdict.ofAnswer)) {
      // an answer that is not right is marked where the reader wrote it, unless a mistake explains all of it
      if (verdict.kind === "unreadable" || verdict.key === "exercises.say.off")
        panel.querySelector(`[data-part="${verdict.part}"] td[data-at="${verdict.at}"]`)?.classList.add("off");
    } else if (verdict.output && verdict.output[0].length * verdict.output.length > 1) {
      output.append(shown(t("exercises.output"), verdict.output, verdict.at));
    }
  }

  function content(exercise, state, drawHead) {
    const { name, given, parts } = exercise;
    const panel = make("div", { class: "panel", id: `exercise-${name}` });
    function changed() {
      if (!state.verdict) return;
      state.verdict = null;
      drawVerdict(exercise, state, panel);
    }
    function check() {
      state.verdict = exerciseChecks.check(exercise, state.typed, facts);
      state.isSolved ||= state.verdict.kind === "right";
      drawVerdict(exercise, state, panel);
      drawHead();
      drawProgress();
    }
    function drawParts() {
      const drawn = parts.map((part, i) => {
        const asked = part.chooses ? choices(exercise, i, state, { changed }) : fillable(exercise, i, state, { changed, check });
        const redraw = () => {
          changed();
          drawParts();
        };
        return make("div", { "data-part": i }, asked, part.most ? widths(exercise, i, state, redraw) : null);
      });
      panel.querySelector(".answer").replaceChildren(...drawn);
    }
    panel.append(
      make("p", {}, t(`exercises.${name}.question`)),
      make(
        "div",
        { class: "work" },
        make(
          "div",
          { class: "grids given" },
          given.map((X, i) => shown(t(`exercises.${name}.given.${i}`), exerciseChecks.compute(X))),
        ),
        make("div", { class: "grids answer", role: "group", "aria-label": t("exercises.answer") }),
      ),
      make("div", { class: "actions" }, make("button", { type: "button", class: "check-answer", onclick: check }, t("exercises.check"))),
      make("p", { class: "verdict", role: "status" }),
      make("div", { class: "grids given-output" }),
      make(
        "div",
        { class: "help" },
        hidden("hint", state, () => [make("p", {}, t(`exercises.${name}.hint`))]),
        hidden("solution", state, () => solution(exercise)),
      ),
    );
    drawParts();
    drawVerdict(exercise, state, panel);
    return panel;
  }

  function draw() {
    const drawn = exercises.map((exercise, i) => {
      const { name } = exercise;
      const state = states.get(name);
      const box = make("article", { class: "exercise", "data-exercise": name });
      const badge = make("span", { class: "badge ok" }, t("exercises.solved"));
      const button = make(
        "button",
        { type: "button", "aria-controls": `exercise-${name}` },
        make("span", { class: "number", "aria-hidden": "true" }, i + 1),
        make("span", { class: "title" }, t(`exercises.${name}.title`)),
        badge,
      );
      function drawHead() {
        badge.hidden = !state.isSolved;
        button.setAttribute("aria-expanded", String(state.isOpen));
        box.classList.toggle("closed", !state.isOpen);
      }
      button.addEventListener("click", () => {
        state.isOpen = !state.isOpen;
        opened = state.isOpen ? name : "";
        drawHead();
        remember();
      });
      box.append(make("h3", {}, button), content(exercise, state, drawHead));
      drawHead();
      return box;
    });
    trouble.hidden = !notice;
    trouble.textContent = notice && t("problem.link", { value: notice });
    drawProgress();
    board.replaceChildren(trouble, progress, ...drawn);
  }

  words.whenSpoken(draw);
  return {
    show(_, parts) {
      const unreadable = [];
      opened = "";
      for (const [key, text] of parts) {
        if (key === "e" && states.has(text)) opened = text;
        else unreadable.push(text ? `${key}=${text}` : key);
      }
      if (opened) states.get(opened).isOpen = true;
      notice = unreadable.join(", ");
      draw();
      return opened ? board.querySelector(`[data-exercise="${opened}"]`) : null;
    },
    link: () => (opened ? `${link}&e=${opened}` : link),
  };
});
