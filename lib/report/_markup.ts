/**
 * Markup in which everything is escaped unless it was made here.
 */

/** A piece of HTML that is safe to write into a page as it is. */
export class Markup {
  /** Marks HTML as safe: nothing unescaped may have got into it. */
  constructor(readonly text: string) {}

  /** The HTML itself. */
  toString(): string {
    return this.text;
  }
}

/** What a template may hold: strings and numbers are escaped, markup is not, lists are joined, nothing is "". */
export type Child = Markup | string | number | undefined | false | readonly Child[];

const entities: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/**
 * Text as HTML text or as a quoted attribute's value. Control characters and lone surrogates, which HTML may not
 * hold, become U+FFFD.
 */
export function escapeHtml(text: string): string {
  return text.toWellFormed()
    // deno-lint-ignore no-control-regex
    .replace(/[\0-\x08\x0B\x0C\x0E-\x1F\x7F-\x9F]/g, "\uFFFD")
    .replace(/[&<>"']/g, (character) => entities[character] ?? character);
}

function write(child: Child): string {
  if (child instanceof Markup) return child.text;
  if (child === undefined || child === false) return "";
  if (typeof child === "object") return child.map(write).join("");
  return escapeHtml(String(child));
}

/** Template tag: markup`<p>${text}</p>`. Attributes must be quoted. */
export function markup(parts: TemplateStringsArray, ...children: readonly Child[]): Markup {
  return new Markup(parts.reduce((text, part, i) => text + write(children[i - 1]) + part));
}
