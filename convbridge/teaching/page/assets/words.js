/* The page's sentences in the chosen language, and numbers as text. What may live here: words, no grids. */
const words = (() => {
  const data = JSON.parse(document.getElementById("page-data").textContent);
  let language = "en";
  const listeners = [];

  /** A text with its places filled in. */
  function t(key, values = {}) {
    const text = data.texts[language][key];
    if (text === undefined) throw new Error(`no text ${key}`);
    return text.replace(/\{(\w+)\}/g, (place, name) => values[name] ?? place);
  }

  /** Say everything in a language; who shows texts of its own is told. */
  function speak(chosen) {
    if (!(chosen in data.texts)) return;
    language = chosen;
    document.documentElement.lang = chosen === "zh" ? "zh-Hans" : chosen;
    document.title = `convbridge: ${t("title")}`;
    document.querySelector(".skip-link").textContent = t("skip");
    for (const element of document.querySelectorAll("[data-text]")) element.innerHTML = t(element.dataset.text);
    for (const element of document.querySelectorAll("[data-text-label]")) {
      element.setAttribute("aria-label", t(element.dataset.textLabel));
    }
    for (const button of document.querySelectorAll("[data-language]")) {
      button.setAttribute("aria-pressed", String(button.dataset.language === chosen));
    }
    for (const listener of listeners) listener();
  }

  /** A number in a grid: whole, or four digits. */
  function short(value) {
    if (Number.isNaN(value)) return "NaN";
    if (!Number.isFinite(value)) return value > 0 ? "∞" : "-∞";
    return String(Number.isInteger(value) ? value || 0 : Number(value.toPrecision(4)));
  }

  /** A number in a sentence, with a minus sign instead of a hyphen. */
  const spoken = (value) => short(value).replace("-", "−");

  /** Whether short() says all of a number. */
  const isShort = (value) => !Number.isFinite(value) || Number(short(value)) === value;

  /** What somebody typed, as a number; null if it is none. Fractions are numbers, and so are nan and inf. */
  function parse(text) {
    const plain = text.trim().replace("−", "-").toLowerCase();
    if (plain === "nan") return NaN;
    const infinite = /^([+-]?)(inf|infinity|∞)$/.exec(plain);
    if (infinite) return infinite[1] === "-" ? -Infinity : Infinity;
    const [above, below, ...more] = plain.split("/");
    if (more.length) return null;
    if (below !== undefined) {
      const [a, b] = [parse(above), parse(below)];
      return a === null || b === null ? null : a / b;
    }
    return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/.test(plain) ? Number(plain) : null;
  }

  return {
    data,
    t,
    speak,
    short,
    spoken,
    isShort,
    parse,
    get language() {
      return language;
    },
    /** Be told when the language changes. */
    whenSpoken: (listener) => listeners.push(listener),
  };
})();
const { t } = words;

/** Make an element: properties that begin with "on" are listeners, the rest attributes; false leaves one out. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined)
      element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null));
  return element;
}
