/** The walls of the house, from the graph of its modules: `test/house/_rules.ts` has the table of rooms. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { graphOf, readSources } from "./house/_graph.ts";
import { roomOf, rooms, rules } from "./house/_rules.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const sources = readSources(root), graph = graphOf(sources);

test("there is something to check: every room has files, and most files import", () => {
  assert.ok(graph.size > 200, `${graph.size} files`);
  const found = new Set([...graph.keys()].map(roomOf));
  for (const room of Object.keys(rooms)) {
    assert.ok(room === "examples" || found.has(room), `${room} is empty`);
  }
  const importing = [...graph.values()].filter(({ imports }) => imports.length > 0).length;
  assert.ok(importing > graph.size * 0.7, `${importing} of ${graph.size} files import`);
});

for (const [name, rule] of Object.entries(rules)) test(name, () => assert.deepEqual(rule(graph), []));

/** A leak, and the rule that must find it. */
const leaks: readonly { readonly path: string; readonly adds: string; readonly finds: RegExp }[] = [
  {
    path: "lib/data/jsonl.ts",
    adds: 'import { loadModel } from "../model/load_model.ts";',
    finds: /lib\/data\/jsonl\.ts imports lib\/model\/load_model\.ts: lib\/data may not/,
  },
  {
    path: "lib/objectives/vft.ts",
    adds: 'import type { Model } from "../model/model.ts";',
    finds: /lib\/objectives\/vft\.ts imports lib\/model\/model\.ts/,
  },
  {
    path: "lib/kernels/swiglu.ts",
    adds: 'import { train } from "../train/trainer.ts";',
    finds: /lib\/kernels\/swiglu\.ts imports lib\/train\/trainer\.ts/,
  },
  {
    path: "lib/evaluate/summary.ts",
    adds: 'export { train } from "../train/trainer.ts";',
    finds: /lib\/evaluate\/summary\.ts imports lib\/train/,
  },
  {
    path: "lib/pipeline/align.ts",
    adds: 'const progress = await import("../../tasks/cli/progress.ts");',
    finds: /lib\/pipeline\/align\.ts imports tasks\/cli\/progress\.ts/,
  },
  {
    path: "lib/runtime/errors.ts",
    adds: 'import { readRows } from "../data/row_files.ts";',
    finds: /lib\/runtime\/errors\.ts imports lib\/data/,
  },
  { path: "lib/rooms/new.ts", adds: "export const x = 1;", finds: /lies in a folder that is no room/ },
  {
    path: "lib/data/where.ts",
    adds: 'import "./gone.ts";',
    finds: /imports lib\/data\/gone\.ts, which is not there/,
  },
  {
    path: "lib/objectives/_stable.ts",
    adds: 'import type { Objective } from "./objectives.ts";',
    finds: /lib\/objectives\/_stable\.ts.* import each other/,
  },
  { path: "lib/data/where.ts", adds: 'import "./where.ts";', finds: /lib\/data\/where\.ts imports itself/ },
  {
    path: "lib/data/where.ts",
    adds: 'import * as tf from "@tensorflow/tfjs";',
    finds: /lib\/data\/jsonl\.ts → .*@tensorflow\/tfjs/,
  },
  {
    path: "lib/data/row_files.ts",
    adds: 'import { upload } from "../backend/tensors.ts";',
    finds: /lib\/data\/row_files\.ts/,
  },
  {
    path: "lib/data/row_files.ts",
    adds: 'new Worker(new URL("../train/trainer.ts", import.meta.url));',
    finds: /lib\/data\/row_files\.ts imports lib\/train\/trainer\.ts/,
  },
  { path: "lib/model/model.ts", adds: "const home = Deno.env;", finds: /model\.ts names a runtime/ },
  { path: "lib/model/model.ts", adds: "if (process.argv) {}", finds: /model\.ts names a runtime/ },
  { path: "lib/train/step.ts", adds: 'import process from "node:process";', finds: /imports node:process/ },
  { path: "lib/train/step.ts", adds: "console.log(1);", finds: /writes to the console/ },
  { path: "tasks/vft.ts", adds: "tensor.dataSync();", finds: /reads back synchronously/ },
  { path: "tasks/vft.ts", adds: 'eval("1");', finds: /evaluates text/ },
];

test("a leak of each kind, planted, is found", () => {
  for (const { path, adds, finds } of leaks) {
    const leaking = new Map(sources).set(path, `${sources.get(path) ?? ""}\n${adds}\n`);
    const found = Object.values(rules).flatMap((rule) => rule(graphOf(leaking)));
    assert.ok(
      found.some((line) => finds.test(line)),
      `${path} with ${adds} was not found: ${found.join("; ")}`,
    );
  }
});

test("what stands in comments and strings is no leak", () => {
  const text = sources.get("lib/data/where.ts")!;
  const harmless = '/** import { x } from "../model/model.ts"; console.log(Deno.args) */\n' +
    '// import "../train/trainer.ts";\nexport const hint = "process.exit(1) // eval(";\n';
  const graph = graphOf(new Map(sources).set("lib/data/where.ts", `${text}\n${harmless}`));
  for (const rule of Object.values(rules)) assert.deepEqual(rule(graph), []);
});

test("every version is pinned exactly, and deno.json maps the packages of package.json to the same ones", () => {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const { imports } = JSON.parse(readFileSync(join(root, "deno.json"), "utf8"));
  const pinned: Record<string, string> = {};
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
    assert.match(version as string, /^\d+\.\d+\.\d+$/, name);
    pinned[name] = `npm:${name}@${version}`;
  }
  for (const [name, target] of Object.entries(imports)) {
    const [, packageName, path = ""] = name.match(/^((?:@[^/]+\/)?[^/]+)(\/.+)?$/)!;
    assert.equal(target, `${pinned[packageName!]}${path}`, name);
  }
  for (const name of Object.keys(pinned)) assert.ok(name in imports, `deno.json lacks ${name}`);
});
