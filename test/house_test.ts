/** The walls of the house: imports point one way, and each room holds only what belongs there. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const floors: Readonly<Record<string, number>> = {
  "lib/runtime": 0,
  "lib/backend": 1,
  "lib/kernels": 2,
  "lib/model": 3,
  "lib/objectives": 3,
  "lib/data": 3,
  "lib/train": 4,
  "lib/evaluate": 4,
  "lib/report": 4,
  "tasks": 5,
};

const files = Object.keys(floors).flatMap((room) =>
  readdirSync(join(root, room)).filter((f) => f.endsWith(".ts") && !f.endsWith(".wasm.ts")).map((f) =>
    `${room}/${f}`
  )
);
const sourceOf = (path: string) => readFileSync(join(root, path), "utf8");
/** The source without comments and the text of strings, which may name anything. */
const codeOf = (path: string) =>
  sourceOf(path).replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "").replace(
    /"(?:[^"\\\n]|\\.)*"/g,
    '""',
  );
const importsOf = (path: string) =>
  [...sourceOf(path).matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map((m) => m[1]);
const roomOf = (path: string) => path.startsWith("tasks/") ? "tasks" : path.split("/").slice(0, 2).join("/");

test("there is something to check", () => assert.ok(files.length > 80, `${files.length} files`));

test("imports point one way: tasks, train|evaluate|report, model|objectives|data, kernels, backend, runtime", () => {
  for (const path of files) {
    for (const target of importsOf(path).filter((t) => t.startsWith("."))) {
      const to = relative(root, resolve(root, dirname(path), target));
      if (to === "package.json") continue;
      const room = roomOf(to);
      assert.ok(room in floors, `${path} imports ${to}, which is in no room`);
      assert.ok(floors[room] <= floors[roomOf(path)], `${path} imports ${to}, which lies above it`);
    }
  }
});

test("objectives and data know no TF.js", () => {
  for (const path of files.filter((f) => /^lib\/(objectives|data)\//.test(f))) {
    assert.ok(!importsOf(path).some((i) => i.includes("@tensorflow")), path);
  }
});

test("only lib/runtime and tasks name Deno, Bun or process", () => {
  for (const path of files.filter((f) => f.startsWith("lib/") && !f.startsWith("lib/runtime/"))) {
    assert.doesNotMatch(codeOf(path), /\b(Deno|Bun|process)\s*[.?[]/, path);
    assert.ok(!importsOf(path).includes("node:process"), path);
  }
});

test("no synchronous readback, no console, no evaluation of text in lib and tasks", () => {
  for (const path of files) {
    assert.doesNotMatch(codeOf(path), /\.(dataSync|arraySync)\(/, path);
    if (path.startsWith("lib/")) assert.doesNotMatch(codeOf(path), /\bconsole\./, path);
    assert.doesNotMatch(codeOf(path), /\beval\(|new Function\(/, path);
  }
});

test("every version is pinned exactly", () => {
  const { dependencies, devDependencies } = JSON.parse(sourceOf("package.json"));
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
    assert.match(version as string, /^\d+\.\d+\.\d+$/, name);
  }
});
