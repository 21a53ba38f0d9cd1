/* The section of the receptive field: networks to choose, the picture, the editor, and its link.
 *
 * A link is receptive-field&name=value&...:
 *   network=lenet, or input=HEIGHTxWIDTHxCHANNELS and layers=conv+5+p2;avgpool+2 (a plus for a space)
 *   layer=2 (from 1; without it the last)  at=row,column (without it the middle) */
components.register("receptive-field", ({ root, name, remember }) => {
  const { networks, start } = words.data.components[name];
  const choice = root.querySelector(".choice");
  const note = make("p", { class: "small network-note" });
  const card = root.querySelector(".explorer");
  const problem = make("p", { class: "problem stays", role: "alert", hidden: true });
  const views = make("div", { class: "views" });
  const editing = make("div", { class: "stack-editor" });
  choice.after(note);
  card.append(problem, views, editing);

  let notice = []; // parts of the link that could not be read
  let written = null; // the link of what is seen

  const host = {
    state: null, // size, depth, layers, chosen (from 1), at: row and column, or null for the middle
    steps: [],
    problem: null, // with the first layer that is impossible
    typed: new Map(), // where something was typed that cannot be, and what is wrong with it
    get at() {
      const { state, steps } = host;
      const sizes = steps[state.chosen - 1].size;
      return sizes.map((size, i) => (state.at ? Math.min(state.at[i], size - 1) : (size - 1) >> 1));
    },
    update: () => refresh(),
    anew,
    move(at) {
      host.state.at = at;
      refresh();
    },
    choose(at, layer = host.state.chosen) {
      const other = layer !== host.state.chosen;
      Object.assign(host.state, { at, chosen: layer });
      if (other) anew(`layer.${layer}`);
    },
  };
  const picture = stackPicture.create(views, host);
  const editor = stackEditor.create(editing, host);

  // ---------------------------------------------------------------- states and links

  function stateOf(network) {
    const layers = stack.parse(network.layers);
    return { size: [...network.size], depth: network.channels, layers, chosen: layers.length, at: null };
  }

  const input = ({ size, depth }) => [...size, ...(depth === null ? [] : [depth])].join("x");
  const same = (state, network) => {
    const other = stateOf(network);
    return input(state) === input(other) && stack.write(state.layers) === stack.write(other.layers);
  };

  function write() {
    const { state } = host;
    const network = networks.find((one) => same(state, one));
    const parts = [name];
    if (!network) {
      const layers = stack.write(state.layers).replaceAll(" | ", ";").replaceAll(" * ", "*").replaceAll(" ", "+");
      parts.push(`input=${input(state)}`, `layers=${layers}`);
    } else if (network.name !== start) parts.push(`network=${network.name}`);
    if (state.chosen !== state.layers.length) parts.push(`layer=${state.chosen}`);
    if (state.at) parts.push(`at=${state.at.join()}`);
    return parts.join("&");
  }

  class Unreadable extends Error {}
  function check(condition) {
    if (!condition) throw new Unreadable();
  }
  const readers = {
    network(text) {
      const network = networks.find((one) => one.name === text);
      check(network);
      return stateOf(network);
    },
    input(text) {
      check(/^\d{1,4}x\d{1,4}(x\d{1,5})?$/.test(text));
      const [height, width, depth = null] = text.split("x").map(Number);
      const { size, channels } = stack.LIMITS;
      check(Math.min(height, width, depth ?? 1) > 0 && Math.max(height, width) <= size && depth <= channels);
      return { size: [height, width], depth };
    },
    layers(text) {
      const layers = stack.parse(text.replaceAll("+", " "));
      return { layers, chosen: layers.length };
    },
    layer(text, { layers }) {
      check(/^\d{1,3}$/.test(text) && Number(text) >= 1 && Number(text) <= layers.length);
      return { chosen: Number(text) };
    },
    at(text) {
      check(/^\d{1,5},\d{1,5}$/.test(text));
      return { at: text.split(",").map(Number) };
    },
  };

  function show(_, parts) {
    host.state = stateOf(networks.find((one) => one.name === start));
    notice = [];
    for (const [key, text] of parts) {
      try {
        check(Object.hasOwn(readers, key));
        Object.assign(host.state, readers[key](text, host.state));
      } catch (error) {
        if (!(error instanceof Unreadable || error instanceof engine.Problem)) throw error;
        notice.push({ part: text ? `${key}=${text}` : key, problem: error });
      }
    }
    written = null;
    anew();
  }

  // ---------------------------------------------------------------- drawing

  /** A problem as a sentence that names its layer. */
  function sentence({ code, values, layer, text }) {
    const said = model.sentence({ code, values });
    return layer ? t("layer.problem", { layer, text, problem: said }) : said;
  }

  /** What is wrong with a field: a sentence already, or a problem of the text. */
  function complaint([key, wrong]) {
    if (typeof wrong !== "string") return sentence(wrong);
    if (!key.startsWith("layer.")) return wrong;
    const { chosen, layers } = host.state;
    return t("layer.problem", { layer: chosen, text: stack.writeLayer(layers[chosen - 1]), problem: wrong });
  }

  function damage({ part, problem: wrong }) {
    const said = t("problem.link", { value: part });
    return wrong instanceof engine.Problem ? `${said} ${sentence(wrong)}` : said;
  }

  /** After a change of numbers. */
  function refresh() {
    Object.assign(host, stack.walk(host.state.layers, host.state.size, host.state.depth));
    editor.refresh();
    picture.draw();
    const wrong = [...notice.map(damage), ...[...host.typed].map(complaint)];
    if (host.problem) wrong.push(sentence(host.problem));
    problem.hidden = wrong.length === 0;
    problem.textContent = wrong.join(" ");
    markChoice();
    const now = write();
    const before = written;
    written = now;
    if (before !== null && before !== now) remember();
  }

  /** After a change of the list: the fields are made anew; `key` says which of them gets the focus. */
  function anew(key = null) {
    for (const one of host.typed.keys()) if (one !== "text") host.typed.delete(one);
    Object.assign(host, stack.walk(host.state.layers, host.state.size, host.state.depth));
    editor.draw();
    refresh();
    if (key) editing.querySelector(`[data-key="${key}"]`)?.focus();
  }

  /** Links to all networks; they are made once, so that the focus stays on the one that was followed. */
  function drawChoice() {
    const links = networks.map((one) =>
      make(
        "a",
        { href: `#${name}&network=${one.name}`, "data-network": one.name, translate: one.title ? "no" : null },
        one.title || t(`network.${one.name}`),
      ),
    );
    const list = make(
      "ul",
      { class: "examples" },
      links.map((one) => make("li", {}, one)),
    );
    choice.replaceChildren(make("nav", { "aria-label": t("networks") }, list));
  }

  function markChoice() {
    const shown = networks.find((one) => same(host.state, one));
    for (const one of choice.querySelectorAll("a")) {
      if (one.dataset.network === shown?.name) one.setAttribute("aria-current", "true");
      else one.removeAttribute("aria-current");
    }
    note.textContent = shown ? t(`network.${shown.name}.note`) : t("network.own");
  }

  drawChoice();
  words.whenSpoken(() => {
    drawChoice();
    if (host.state) anew();
  });
  return { show, link: () => written };
});
