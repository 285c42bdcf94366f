/**
 * What Python's texts do in a template, where the library does something else: `strip` of certain signs, `capitalize`,
 * `title`, and how values are printed. Another blank makes other ids.
 */

/** A value of the library's interpreter. */
export interface TemplateValue {
  readonly type: string;
  readonly value: unknown;
  toString(): string;
}

/** What Python takes for white space. */
// deno-lint-ignore no-control-regex -- these are the ones
const white = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

function strip(
  text: string,
  signs: string | undefined,
  ends: { readonly left: boolean; readonly right: boolean },
) {
  const goes = (sign: string) => signs === undefined ? white.test(sign) : signs.includes(sign);
  const all = [...text];
  let from = 0, to = all.length;
  while (ends.left && from < to && goes(all[from]!)) from++;
  while (ends.right && to > from && goes(all[to - 1]!)) to--;
  return all.slice(from, to).join("");
}

function capitalize(text: string): string {
  const [first = "", ...rest] = text;
  return first.toUpperCase() + rest.join("").toLowerCase();
}

/** Methods of a text by name, with the signs that they are given, if any. */
export const textMethods: Readonly<Record<string, (text: string, signs?: string) => string>> = {
  strip: (text, signs) => strip(text, signs, { left: true, right: true }),
  lstrip: (text, signs) => strip(text, signs, { left: true, right: false }),
  rstrip: (text, signs) => strip(text, signs, { left: false, right: true }),
  capitalize,
  title: (text) => text.replace(/\p{L}+/gu, capitalize),
};

/** Filters of a text by name, likewise. */
export const textFilters: typeof textMethods = { trim: textMethods.strip!, capitalize };

/** A value as Python prints it. */
export function printed(value: TemplateValue): string {
  return value.type === "StringValue"
    ? value.value as string
    : value.type === "UndefinedValue"
    ? ""
    : shown(value);
}

/** A value inside another one. */
function shown(value: TemplateValue): string {
  const items = () => (value.value as TemplateValue[]).map(shown);
  switch (value.type) {
    case "NullValue":
      return "None";
    case "BooleanValue":
      return value.value ? "True" : "False";
    case "StringValue":
      return quoted(value.value as string);
    case "ArrayValue":
      return `[${items().join(", ")}]`;
    case "TupleValue":
      return items().length === 1 ? `(${items()[0]},)` : `(${items().join(", ")})`;
    case "ObjectValue": {
      const entries = [...value.value as Map<string, TemplateValue>];
      return `{${entries.map(([key, inner]) => `${quoted(key)}: ${shown(inner)}`).join(", ")}}`;
    }
    default:
      return value.toString();
  }
}

function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const names: Readonly<Record<string, string>> = {
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\\": "\\\\",
    [quote]: `\\${quote}`,
  };
  return quote + [...text].map((sign) => names[sign] ?? sign).join("") + quote;
}
