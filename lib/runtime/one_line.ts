/** Text from outside as a part of one line on a terminal. */

/** Characters of an error line: what names the file and what says the reason both have room. */
const LONGEST = 400;

const CONTROLS =
  // deno-lint-ignore no-control-regex -- they are what must not pass
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** A text as a terminal may show it: its lines and tabs stay, other control characters are shown and not obeyed. */
export function shownText(text: string): string {
  return text.replace(CONTROLS, (character) => /[\n\t]/.test(character) ? character : escaped(character));
}

/**
 * One line without control characters, at most `longest` characters long: of a longer one the middle is left out, so that
 * what it is about and what ends it stay. A file's content can hold anything: escape sequences that move the cursor, marks
 * that turn the direction of writing, lines without end.
 */
export function oneLine(text: string, longest = LONGEST): string {
  // A megabyte is cut before it is looked at.
  const near = text.length > 4 * longest ? `${text.slice(0, 2 * longest)}${text.slice(-2 * longest)}` : text;
  const line = near.replace(/[^\S\n]*\n\s*/g, " ").replace(/\t/g, " ").trim().replace(CONTROLS, escaped);
  if (line.length <= longest) return line;
  const tail = Math.floor(longest / 4);
  return `${whole(line.slice(0, longest - tail - 3), "end")} … ${whole(line.slice(-tail), "start")}`;
}

/** Without half of a pair of code units where it was cut. */
function whole(text: string, cut: "start" | "end"): string {
  return cut === "end" ? text.replace(/[\ud800-\udbff]$/, "") : text.replace(/^[\udc00-\udfff]/, "");
}
