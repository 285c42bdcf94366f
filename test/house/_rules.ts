/** The rules of the house, over a graph of its files: each returns the places that break it, one line each. */

import { codeOf, type Graph } from "./_graph.ts";

/** Rooms that everything above the kernels may use. */
const ground = ["lib/runtime", "lib/hub", "lib/data", "lib/data/sets", "lib/data/embedded", "lib/objectives"];
const kernels = [
  "lib/kernels",
  "lib/kernels/attention",
  "lib/kernels/product",
  "lib/kernels/norm",
  "lib/kernels/vocabulary",
];
/** A model's files without a device, and what is said of candidates without a model. */
const files = [...ground, "lib/checkpoint", "lib/tokenizer", "lib/feedback"];
const model = [...files, "lib/backend", ...kernels, "lib/model"];
const library = [...model, "lib/train", "lib/evaluate", "lib/report", "lib/pipeline", "lib/study"];

/** What each room may import besides itself. A room is a folder. */
export const rooms: Readonly<Record<string, readonly string[]>> = {
  "lib/runtime": [],
  "lib/hub": ["lib/runtime"],
  "lib/backend": ["lib/runtime"],
  "lib/objectives": ["lib/runtime"],
  "lib/data": ["lib/runtime", "lib/hub", "lib/data/sets", "lib/data/embedded"],
  "lib/data/sets": ["lib/runtime", "lib/data"],
  "lib/data/embedded": ["lib/runtime", "lib/data"],
  "lib/kernels/built": [],
  "lib/kernels": ["lib/runtime", "lib/backend", "lib/kernels/built", "lib/kernels/norm"],
  "lib/kernels/product": ["lib/runtime", "lib/backend", "lib/kernels", "lib/kernels/built"],
  "lib/kernels/attention": [
    "lib/runtime",
    "lib/backend",
    "lib/kernels",
    "lib/kernels/built",
    "lib/kernels/product",
  ],
  "lib/kernels/norm": [
    "lib/runtime",
    "lib/backend",
    "lib/kernels",
    "lib/kernels/built",
    "lib/kernels/product",
    "lib/kernels/attention",
  ],
  "lib/kernels/vocabulary": [
    "lib/runtime",
    "lib/backend",
    "lib/kernels",
    "lib/kernels/built",
    "lib/kernels/product",
  ],
  "lib/checkpoint": [...ground, "lib/backend", "lib/kernels/product"],
  "lib/tokenizer": [...ground, "lib/checkpoint"],
  "lib/feedback": ground,
  "lib/model": [...files, "lib/backend", ...kernels],
  "lib/train": model,
  "lib/evaluate": model,
  "lib/report": ["lib/runtime", "lib/objectives", "lib/train", "lib/evaluate"],
  "lib/pipeline": library.filter((room) => room !== "lib/study"),
  "lib/study": library,
  "tasks/cli": library,
  "tasks": [...library, "tasks/cli", "."],
  "tools": [...library, "tasks/cli", "tools/fuzz", "tools/gpu", "tools/kill", "."],
  "tools/fuzz": [...library, "."],
  "tools/gpu": library,
  "tools/kill": [],
  "bench": [...library, "tasks/cli", "lib/kernels/built"],
  "examples": [".", "lib/backend"],
  ".": library,
};

/** Rooms whose runtime is known: there alone Deno, Bun and process may be named. */
const runtimeRooms = [
  "lib/runtime",
  "tasks",
  "tasks/cli",
  "tools",
  "tools/fuzz",
  "tools/kill",
  "bench",
  "examples",
];

/** The folder of a path. */
export function roomOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "." : path.slice(0, slash);
}

/** Imports that the table of rooms does not allow, and files in a folder that it does not know. */
export function brokenWalls(graph: Graph): string[] {
  const broken: string[] = [];
  for (const { path, imports } of graph.values()) {
    const room = roomOf(path), allowed = rooms[room];
    if (!allowed) {
      broken.push(`${path} lies in a folder that is no room`);
      continue;
    }
    for (const { target } of imports) {
      if (!graph.has(target)) {
        if (target.endsWith(".ts")) broken.push(`${path} imports ${target}, which is not there`);
        continue;
      }
      const other = roomOf(target);
      if (other !== room && !allowed.includes(other)) {
        broken.push(`${path} imports ${target}: ${room} may not`);
      }
    }
  }
  return broken;
}

/** Sets of files that import each other, types counted (Tarjan's strongly connected components). */
export function circles(graph: Graph): string[] {
  const index = new Map<string, number>(), low = new Map<string, number>();
  const stack: string[] = [], onStack = new Set<string>(), found: string[] = [];
  const visit = (path: string) => {
    index.set(path, index.size);
    low.set(path, index.get(path)!);
    stack.push(path);
    onStack.add(path);
    for (const { target } of graph.get(path)!.imports) {
      if (target === path) found.push(`${path} imports itself`);
      if (!graph.has(target)) continue;
      if (!index.has(target)) {
        visit(target);
        low.set(path, Math.min(low.get(path)!, low.get(target)!));
      } else if (onStack.has(target)) low.set(path, Math.min(low.get(path)!, index.get(target)!));
    }
    if (low.get(path) !== index.get(path)) return;
    const members = stack.splice(stack.indexOf(path));
    members.forEach((member) => onStack.delete(member));
    if (members.length > 1) found.push(`${members.sort().join(", ")} import each other`);
  };
  for (const path of graph.keys()) if (!index.has(path)) visit(path);
  return found;
}

/** Ways from objectives and data, their types aside, to TF.js: the first of each file, as a chain. */
export function tfjsReached(graph: Graph): string[] {
  const found: string[] = [];
  for (const { path } of graph.values()) {
    if (!/^lib\/(objectives|data|hub|runtime)\//.test(path)) continue;
    const from = new Map<string, string>(), waiting = [path];
    search:
    for (const at of waiting) {
      for (const { target, types } of graph.get(at)?.imports ?? []) {
        if (types || from.has(target)) continue;
        from.set(target, at);
        if (target.startsWith("@tensorflow/")) {
          const chain = [target];
          while (chain[0] !== path) chain.unshift(from.get(chain[0]!)!);
          found.push(chain.join(" → "));
          break search;
        }
        waiting.push(target);
      }
    }
  }
  return found;
}

/** Places that name a runtime, write to the console, read back synchronously or evaluate text where they may not. */
export function forbiddenWords(graph: Graph): string[] {
  const found: string[] = [];
  for (const { path, text, imports } of graph.values()) {
    if (path.startsWith("lib/kernels/built/")) continue;
    const code = codeOf(text), room = roomOf(path);
    const say = (what: string) => found.push(`${path} ${what}`);
    if (!runtimeRooms.includes(room)) {
      if (/\b(Deno|Bun|process)\s*[.?[]/.test(code)) say("names a runtime");
      if (imports.some(({ target }) => target === "node:process")) say("imports node:process");
      if (/\bconsole\./.test(code)) say("writes to the console");
    }
    if (/\.(dataSync|arraySync)\(/.test(code)) say("reads back synchronously");
    if (/\beval\(|new Function\(/.test(code)) say("evaluates text");
  }
  return found;
}

/** Every rule by its name. */
export const rules: Readonly<Record<string, (graph: Graph) => string[]>> = {
  "imports go where the table of rooms allows": brokenWalls,
  "no file imports itself by way of others": circles,
  "TF.js cannot be reached from objectives and data": tfjsReached,
  "runtimes, console, synchronous reads and evaluation of text stay where they belong": forbiddenWords,
};
