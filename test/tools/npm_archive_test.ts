/** What `npm pack` packs: everything that it names, and nothing else. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import manifest from "../../package.json" with { type: "json" };
import { root } from "../_commands.ts";
import { rewriteSpecifiers, withoutDoubles } from "../../tools/_npm_modules.ts";

const npm = spawnSync("npm", ["--version"]).status === 0;

/** The archive's files with their bytes; builds it. */
function packed(): Map<string, number> {
  const words = "Deno" in globalThis ? ["run", "-A", "tools/build_npm.ts"] : ["tools/build_npm.ts"];
  const built = spawnSync(process.execPath, words, { cwd: root, encoding: "utf8" });
  assert.equal(built.status, 0, built.stderr);
  const asked = ["pack", "--dry-run", "--json", "--ignore-scripts"];
  const { stdout } = spawnSync("npm", asked, { cwd: root, encoding: "utf8" });
  const [{ files }] = Object.values(JSON.parse(stdout)) as {
    files: { path: string; size: number }[];
  }[];
  return new Map(files.map(({ path, size }) => [path, size]));
}

test(
  "the archive has what its package.json names, each module its imports, and no tests",
  { skip: !npm },
  () => {
    const files = packed(), bytes = [...files.values()].reduce((a, b) => a + b, 0);
    console.log(`${files.size} files, ${(bytes / 2 ** 20).toFixed(1)} MiB unpacked`);
    assert.ok(bytes < 4 * 2 ** 20, `${bytes} bytes`);
    for (const path of files.keys()) {
      assert.match(
        path,
        /^(dist\/.*\.(js|d\.ts|json|safetensors)|README\.md|CHANGELOG\.md|LICENSE|package\.json)$/,
      );
      assert.doesNotMatch(path, /test|bench|tools|assembly\//);
    }
    const named = Object.values(manifest.exports).flatMap(({ types, default: script }) => [types, script]);
    for (const path of [...named, ...Object.values(manifest.bin), "dist/fixtures/base/model.safetensors"]) {
      assert.ok(files.has(path.replace("./", "")), path);
    }
    let imports = 0;
    for (const path of files.keys()) {
      if (!/\.(js|d\.ts)$/.test(path)) continue;
      const text = readFileSync(join(root, path), "utf8");
      assert.deepEqual(rewriteSpecifiers(path, text).names, [], path);
      for (
        const [, name] of text.matchAll(/^(?!\s*\*).*\b(?:from|import\(|import|URL\()\s*"(\.\.?\/[^"]+)"/gm)
      ) {
        assert.ok(existsSync(join(root, dirname(path), name!)), `${path} names ${name}`);
        const found = join(dirname(path), name!).replaceAll("\\", "/");
        assert.ok(files.has(found) || found === "dist/fixtures/base", `${path} names ${found}`);
        imports++;
      }
    }
    assert.ok(imports > 800, `${imports} imports`);
    for (const path of Object.values(manifest.bin)) {
      assert.match(readFileSync(join(root, path), "utf8"), /^#!\/usr\/bin\/env node\n/);
    }
  },
);

test("names of TypeScript modules become those of scripts, whatever names them; texts and packages stay", () => {
  const text =
    `import a from "./a.ts"; export * from '../b/c.ts'; import "./d.ts"; import type { E } from "./e.ts";
const f = await import("./f.ts"), g = new Worker(new URL("./g.ts", import.meta.url)), h: import("./h.ts").H = 1;
const i = "./i.ts", j = 'import "./j.ts"'; import k from "k.ts"; import l from "./l.json"; // from "./m.ts"
`;
  const { text: built, names } = rewriteSpecifiers("x.ts", text);
  assert.deepEqual(names.sort(), ["../b/c.ts", "./a.ts", "./d.ts", "./e.ts", "./f.ts", "./g.ts", "./h.ts"]);
  assert.equal(
    built,
    text.replace(/(\.\.?\/(?:b\/)?[a-h])\.ts|(.)$/gm, (whole, name) => name ? `${name}.js` : whole),
  );
});

test("a class of declarations has each member once", () => {
  const method = "\n    [Symbol.dispose](): void;", double = "\n    [Symbol.dispose]: () => void;";
  const declared = (...members: string[]) => `export declare class A {${members.join("")}\n}\n`;
  const size = "\n    readonly size: number;";
  assert.equal(withoutDoubles("a.d.ts", declared(double, size, method)), declared(size, method));
  assert.equal(withoutDoubles("a.d.ts", declared(double, size)), declared(double, size));
});
