/** What `deno task pack` packs: the project, the packages that it runs with, the runtime, and a command to start them. */

import { lstat, readdir, readFile, readlink, realpath, stat } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { InputError } from "../lib/runtime/errors.ts";
import { readBytes } from "../lib/runtime/files.ts";
import type { Entry } from "./_tar.ts";

/** Which machine the archive is for. */
export interface Platform {
  /** As Node names it: "linux", "darwin". */
  readonly system: string;
  /** As Node names it: "x64", "arm64". */
  readonly processor: string;
}

/** Files and folders of the project. What tests, builds and measures stays at home. */
const project = [
  ...["README.md", "CHANGELOG.md", "LICENSE", "mod.ts", "package.json"],
  ...["docs", "examples", "fixtures/base", "lib", "tasks"],
];

/** Sources of built kernels, and what of packages only people, editors and installers read. */
const left =
  /^lib\/kernels\/assembly\/|\.(map|d\.[cm]?ts|md\.html|js\.html|tsbuildinfo|lock)$|\/package-lock\.json$/;

/** The command at the archive's root: from whichever folder it is called, paths are those of the caller. */
export const launcher = `#!/bin/sh
# Alignment Fine-Tuning with the runtime beside this file; needs no network and writes nothing here.
here=$(dirname -- "$(readlink -f -- "$0")")
export DENO_NO_UPDATE_CHECK=1
exec "$here/deno" run -q --no-prompt --cached-only --config "$here/deno.json" -P=compute --allow-net \\
  "$here/tasks/aft.ts" "$@"
`;

/** deno.json as the archive has it: packages are taken as they lie there, and no task names what is not packed. */
export function packedConfiguration(text: string): string {
  const { tasks, fmt: _, lint: __, publish: ___, exclude: ____, ...kept } = JSON.parse(text);
  const there = Object.entries(tasks as Record<string, { command: string }>)
    .filter(([, { command }]) => / tasks\/\w+\.ts$/.test(command));
  const configuration = { ...kept, nodeModulesDir: "manual", tasks: Object.fromEntries(there) };
  return `${JSON.stringify(configuration, null, 2)}\n`;
}

/**
 * Everything that is packed, by path.
 *
 * @param root the project's folder
 * @param options `deno`: the runtime's program
 */
export async function packedEntries(
  root: string,
  { deno, platform }: { readonly deno: string; readonly platform: Platform },
): Promise<Entry[]> {
  const entries: Entry[] = [
    text("aft", launcher, true),
    text("deno.json", packedConfiguration(await readFile(join(root, "deno.json"), "utf8"))),
    { ...await file("deno", await realpath(deno)), executable: true },
  ];
  for (const name of project) entries.push(...await below(root, name));
  entries.push(...await packages(root, platform));
  return entries.filter(({ path }) => !left.test(path)).sort((a, b) => a.path < b.path ? -1 : 1);
}

function text(path: string, content: string, executable = false): Entry {
  const bytes = new TextEncoder().encode(content);
  return {
    path,
    size: bytes.length,
    executable,
    bytes: (async function* () {
      yield bytes;
    })(),
  };
}

async function file(path: string, at: string): Promise<Entry> {
  return { path, size: (await stat(at)).size, bytes: readBytes(at) };
}

/** The files at or below a path, links as links. */
async function below(root: string, path: string): Promise<Entry[]> {
  const at = join(root, path), status = await lstat(at);
  if (status.isSymbolicLink()) return [{ path, link: (await readlink(at)).replaceAll("\\", "/") }];
  if (status.isFile()) return [await file(path, at)];
  const names = (await readdir(at)).sort();
  return (await Promise.all(names.map((name) => below(root, `${path}/${name}`)))).flat();
}

/**
 * The packages that package.json depends on, and theirs, as Deno lays them out: each in a folder of its own below
 * node_modules/.deno, with links to what it imports.
 */
async function packages(root: string, platform: Platform): Promise<Entry[]> {
  const modules = join(root, "node_modules");
  const { dependencies } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  const wanted = Object.keys(dependencies).map((name) => join(modules, name));
  const entries: Entry[] = [], homes = new Set<string>();
  /** The folder of the store that a link leads into. */
  const homeOf = async (link: string): Promise<string> => {
    const real = await realpath(link).catch(() => {
      throw new InputError(`Cannot pack ${link}: no such package; \`deno install\` gets it`);
    });
    const way = relative(await realpath(modules), real).split(/[\\/]/);
    if (way[0] === ".deno" && way[1] !== undefined) return way[1];
    throw new InputError(
      `Cannot pack ${link}: packages must lie as Deno lays them out, below node_modules/.deno; \`deno install\` does`,
    );
  };
  /** Takes the package that a link leads to, once, and what it links to in turn. */
  const take = async (link: string): Promise<void> => {
    const home = await homeOf(link);
    if (homes.has(home)) return;
    homes.add(home);
    for (const entry of await below(root, `node_modules/.deno/${home}`)) {
      if (!belongs(entry.path, platform)) continue;
      entries.push(entry);
      if ("link" in entry) await take(join(root, entry.path));
    }
  };
  for (const link of wanted) {
    await take(link);
    entries.push(...await below(root, relative(root, link).replaceAll("\\", "/")));
  }
  // Where packages are found that one imports and does not name: TF.js imports its parts' own, in whichever version.
  const hoisted = "node_modules/.deno/node_modules";
  const named = new Set([...homes].map((home) => home.slice(0, home.lastIndexOf("@")).replace("+", "/")));
  for (const entry of await below(root, hoisted)) {
    if (!("link" in entry) || !named.has(entry.path.slice(hoisted.length + 1))) continue;
    await take(join(root, entry.path));
    entries.push(entry);
  }
  for (const entry of entries) {
    if (!("link" in entry)) continue;
    const target = relative(modules, resolve(dirname(join(root, entry.path)), entry.link));
    if (target.startsWith("..")) {
      throw new InputError(`Cannot pack ${entry.path}: it is a link out of node_modules`);
    }
  }
  return entries;
}

/** Whether a file is of use on the machine: Dawn's programs, which take most room, come for every kind of them. */
function belongs(path: string, { system, processor }: Platform): boolean {
  const kind = path.match(/\/webgpu\/dist\/(darwin-universal|\w+-\w+)\//)?.[1];
  return kind === undefined || kind === (system === "darwin" ? "darwin-universal" : `${system}-${processor}`);
}
