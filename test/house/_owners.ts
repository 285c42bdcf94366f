/** What owns something and must be disposed of. */

import ts from "typescript";

/** Classes and interfaces of a source with a `dispose` that a `using` block does not call. */
export function undisposable(path: string, text: string): string[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest), found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isClassLike(node) || ts.isInterfaceDeclaration(node)) {
      const names = node.members.map((member) => member.name?.getText(file));
      const above = (node.heritageClauses ?? []).filter((clause) =>
        clause.token === ts.SyntaxKind.ExtendsKeyword
      ).flatMap((clause) => clause.types.map((type) => type.expression.getText(file)));
      const inherits = above.some((name) => name === "Owner" || name === "Disposable");
      if (names.includes("dispose") && !names.includes("[Symbol.dispose]") && !inherits) {
        found.push(node.name?.text ?? "(class)");
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}
