/** What the compiler says when an element that an index may miss is `undefined` too. */

import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Places in the files at these paths where an element is taken to be there, as `PATH:LINE what TypeScript says`. */
export function uncheckedElements(paths: readonly string[], checked: (path: string) => boolean): string[] {
  const program = ts.createProgram(paths.map((path) => root + path), {
    ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, noEmit: true },
    ...{ allowImportingTsExtensions: true, resolveJsonModule: true, skipLibCheck: true },
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    target: ts.ScriptTarget.ESNext,
    lib: ["lib.esnext.d.ts", "lib.dom.d.ts", "lib.dom.asynciterable.d.ts"],
    types: ["node", "@webgpu/types", "bun-types"],
    typeRoots: [`${root}node_modules/@types`, `${root}node_modules`],
  });
  return program.getSourceFiles().flatMap((file) => {
    const path = file.fileName.slice(root.length);
    if (!file.fileName.startsWith(root) || !checked(path)) return [];
    // What else it says is Deno's business, whose types it does not know.
    const said = program.getSemanticDiagnostics(file).filter(({ code }) => code !== 2304 && code !== 7016);
    return said.map(({ start = 0, messageText }) => {
      const line = file.getLineAndCharacterOfPosition(start).line + 1;
      return `${path}:${line} ${ts.flattenDiagnosticMessageText(messageText, " ")}`;
    });
  });
}
