/** The archive of `npm pack`, installed in an empty folder and run by Node 22, Bun and Deno: `test:full` alone. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { before, test } from "node:test";
import manifest from "../../package.json" with { type: "json" };
import { at, root } from "../_commands.ts";

// It starts all three runtimes itself: one of them is enough to run it.
const skip = !("Deno" in globalThis) && "runs under Deno, and starts the others";

/** Runs a program to its end; its standard output. Fails with what it said when it fails. */
async function output(cwd: string, words: readonly string[]): Promise<string> {
  const [program, ...args] = words;
  const env = {
    ...process.env,
    NO_COLOR: "1",
    XDG_RUNTIME_DIR: "/tmp",
    AFT_BLAS: "none",
    DENO_NO_UPDATE_CHECK: "1",
  };
  const child = spawn(program!, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  let out = "", err = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => out += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => err += text);
  const code = await new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
  assert.equal(code, 0, `${words.join(" ")}: ${out}${err}`);
  return out;
}

/** A new folder with these files. */
function folderOf(name: string, files: Readonly<Record<string, string>>): string {
  const folder = at(name);
  mkdirSync(folder, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);
  return folder;
}

const name = manifest.name;
const align = [
  "align",
  "--limit",
  "4",
  "--test-limit",
  "2",
  "--backend",
  "wasm",
  "--seed",
  "0",
  "--quiet",
  "--out",
  "r",
];
/** Every sub-path, a declaration of each, and a worker (Parquet is read in one). */
const program = (from: string, parquet: string) =>
  `import { findObjective } from "${from}";
import { objectives } from "${from}/objectives";
import { loadDataset } from "${from}/data";
import { align, embeddedBase } from "${from}/pipeline";
import { study } from "${from}/study";
import { toTfjs } from "${from}/tfjs";

const kinds: string[] = [align, study, toTfjs, findObjective].map((one) => typeof one);
const rows = await Array.fromAsync(loadDataset(${JSON.stringify(parquet)}));
console.log(kinds.join(), Object.keys(objectives).length > 5, rows.length, (await embeddedBase()).endsWith("base"));
`;
const expected = "function,function,function,function true 2 true\n";

let archive = "", parquet = "";
before(async () => {
  if (skip) return;
  mkdirSync(at("pack"), { recursive: true });
  await output(root, ["npm", "pack", "--pack-destination", at("pack")]);
  archive = join(at("pack"), `${name.slice(1).replace("/", "-")}-${manifest.version}.tgz`);
  const { parquetWriteBuffer } = await import("hyparquet-writer");
  parquet = at("rows.parquet");
  const column = (name: string, data: string[]) => ({ name, data, type: "STRING" as const });
  const buffer = parquetWriteBuffer({
    columnData: [column("question", ["1+1?", "2+2?"]), column("answer", ["#### 2", "#### 4"])],
  });
  writeFileSync(parquet, new Uint8Array(buffer));
});

/**
 * The rows of align's table: the same whatever ran it, figures to a ten-thousandth. An engine that has no instruction for
 * fused multiplications rounds products once more, and exponentials are each engine's own.
 */
const results = new Map<string, readonly Readonly<Record<string, unknown>>[]>();
function keep(runtime: string, folder: string): void {
  const { rows } = JSON.parse(readFileSync(join(folder, "r/results.json"), "utf8"));
  assert.equal(rows.length, 5);
  results.set(runtime, rows);
  for (const [other, found] of results) {
    found.forEach((row, i) => {
      assert.deepEqual(Object.keys(rows[i]), Object.keys(row), `${runtime} and ${other}`);
      for (const [key, value] of Object.entries(row)) {
        const own = rows[i][key],
          near = typeof value === "number" && Math.abs(own - value) <= 1e-4 * Math.abs(value);
        assert.ok(near || own === value, `${row.name}, ${key}: ${own} in ${runtime}, ${value} in ${other}`);
      }
    });
  }
}

