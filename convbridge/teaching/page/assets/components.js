/* What sections are made of. What may live here: the list of components, and reading the address bar for them.
 *
 * components.register(name, create): create({ root, name, links, remember }) is called once for each section of that
 * kind, with its element, its name, and the links that it answers to. It returns
 *   show(link, parts)  show what a link names; parts are the pairs [name, text] behind it, [] for the thing itself;
 *                      it may return the element to look at
 *   link()             what to write into the address bar: "name" or "name&key=text&..."
 * After a change by the reader it calls remember(). Sentences are redrawn by words.whenSpoken.
 */
const components = (() => {
  const known = {};
  return {
    register: (name, create) => (known[name] = create),
    create: (name, section) => known[name](section),
  };
})();

const address = (() => {
  function decode(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return text; // a lone percent sign
    }
  }

  /** What the address bar says: a link, its parts, and a language, which is null if it names none that there is. */
  function read(hash) {
    const [link, ...rest] = decode(hash.replace(/^#/, "")).split("&");
    const parts = rest.map((part) => {
      const at = part.indexOf("=");
      return at < 0 ? [part, ""] : [part.slice(0, at), part.slice(at + 1)];
    });
    const isLanguage = ([name, text]) => name === "lang" && Object.hasOwn(words.data.texts, text);
    return {
      link,
      parts: parts.filter((part) => !isLanguage(part)),
      language: parts.findLast(isLanguage)?.[1] ?? null,
    };
  }

  const write = (link) => `#${link}${words.language === "en" ? "" : `&lang=${words.language}`}`;

  return { read, write };
})();
