/** ggml's kernels beside ours: what they give is the same product, and what is wrong is said in a line. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { openGgml } from "../../bench/_ggml.ts";
import { factors } from "../../bench/_products.ts";
import { run } from "../_commands.ts";

const onDeno = "Deno" in globalThis;

test("a folder that is not there, one without a library, and no number of threads are refused in a line", async () => {
  const folder = mkdtempSync(join(tmpdir(), "ggml-"));
  try {
    writeFileSync(join(folder, "libggml-cpu-haswell.so"), "no library");
    const cases: [string[], RegExp][] = [
      [[], /^Usage: deno run -A bench\/ggml\.ts FOLDER \[THREADS\], .*\n$/],
      [[folder, "0"], /^Usage: .*\n$/],
      [[folder, "two"], /^Usage: .*\n$/],
      [
        [join(folder, "none")],
        onDeno ? /^Cannot read the folder .*none: expected .*\n$/ : /: expected Deno.*\n$/,
      ],
      [[folder], onDeno ? /^No library of .* serves this processor: expected .*\n$/ : /: expected Deno.*\n$/],
    ];
    for (const [words, message] of cases) {
      const { code, out, err } = await run("bench/ggml.ts", words);
      assert.equal(code, 2, err);
      assert.equal(out, "");
      assert.match(err, message);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

const libraries = process.env.AFT_GGML ?? "";

test("every kind and layout of ggml's weights gives the product, as exact as its weights", {
  skip: onDeno && libraries !== ""
    ? false
    : "AFT_GGML names no folder of ggml's libraries, or this is not Deno",
}, () => {
  const given = factors({ n: 64, k: 96 }, { rows: 5, copies: 2 }),
    found = openGgml(libraries, 1).products(given)(5);
  for (const [name, { once, y }] of Object.entries(found)) {
    once(0);
    let error = 0, size = 0;
    y().forEach((value, i) => {
      const row = Math.floor(i / 64), column = i % 64;
      let exact = 0;
      for (let p = 0; p < 96; p++) exact += given.x[row * 96 + p]! * given.wide[column * 96 + p]!;
      error += (value - exact) ** 2;
      size += exact ** 2;
    });
    const limit = name.startsWith("ggml f32") ? 1e-6 : name.startsWith("ggml q8_0") ? 0.02 : 0.2;
    assert.ok(Math.sqrt(error / size) < limit, `${name}: ${Math.sqrt(error / size)}`);
  }
  assert.ok("ggml f32" in found && "ggml q8_0" in found && "ggml q4_0" in found);
});
