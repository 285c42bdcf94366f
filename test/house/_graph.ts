/** The module graph of the project, read from its sources. */

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path/posix";

/** One import of a file. */
export interface Import {
  /** The path in the repository, or the name of a package. */
  readonly target: string;
  /** Whether only types come in: nothing is loaded. */
  readonly types: boolean;
}

/** A source file. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
  readonly imports: readonly Import[];
}

/** All files by path. */
export type Graph = ReadonlyMap<string, SourceFile>;

/** Folders whose files make up the project, and its entry. */
const folders = ["lib", "tasks", "tools", "bench", "examples"];

/** Paths and texts of all sources below `root`; AssemblyScript is another language, and built modules import nothing. */
export function readSources(root: string): Map<string, string> {
  const texts = new Map<string, string>();
  const add = (path: string) => texts.set(path, readFileSync(join(root, path), "utf8"));
  for (const folder of folders) {
    let names: string[];
    try {
      names = readdirSync(join(root, folder), { recursive: true }) as string[];
    } catch {
      continue; // a folder that is not there yet
    }
    for (const name of names) {
      const path = `${folder}/${name.replaceAll("\\", "/")}`;
      if (path.endsWith(".ts") && !path.startsWith("lib/kernels/assembly/")) add(path);
    }
  }
  add("mod.ts");
  return texts;
}

/** The source without comments, strings kept. */
export function withoutComments(text: string): string {
  // A string is taken whole, so that "//" in it begins no comment.
  return text.replace(
    /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\[^])*`|\/\*[^]*?\*\/|\/\/[^\n]*/g,
    (match) => match.startsWith("/") ? "" : match,
  );
}

/** The source without comments and without what stands in strings, which may name anything. */
export function codeOf(text: string): string {
  return withoutComments(text).replace(/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'/g, '""');
}

/** Imports of every kind: static, of types, re-exports, dynamic, and modules of workers. */
function importsOf(path: string, text: string): Import[] {
  const found: Import[] = [];
  const add = (specifier: string, types: boolean) => {
    const target = specifier.startsWith(".") ? normalize(join(dirname(path), specifier)) : specifier;
    found.push({ target, types });
  };
  const code = withoutComments(text);
  for (
    const [, kind, names, specifier] of code.matchAll(/\b(import|export)\b([^;"'`]*?)\bfrom\s*"([^"]+)"/g)
  ) {
    const listed = names!.trim();
    const braces = listed.match(/^\{([^]*)\}$/)?.[1]?.split(",").map((name) => name.trim()).filter(Boolean);
    const types = /^type\b/.test(listed) ||
      (braces !== undefined && braces.every((name) => /^type\s/.test(name)));
    add(specifier!, types && kind !== undefined);
  }
  for (const [, specifier] of code.matchAll(/\bimport\s*"([^"]+)"/g)) add(specifier!, false);
  for (const [, specifier] of code.matchAll(/\bimport\(\s*"([^"]+)"/g)) add(specifier!, false);
  for (const [, specifier] of code.matchAll(/new URL\(\s*"([^"]+\.ts)",\s*import\.meta\.url/g)) {
    add(specifier!, false);
  }
  return found;
}

/** The graph of sources by path. */
export function graphOf(texts: ReadonlyMap<string, string>): Graph {
  return new Map(
    [...texts].map(([path, text]) => [path, { path, text, imports: importsOf(path, text) }]),
  );
}
