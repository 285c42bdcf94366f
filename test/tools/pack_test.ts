/** What `deno task pack` packs, and how; that it runs is test/tools/pack_run_test.ts. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { lstatSync, mkdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path/posix";
import process from "node:process";
import { test } from "node:test";
import { packedConfiguration, packedEntries } from "../../tools/_packed.ts";
import { type Entry, tar } from "../../tools/_tar.ts";
import { at, root, run, write } from "../_commands.ts";

const platform = { system: "linux", processor: "x64" };
const entries = await packedEntries(root, { deno: process.execPath, platform });
const paths = new Set(entries.map(({ path }) => path));

/** The whole content of a file of the archive. */
async function contentOf(entry: Entry): Promise<string> {
  let content = "";
  const decoder = new TextDecoder();
  if ("bytes" in entry) {
    for await (const piece of entry.bytes) content += decoder.decode(piece, { stream: true });
  }
  return content;
}

test("the archive has what runs, each path once, and what only developers need stays out", () => {
  const named = [
    "aft",
    "deno",
    "deno.json",
    "package.json",
    "LICENSE",
    "mod.ts",
    "tasks/aft.ts",
    "docs/recipe.md",
  ];
  for (const path of [...named, "fixtures/base/model.safetensors"]) assert.ok(paths.has(path), path);
  assert.equal(paths.size, entries.length);
  assert.deepEqual(entries.map(({ path }) => path), [...paths].sort());
  for (const path of paths) {
    assert.doesNotMatch(
      path,
      /^(test|bench|tools|runs|dist|\.git|\.ci)\/|assembly\/|\.map$|\.d\.ts$|\.lock$|package-lock/,
    );
    assert.doesNotMatch(path, /node_modules\/\.deno\/(typescript|assemblyscript|binaryen|bun-types)@/);
    assert.doesNotMatch(path, /webgpu\/dist\/(win32|darwin|linux-arm64)/);
  }
  assert.ok([...paths].some((path) => /webgpu\/dist\/linux-x64\/.*\.node$/.test(path)));
  const executable = entries.filter((entry) => "executable" in entry && entry.executable);
  assert.deepEqual(executable.map(({ path }) => path), ["aft", "deno"]);
  const bytes = entries.reduce(
    (sum, entry) => sum + ("size" in entry && entry.path !== "deno" ? entry.size : 0),
    0,
  );
  assert.ok(bytes < 300e6, `${bytes} bytes beside the runtime`);
});

