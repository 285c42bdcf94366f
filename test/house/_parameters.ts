/** How many parameters a function takes by their place. */

import ts from "typescript";

/** A function that takes more of them than the style allows. */
export interface LongList {
  /** The file. */
  readonly path: string;
  /** Its line, from 1. */
  readonly line: number;
  /** What it is called: "trainer", "Model.constructor", "(arrow)". */
  readonly name: string;
  /** How many. */
  readonly count: number;
}

/** What a function is called where it stands. */
function nameOf(node: ts.SignatureDeclaration, file: ts.SourceFile): string {
  const around = node.parent;
  const owner = (ts.isClassLike(around) || ts.isInterfaceDeclaration(around)) && around.name
    ? `${around.name.text}.`
    : "";
  if (ts.isConstructorDeclaration(node)) return `${owner}constructor`;
  if (node.name) return `${owner}${node.name.getText(file)}`;
  const named = ts.isVariableDeclaration(around) || ts.isPropertyAssignment(around) ||
    ts.isPropertySignature(around) || ts.isTypeAliasDeclaration(around);
  if (named) return around.name.getText(file);
  // What a function returns goes by its name.
  const body = ts.isReturnStatement(around) ? around.parent.parent : around;
  return ts.isFunctionDeclaration(body) && body.name ? body.name.text : "(arrow)";
}

/** The functions, methods and types of functions in a source that take more than `most` parameters by their place. */
export function longLists(path: string, text: string, most: number): LongList[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true), found: LongList[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node)) {
      const count = node.parameters.filter((one) => one.name.getText(file) !== "this").length;
      if (count > most) {
        const line = file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1;
        found.push({ path, line, name: nameOf(node, file), count });
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}
