import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import type { WebgpuDevice } from "../../lib/backend/device.ts";
import { profile } from "../../lib/backend/profile.ts";
import { read } from "../../lib/backend/tensors.ts";
import { findAdapter } from "../../lib/backend/webgpu.ts";
import { gemmOfParts } from "../../lib/kernels/product/_gemm.ts";
import { linear } from "../../lib/kernels/product/linear.ts";
import { matmul } from "../../lib/kernels/product/matmul.ts";
import { readTable, tableKey, tablePath, writeTable } from "../../lib/kernels/product/tile_table.ts";
import { tuneDevice } from "../../lib/kernels/product/tuned_device.ts";
import { agrees, tuneProducts } from "../../lib/kernels/product/tune.ts";
import { type Cut, cutOf, cutsInUse, productKinds, useCuts } from "../../lib/kernels/product/tiles.ts";
import { assertClose, assertNoLeak, gaussian, upload, useDevice } from "../_backends.ts";

const { adapter } = await findAdapter();
const skip = adapter ? false : "no WebGPU adapter on this machine";
const onGpu = (name: string, body: (device: WebgpuDevice) => Promise<void>) =>
  test(name, { skip, timeout: 120_000 }, async () => {
    const device = await useDevice("webgpu") as WebgpuDevice;
    try {
      await body(device);
    } finally {
      useCuts(device, new Map());
    }
  });

/** Runs with a cache folder of its own. */
async function inCache(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "aft-tiles-")), before = process.env.AFT_CACHE;
  process.env.AFT_CACHE = folder;
  try {
    await body(folder);
  } finally {
    if (before === undefined) delete process.env.AFT_CACHE;
    else process.env.AFT_CACHE = before;
    await rm(folder, { recursive: true });
  }
}

const cut = (tileM: number, tileN: number, blockM: number, blockN: number, fill = 0): Cut => ({
  ...{ tileM, tileN, blockM, blockN, fill },
});

test("a product is of one kind at most, and each kind's typical one is of it", () => {
  for (const kind of productKinds) {
    for (const isCpu of [false, true]) {
      const sizes = kind.typical(isCpu);
      assert.deepEqual(productKinds.filter((one) => one.has(sizes)).map(({ name }) => name), [kind.name]);
    }
    for (const { tileM, tileN, blockM, blockN } of kind.tiles) { // what every adapter allows
      const threads = tileM / blockM * tileN / blockN;
      assert.ok(Number.isInteger(threads) && threads <= 256, `${kind.name} ${tileM}×${tileN}`);
      assert.ok(blockM % 4 === 0 && blockN % 4 === 0);
    }
  }
});

onGpu(
  "sums that are cut along k agree with float64: set, added, with a bias, inside larger matrices",
  async (device) => {
    useCuts(device, new Map([["one row", cut(8, 128, 8, 4, 1024)], ["dw", cut(64, 64, 8, 8, 64)]]));
    await assertNoLeak(async () => {
      const [n, k] = [130, 515], xs = gaussian(k, 1), ws = gaussian(n * k, 2), bs = gaussian(n, 3);
      const x = upload(xs, [1, k]), w = upload(ws, [n, k]), bias = upload(bs, [n]), into = upload(bs, [1, n]);
      const want = bs.map((b, j) => xs.reduce((sum, value, i) => sum + value * ws[j * k + i], b));
      profile.reset();
      const y = linear(x, w, bias);
      assert.equal(profile.launches.get("gemm_parts_bias"), 1); // it was cut
      assertClose(await read(y), want, 2e-6, "bias");
      matmul(x, w, { transposeB: true, into });
      assertClose(await read(into), want, 2e-6, "added");
      [x, w, bias, into, y].forEach((t) => t.dispose());
    });
    await assertNoLeak(async () => { // C ← C + 2·Aᵀ·B into columns 4 to 43 of a matrix of 60
      const [m, n, k] = [36, 40, 300],
        as = gaussian(k * m, 4),
        bs = gaussian(k * n, 5),
        cs = gaussian(m * 60, 6);
      const a = upload(as, [k, m]), b = upload(bs, [k, n]), c = upload(cs, [m, 60]);
      profile.reset();
      gemmOfParts({ a: { tensor: a, from: 0 }, b: { tensor: b, from: 0 }, c: { tensor: c, from: 4 } }, {
        ...{ m, n, k, transposeA: true, add: true, scale: 2 },
      });
      assert.equal(profile.launches.get("gemm_parts_add"), 1);
      const want = Float64Array.from(cs);
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          for (let p = 0; p < k; p++) want[i * 60 + 4 + j] += 2 * as[p * m + i] * bs[p * n + j];
        }
      }
      assertClose(await read(c), want, 4e-6, "part");
      [a, b, c].forEach((t) => t.dispose());
    });
  },
);

onGpu(
  "cuts are compared with what is built in; one that the device refuses is no error of the device",
  async (device) => {
    const kind = productKinds.find(({ name }) => name === "few rows")!;
    assert.equal(await agrees(device, kind, cut(8, 64, 4, 4, 256)), true);
    assert.equal(await agrees(device, kind, cut(512, 1024, 4, 4)), false); // 32,768 threads a workgroup
    await device.finish(); // throws what the device reported
    assert.equal(cutsInUse(device).size, 0);
  },
);