test("a link leads to what is packed, and a module's imports are there", () => {
  const folders = new Set([...paths].flatMap((path) => {
    const above: string[] = [];
    for (let folder = dirname(path); folder !== "."; folder = dirname(folder)) above.push(folder);
    return above;
  }));
  let links = 0, imports = 0;
  for (const entry of entries) {
    if ("link" in entry) {
      links++;
      const target = normalize(join(dirname(entry.path), entry.link));
      assert.ok(folders.has(target) || paths.has(target), `${entry.path} leads to ${entry.link}`);
      continue;
    }
    if (!/^(mod\.ts|(lib|tasks)\/.*\.ts)$/.test(entry.path)) continue;
    const source = readFileSync(join(root, entry.path), "utf8");
    for (
      const [, name] of source.matchAll(/^(?!\s*\*).*\b(?:from|import\(|import|URL\()\s*"(\.\.?\/[^"]+)"/gm)
    ) {
      imports++;
      const target = normalize(join(dirname(entry.path), name!));
      assert.ok(paths.has(target) || folders.has(target.replace(/\/$/, "")), `${entry.path} imports ${name}`);
    }
  }
  assert.ok(links > 100 && imports > 800, `${links} links, ${imports} imports`);
  const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  for (const name of Object.keys(dependencies)) assert.ok(paths.has(`node_modules/${name}`), name);
});

test("deno.json names packed tasks alone, takes packages as they lie there, and keeps permissions", () => {
  const text = readFileSync(join(root, "deno.json"), "utf8");
  const packed = JSON.parse(packedConfiguration(text)), original = JSON.parse(text);
  assert.equal(packed.nodeModulesDir, "manual");
  assert.deepEqual([packed.imports, packed.permissions], [original.imports, original.permissions]);
  for (const task of ["align", "vft", "generate", "merge-shards", "doctor"]) {
    assert.deepEqual(packed.tasks[task], original.tasks[task]);
  }
  for (const task of ["test", "bench", "ok", "pack", "make-base", "build:npm"]) {
    assert.ok(!(task in packed.tasks), task);
  }
});

test("no path of this machine, no registry's address in what is ours; a package's own links stay inside", async () => {
  const registry = process.env.npm_config_registry?.replace(/^\w+:\/\//, "").replace(/\/.*$/, "");
  let looked = 0;
  for (const entry of entries) {
    if ("link" in entry) {
      assert.doesNotMatch(entry.link, /^\/|^\w:/);
      continue;
    }
    if (entry.path.startsWith("node_modules/") || !/^aft$|\.(ts|md|json|js)$/.test(entry.path)) continue;
    looked++;
    const content = await contentOf(entry);
    for (const place of [root.replace(/\/$/, ""), process.env.HOME, registry]) {
      assert.doesNotMatch(content, /\/\/registry\./, entry.path);
      if (place && place.length > 5) assert.ok(!content.includes(place), `${entry.path} says ${place}`);
    }
  }
  assert.ok(looked > 300, `${looked} files`);
});

const hasTar = spawnSync("tar", ["--version"]).status === 0;

test("tar unpacks what was packed: long paths, links, rights; the same files are the same bytes", {
  skip: !hasTar,
}, async () => {
  const long = `folder/${"deep/".repeat(30)}file-${"x".repeat(80)}.txt`;
  const content = new TextEncoder().encode("text ä\n".repeat(300));
  const pieces = async function* (...all: Uint8Array[]) {
    yield* all;
  };
  const packed = (): Entry[] => [
    { path: "run", size: 3, bytes: pieces(content.subarray(0, 1), content.subarray(1, 3)), executable: true },
    { path: "empty", size: 0, bytes: pieces() },
    { path: long, size: content.length, bytes: pieces(content) },
    { path: "link", link: "folder/deep" },
  ];
  const whole = async (all: Entry[]) => {
    const parts: Uint8Array[] = [];
    for await (const piece of tar(all)) parts.push(piece);
    return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
  };
  const bytes = await whole(packed());
  assert.deepEqual(await whole(packed()), bytes);
  assert.equal(bytes.length % 512, 0);
  const archive = at("a.tar"), folder = at("unpacked");
  writeFileSync(archive, bytes);
  mkdirSync(folder);
  const { status, stderr } = spawnSync("tar", ["xf", archive, "-C", folder], { encoding: "utf8" });
  assert.deepEqual([status, stderr], [0, ""]);
  assert.deepEqual(new Uint8Array(readFileSync(join(folder, long))), content);
  assert.equal(readFileSync(join(folder, "run"), "utf8"), "tex");
  assert.equal(statSync(join(folder, "empty")).size, 0);
  assert.equal(statSync(join(folder, "run")).mode & 0o111, 0o111);
  assert.equal(statSync(join(folder, long)).mode & 0o111, 0);
  assert.ok(lstatSync(join(folder, "link")).isSymbolicLink());
  assert.equal(readlinkSync(join(folder, "link")), "folder/deep");
  await assert.rejects(whole([{ path: "x".repeat(101), link: "y" }]), /^RangeError: .* is too long$/);
  await assert.rejects(
    whole([{ path: "x", size: 4, bytes: pieces(content.subarray(0, 3)) }]),
    /changed while it was packed: 3 bytes, not 4$/,
  );
});

test("what cannot be is refused in one line", { skip: !("Deno" in globalThis) }, async () => {
  const there = write("there.tar.gz", "mine");
  const cases: [args: string[], line: RegExp][] = [
    [[], /^pack: Missing option --out FILE: see --help\n$/],
    [["--out", "aft.zip"], /^pack: Option --out must end in \.tar\.gz or \.tgz: got "aft\.zip"\n$/],
    [
      ["--out", there],
      /^pack: Cannot write \S+there\.tar\.gz: it already exists; use --overwrite or another --out\n$/,
    ],
  ];
  for (const [args, line] of cases) {
    const refused = await run("tools/pack.ts", args);
    assert.deepEqual([refused.code, refused.out], [2, ""]);
    assert.match(refused.err, line);
  }
  assert.equal(readFileSync(there, "utf8"), "mine");
});
