/** What TypeScript made of one file, as it must be in an archive. */
import ts from "typescript";

/** The relative names of TypeScript modules in a text, with the node that holds each. */
function namesIn(path: string, text: string): ts.StringLiteral[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest), found: ts.StringLiteral[] = [];
  const take = (node: ts.Node | undefined) => {
    if (node && ts.isStringLiteral(node) && /^\.\.?\/.*\.ts$/.test(node.text)) found.push(node);
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) take(node.moduleSpecifier);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) take(node.argument.literal);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      take(node.arguments[0]);
    } else if (ts.isNewExpression(node) && node.expression.getText(file) === "URL") take(node.arguments?.[0]);
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

/**
 * A script or a declaration file in which each relative name of a TypeScript module is its built one, `./x.ts` is
 * `./x.js`, and the names as they were. Imports and exports of all kinds, types given by `import("./x.ts")`, and
 * modules that are started as workers by `new URL("./x.ts", import.meta.url)`.
 *
 * @param path what the file is called, for its language
 */
export function rewriteSpecifiers(path: string, text: string): { text: string; names: string[] } {
  const found = namesIn(path, text).sort((a, b) => b.pos - a.pos);
  let built = text;
  for (const { end } of found) built = `${built.slice(0, end - 4)}.js${built.slice(end - 1)}`;
  return { text: built, names: found.map((node) => node.text) };
}

/**
 * Declarations without the properties that TypeScript 6, which looks at one file alone, adds to a class for each method
 * with a computed name (`[Symbol.dispose]: () => void` before `[Symbol.dispose](): void`).
 */
export function withoutDoubles(path: string, text: string): string {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest);
  let kept = text;
  for (const made of file.statements.filter(ts.isClassDeclaration).reverse()) {
    const isMethod = (name: string) =>
      made.members.some((member) => ts.isMethodDeclaration(member) && member.name.getText(file) === name);
    for (const member of [...made.members].reverse()) {
      if (!ts.isPropertyDeclaration(member) || !isMethod(member.name.getText(file))) continue;
      kept = kept.slice(0, member.pos) + kept.slice(member.end);
    }
  }
  return kept;
}