onGpu(
  "measuring ends in time, and what is not faster or not reached stays as it is built in",
  async (device) => {
    const kept = new Map([["dx", cut(64, 64, 4, 4)]]);
    useCuts(device, kept);
    await assertNoLeak(async () => {
      const start = performance.now();
      const { kinds, left } = await tuneProducts(device, { seconds: 3 });
      assert.ok(performance.now() - start < 30_000); // what was begun is ended, however slow the machine
      for (const [name, { cut, before, after }] of kinds) {
        assert.ok(after < before && before / after > 1.04, name);
        assert.ok(!left.includes(name));
        assert.ok(
          productKinds.find((kind) => kind.name === name)!.tiles.some(({ tileM }) => tileM === cut.tileM),
        );
      }
    });
    assert.deepEqual(cutsInUse(device), kept); // as before
    const { left } = await tuneProducts(device, { seconds: 0 });
    assert.deepEqual(left, productKinds.map(({ name }) => name));
  },
);

onGpu(
  "a table serves the next program, AFT_TUNE=off does without; an interrupted one is not kept",
  async (device) => {
    await inCache(async (folder) => {
      const sizes = { m: 1, n: 512, k: 512, transposeA: false, transposeB: true },
        built = cutOf(device, sizes);
      const one = cut(8, 64, 4, 4, 64);
      await writeTable(device.adapter, {
        kinds: new Map([["one row", { cut: one, before: 2, after: 1 }]]),
        left: [],
      });
      process.env.AFT_TUNE = "off";
      try {
        await tuneDevice(device);
        assert.deepEqual(cutOf(device, sizes), built);
        process.env.AFT_TUNE = "fast";
        await assert.rejects(tuneDevice(device), /^UsageError: AFT_TUNE must be on or off: got "fast"$/);
      } finally {
        delete process.env.AFT_TUNE;
      }
      await tuneDevice(device);
      assert.deepEqual(cutOf(device, sizes), one);
      await assert.rejects(
        tuneDevice(device, { again: true, signal: AbortSignal.abort(new Error("enough")) }),
        /enough/,
      );
      assert.deepEqual(await readdir(join(folder, "tiles")), []);
    });
  },
);

const identity = { vendor: "x", architecture: "y", device: "1", description: "Card: driver 1.2 (LLVM)" };
const tuning = {
  kinds: new Map([["forward", { cut: cut(128, 128, 8, 8), before: 2, after: 1 }]]),
  left: ["dw"],
};

test("a table is read as it was written, by the same adapter, driver and versions alone", async () => {
  await inCache(async (folder) => {
    assert.equal(await readTable(identity), undefined);
    const path = await writeTable(identity, tuning);
    assert.equal(path, tablePath(identity));
    assert.ok(path.startsWith(folder));
    assert.deepEqual(await readTable(identity), { path, ...tuning });
    const newer = { ...identity, description: "Card: driver 1.3 (LLVM)" }; // in the same place
    assert.deepEqual(await readTable(newer), {
      path,
      refused: 'it is of description "Card: driver 1.2 (LLVM)", here is "Card: driver 1.3 (LLVM)"',
    });
    await writeTable(identity);
    assert.deepEqual(await readTable(identity), {
      path,
      refused: "measuring was not finished: it may have failed",
      unfinished: true,
    });
  });
});

test("a broken or hostile table is refused in one line and never used", async () => {
  await inCache(async () => {
    const path = await writeTable(identity, tuning), good = JSON.parse(await readFile(path, "utf8"));
    const key = tableKey(identity), one = good.kinds.forward;
    const forward = (changes: object) => ({ ...good, kinds: { forward: { ...one, ...changes } } });
    const cases: [string | Uint8Array, RegExp][] = [
      ["", /^it cannot be read: /],
      ["{", /^it cannot be read: /],
      [Uint8Array.of(0xff, 0xfe, 0), /^it cannot be read: /],
      [" ".repeat(70_000), /^it has 70000 bytes, 65536 are the most$/],
      ["null", /^it is no table of tiles$/],
      ["[1]", /^it is no table of tiles$/],
      [JSON.stringify({ kinds: good.kinds }), /^it is no table of tiles$/],
      [JSON.stringify({ ...good, key: { ...key, format: 0 } }), /^it is of format 0, here is 1$/],
      [
        JSON.stringify({ ...good, key: { ...key, runtime: "\u001b[2J" } }),
        /^it is of runtime "\\u001b\[2J", here is /,
      ],
      [JSON.stringify({ key }), /^it has no kinds of products$/],
      [JSON.stringify({ key, kinds: [] }), /^it has no kinds of products$/],
      [JSON.stringify({ ...good, kinds: { backward: one } }), /^"backward" is not what is measured here$/],
      [`{"key":${JSON.stringify(key)},"kinds":{"__proto__":${JSON.stringify(one)}}}`, /^"__proto__" is not/],
      ...[
        forward({ cut: { ...one.cut, tileM: 65536 } }),
        forward({ cut: { ...one.cut, blockN: "8u; }" } }),
        forward({ cut: { ...one.cut, fill: 1e9 } }),
        forward({ cut: null }),
        forward({ before: -1 }),
        forward({ after: "fast" }),
      ].map((table): [string, RegExp] => [JSON.stringify(table), /^"forward" is not what is measured here$/]),
    ];
    for (const [text, why] of cases) {
      await writeFile(path, text);
      const found = await readTable(identity);
      assert.ok(found && "refused" in found, String(text).slice(0, 80));
      assert.match(found.refused, why);
      assert.doesNotMatch(found.refused, /\n/);
    }
  });
});
