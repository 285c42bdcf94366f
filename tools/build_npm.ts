/**
 * Builds what `npm pack` packs, for runtimes that load no TypeScript from packages: in `dist/`, a script for each
 * source, in the same folders, so that paths between them stay; and declarations of what a program can import.
 *
 *   deno task build:npm     then `npm pack` (which runs it by itself)
 */
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { join as joinUrl } from "node:path/posix";
import process from "node:process";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { rewriteSpecifiers, withoutDoubles } from "./_npm_modules.ts";

const root = fileURLToPath(new URL("..", import.meta.url)), dist = join(root, "dist");
const manifest = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
const compilerOptions: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2023, // Node 22 knows no `using`
  module: ts.ModuleKind.ESNext,
  isolatedModules: true,
  verbatimModuleSyntax: true,
  strict: true,
};

/** Paths of the entry, the library and the commands. The kernels' own sources are another language. */
async function findSources(): Promise<string[]> {
  const found = ["mod.ts"];
  for (const folder of ["lib", "tasks"]) {
    for (const name of await readdir(join(root, folder), { recursive: true })) {
      const path = `${folder}/${name.replaceAll("\\", "/")}`;
      if (/(?<!\.d)\.ts$/.test(path) && !path.startsWith("lib/kernels/assembly/")) found.push(path);
    }
  }
  return found.sort();
}

/** Writes what TypeScript made of a source, under another ending; the names of modules in it, as paths. */
async function write(path: string, ending: ".js" | ".d.ts", made: ts.TranspileOutput): Promise<string[]> {
  for (const { messageText, start, file } of made.diagnostics ?? []) {
    const line = file?.text.slice(0, start).split("\n").length;
    throw new Error(`${path}:${line}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`);
  }
  const whole = ending === ".js" ? made.outputText : withoutDoubles(path, made.outputText);
  const { text, names } = rewriteSpecifiers(path, whole);
  const target = path.replace(/\.ts$/, ending), file = join(dist, target);
  await mkdir(dirname(file), { recursive: true });
  const isCommand = Object.values(manifest.bin).includes(`dist/${target}`);
  await writeFile(file, isCommand ? `#!/usr/bin/env node\n${text}` : text);
  return names.map((name) => joinUrl(dirname(path), name));
}

await rm(dist, { recursive: true, force: true });
const sources = await findSources();
const read = (path: string) => readFile(join(root, path), "utf8");
for (const path of sources) {
  const made = ts.transpileModule(await read(path), {
    fileName: path,
    compilerOptions,
    reportDiagnostics: true,
  });
  await write(path, ".js", made);
}

/** What a program can name, and what those declarations name in turn. */
const declared = new Set<string>();
for (const { types } of Object.values<{ types: string }>(manifest.exports)) {
  declared.add(types.replace(/^\.\/dist\/(.*)\.d\.ts$/, "$1.ts"));
}
for (const path of declared) {
  const made = ts.transpileDeclaration(await read(path), {
    fileName: path,
    compilerOptions: { ...compilerOptions, declaration: true },
    reportDiagnostics: true,
  });
  for (const name of await write(path, ".d.ts", made)) declared.add(name);
}

await cp(join(root, "fixtures/base"), join(dist, "fixtures/base"), { recursive: true });
// What the commands say of themselves with --version.
const { name, version, type } = manifest;
await writeFile(join(dist, "package.json"), `${JSON.stringify({ name, version, type }, null, 2)}\n`);
process.stderr.write(`dist: ${sources.length} modules, declarations of ${declared.size}\n`);
