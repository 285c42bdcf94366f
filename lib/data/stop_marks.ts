/** Where a plain template's next question would begin: what a model that runs on writes first. */

/**
 * The texts with which another question of a template begins, each behind an empty line and behind a line end:
 * `Question: {question}\nAnswer:` gives `\n\nQuestion:` and `\nQuestion:`.
 *
 * A mark is what stands before the first field or before `{question}`, the last line with anything on it. It must have a
 * letter and end in a sign, or be a word with white space behind it: `1. {question}`, `# {question}` and `Q{id} …` have no
 * mark that an answer could not hold too, and neither has `{question}` alone: nothing is returned for them.
 */
export function nextQuestionMarks(template: string): string[] {
  const marks = new Set<string>();
  let before = "", from = 0, first = true;
  for (const { 0: brace, 1: field, index } of template.matchAll(/\{\{|\}\}|\{(\w+)\}/g)) {
    before += template.slice(from, index);
    from = index + brace.length;
    if (field === undefined) {
      before += brace[0];
      continue;
    }
    const mark = first || field === "question" && before.includes("\n") ? markIn(before) : undefined;
    if (mark !== undefined) marks.add(mark);
    before = "";
    first = false;
  }
  return [...marks].flatMap((mark) => [`\n\n${mark}`, `\n${mark}`]);
}

/** The last line with anything on it, where it can be told from a line of an answer. */
function markIn(before: string): string | undefined {
  const whole = before.trimEnd();
  const mark = whole.slice(whole.lastIndexOf("\n") + 1);
  if (/[^\p{L}\p{N}\s]$/u.test(mark)) return /\p{L}/u.test(mark) ? mark : undefined;
  const behind = before[whole.length];
  return behind !== undefined && /\p{L}{2}$/u.test(mark) ? mark + behind : undefined;
}
