/** What the library's texts say. */

import ts from "typescript";

/** Commands, and flags: not `var(--ink)` and `style="--columns: 2"` of a page. */
const named = /\b(?:deno task|bun run)\b|(?:^|[\s`']|(?<!=)"|(?<!var)\()--[a-z][\w-]*/;

/** Texts of a source, comments aside, that name a command or its flag: `LINE TEXT`. */
export function commandWords(path: string, text: string): string[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest), found: string[] = [];
  const visit = (node: ts.Node): void => {
    const isText = ts.isStringLiteralLike(node) || ts.isTemplateHead(node) ||
      ts.isTemplateMiddleOrTemplateTail(node);
    const word = isText && named.exec(node.text)?.[0];
    if (word) {
      found.push(`${file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1} ${word.trim()}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}
