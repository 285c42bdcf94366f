/** A program in a folder of its own imports the library in the ways that README.md names. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { at, root } from "../_commands.ts";

const program = (from: string) =>
  `import { findObjective } from ${JSON.stringify(from)};
console.log(findObjective("aft").name);
`;
const readme = readFileSync(join(root, "README.md"), "utf8");

/** Runs `main.ts` in a new folder that holds these files; what it prints. */
function runIn(name: string, files: Readonly<Record<string, string>>): string {
  const folder = at(name);
  mkdirSync(folder, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);
  const words = "Deno" in globalThis ? ["run", "-A", "--no-check", "main.ts"] : ["main.ts"];
  const result = spawnSync(process.execPath, words, { cwd: folder, encoding: "utf8" });
  assert.equal(result.status, 0, result.stderr);
  return result.stdout;
}

test("by path: Bun as it is, Deno with this project's import map", () => {
  const here = relative(at("path"), root).replace(/\/$/, "");
  assert.ok(readme.includes('"importMap": "../aft/deno.json"'));
  const main = program(`${here}/mod.ts`);
  const config = JSON.stringify({ importMap: `${here}/deno.json` });
  assert.equal(runIn("path", { "main.ts": main, "deno.json": config }), "aft\n");
});

const deno = "Deno" in globalThis;
test("by name: Deno's links", { skip: !deno && "links are Deno's" }, () => {
  assert.ok(readme.includes('"links": ["../aft"]'));
  const main = program("aft/objectives");
  const config = JSON.stringify({
    links: [relative(at("links"), root).replace(/\/$/, "")],
    imports: { "aft/": "jsr:/@aft/alignment-fine-tuning@0/" },
  });
  assert.equal(runIn("links", { "main.ts": main, "deno.json": config }), "aft\n");
});

test("as a member of a workspace, by its name: Deno", { skip: !deno && "Deno's workspaces" }, () => {
  const folder = at("workspace");
  mkdirSync(join(folder, "mine"), { recursive: true });
  symlinkSync(root, join(folder, "aft"));
  // The versions of this project, which are there: others would be asked for.
  copyFileSync(join(root, "deno.lock"), join(folder, "deno.lock"));
  const config = JSON.stringify({ workspace: ["./aft", "./mine"], nodeModulesDir: "none" });
  writeFileSync(join(folder, "deno.json"), config);
  const member = JSON.stringify({ name: "@me/mine", version: "0.1.0", exports: "./main.ts" });
  const main = program("@aft/alignment-fine-tuning/objectives");
  assert.equal(runIn("workspace/mine", { "deno.json": member, "main.ts": main }), "aft\n");
});