test(
  "Node 22: npm install, the command, the sub-paths, and types without an error of ours",
  { skip },
  async () => {
    const folder = folderOf("node", {
      "package.json": '{ "type": "module" }',
      "main.mts": program(name, parquet),
    });
    await output(folder, ["npm", "install", "--no-audit", "--no-fund", archive]);
    const node = (await output(folder, ["npx", "-y", "node@22", "-p", "process.execPath"])).trim();
    const aft = [node, "node_modules/.bin/aft"];
    assert.match(await output(folder, [...aft, "--version"]), /^@aft\S+ \d+\.\d+\.\d+ \(node 22\./);
    assert.match(await output(folder, [...aft, "doctor"]), /^BLAS +none: /m);
    await output(folder, [...aft, ...align]);
    keep("Node", folder);
    assert.equal(
      await output(folder, [node, "--experimental-strip-types", "--no-warnings", "main.mts"]),
      expected,
    );

    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: {
          strict: true,
          module: "nodenext",
          target: "esnext",
          lib: ["esnext", "dom"],
          noEmit: true,
          types: ["node"],
          typeRoots: [join(root, "node_modules/@types")],
        },
        files: ["main.mts"],
      }),
    );
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    // Other packages' declarations may have errors of their own.
    const said = await output(folder, ["sh", "-c", `"${node}" "${tsc}" || true`]);
    assert.deepEqual(said.split("\n").filter((line) => /^(main|node_modules\/@aft)/.test(line)), []);
  },
);

test("Bun: bun add, the command, the sub-paths", { skip }, async () => {
  const folder = folderOf("bun", {
    "package.json": '{ "type": "module" }',
    "main.ts": program(name, parquet),
  });
  const bun = (await output(folder, ["npx", "-y", "bun@1.4.5", "-p", "process.execPath"])).trim();
  await output(folder, [bun, "add", archive]);
  const aft = [bun, "run", "--bun", "aft"];
  assert.match(await output(folder, [...aft, "--version"]), /^@aft\S+ \d+\.\d+\.\d+ \(bun 1\./);
  await output(folder, [...aft, ...align]);
  keep("Bun", folder);
  assert.equal(await output(folder, [bun, "main.ts"]), expected);
});

test(
  "Deno: npm: from a registry that has the archive, the command, the sub-paths, types",
  { skip },
  async () => {
    const bytes = readFileSync(archive), hash = (kind: string) => createHash(kind).update(bytes);
    const server = createServer((request, response) => {
      if (request.url!.endsWith(".tgz")) return void response.end(bytes);
      const { port } = server.address() as AddressInfo;
      const dist = {
        tarball: `http://127.0.0.1:${port}/archive.tgz`,
        shasum: hash("sha1").digest("hex"),
        integrity: `sha512-${hash("sha512").digest("base64")}`,
      };
      const { name, version } = manifest;
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({
        name,
        "dist-tags": { latest: version },
        versions: { [version]: { ...manifest, dist } },
      }));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const { port } = server.address() as AddressInfo, specifier = `npm:${name}@${manifest.version}`;
      const folder = folderOf("deno", {
        "deno.json": JSON.stringify({
          imports: { aft: specifier, "aft/": `${specifier.replace("npm:", "npm:/")}/` },
        }),
        ".npmrc": `@aft:registry=http://127.0.0.1:${port}/\n`,
        "main.ts": program("aft", parquet),
      });
      // The version is not always a new one: what was had of it before is not looked at.
      const deno = ["env", `DENO_DIR=${at("deno-cache")}`, process.execPath, "run", "-q", "-A"];
      assert.match(
        await output(folder, [...deno, specifier, "--version"]),
        /^@aft\S+ \d+\.\d+\.\d+ \(deno 2\./,
      );
      await output(folder, [...deno, specifier, ...align]);
      keep("Deno", folder);
      assert.equal(await output(folder, [...deno, "--check", "main.ts"]), expected);
    } finally {
      server.close();
    }
  },
);
