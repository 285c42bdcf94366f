import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { openDevice } from "../../lib/backend/backend.ts";
import type { CpuDevice, Device, WebgpuDevice } from "../../lib/backend/device.ts";
import { dispatch, type Program } from "../../lib/backend/dispatch.ts";
import { findAdapter, openWebgpu } from "../../lib/backend/webgpu.ts";
import { checkKernel, largestError } from "../../tools/gpu/check.ts";
import { Inputs } from "../../tools/gpu/_inputs.ts";
import type { Kernel } from "../../tools/gpu/kernel.ts";
import { kernels } from "../../tools/gpu/kernels.ts";
import { median, time } from "../../tools/gpu/clock.ts";
import { Devices, measure } from "../../tools/gpu/measure.ts";
import { timeModel } from "../../tools/gpu/models.ts";
import { checkedShapes, quickShape } from "../../tools/gpu/shapes.ts";
import { at, root, run } from "../_commands.ts";

const { adapter, description, isCpu } = await findAdapter();
const skip = adapter ? false : "no WebGPU adapter on this machine";

/** For a command that finds no adapter: drivers that there are not, and a kind of driver that this system has not. */
const blind = {
  VK_ICD_FILENAMES: "/none",
  VK_DRIVER_FILES: "/none",
  DENO_WEBGPU_BACKEND: process.platform === "darwin" ? "dx12" : "metal",
};

test("gpu-report writes its JSON and its page, and does not write over them", { skip }, async () => {
  const out = at("gpu");
  const { code, out: said, err } = await run("gpu-report", ["--quick", "--out", out]);
  assert.equal(code, 0, err);
  const [json, html] = said.trimEnd().split("\n") as [string, string];
  assert.deepEqual(readdirSync(out).map((name) => join(out, name)).sort(), [html, json]);
  const found = JSON.parse(readFileSync(json, "utf8"));
  assert.deepEqual([found.adapter, found.isCpu, found.quick, found.format], [description, isCpu, true, 1]);
  assert.deepEqual(found.skipped, []);
  // Every kernel was compared and timed, and agrees.
  const names = kernels.map(({ name }) => name);
  assert.deepEqual(found.checks.map((check: { kernel: string }) => check.kernel), names);
  assert.deepEqual(found.kernels.map((kernel: { kernel: string }) => kernel.kernel), names);
  for (const { kernel, error, tolerance } of found.checks) {
    assert.ok(error <= tolerance, `${kernel}: ${error}`);
  }
  for (const { kernel, wall, launches, bytes } of found.kernels) {
    assert.ok(wall > 0 && launches > 0 && bytes > 0, kernel);
  }
  const { ceilings, costs, models: [model] } = found;
  for (
    const value of [ceilings.arithmetic, ceilings.product, ceilings.copies[0].rate, ...Object.values(costs)]
  ) {
    assert.ok((value as number) > 0, JSON.stringify({ ceilings, costs }));
  }
  // D 16, F 32, V 64, one layer: embedding, two norms and the last, q k v of 2 + 2·1 heads of 8, o, gate, up, down.
  assert.equal(model.parameters, 64 * 16 + 3 * 16 + 16 * 32 + 16 * 16 + 3 * 16 * 32);
  assert.ok(model.step > 0 && model.decoded.length === 2);
  const page = readFileSync(html, "utf8");
  assert.match(page, /aria-label="Rates of \d+ kernels under a roof/);
  assert.equal(page.includes("is a CPU that stands in for a GPU"), isCpu);

  const again = await run("gpu-report", ["--quick", "--out", out]);
  assert.deepEqual([again.code, again.out, again.err], [
    2,
    "",
    `gpu-report: Cannot write ${json}: it already exists; use --overwrite or another --out\n`,
  ]);
});

test("gpu-report without an adapter is refused in one line, before it writes", async () => {
  const out = at("none");
  const { code, out: said, err } = await run("gpu-report", ["--out", out], { env: blind });
  assert.deepEqual([code, said], [2, ""]);
  // Dawn says on lines of its own that it found no driver.
  const [line] = err.trimEnd().split("\n").filter((line) => line.startsWith("gpu-report: "));
  assert.match(line!, /^gpu-report: Cannot measure a GPU: found no adapter.*doctor/);
  assert.ok(!existsSync(out));
});

test("gpu-report refuses a time that is none", async () => {
  const { code, err } = await run("gpu-report", ["--seconds", "0"]);
  assert.equal(code, 2);
  assert.match(err, /^gpu-report: Option --seconds must be an integer from 1 to 3600: got "0"\n/);
});

test("every operation of lib/kernels is among those that are compared", () => {
  const read = (path: string) => readFileSync(join(root, path), "utf8");
  // How products are cut, which the tuner's own tests compare.
  const choosing = ["tile_table.ts", "tiles.ts", "tune.ts", "tuned_device.ts"];
  const folders = ["", "/attention", "/norm", "/product", "/vocabulary"].map((name) => `lib/kernels${name}`);
  const exported = folders.flatMap((folder) =>
    readdirSync(join(root, folder)).filter((file) => /^[a-z].*\.ts$/.test(file) && !choosing.includes(file))
      .flatMap((file) =>
        [...read(`${folder}/${file}`).matchAll(/^export (?:async )?function (\w+)/gm)].map(([, name]) =>
          name!
        )
      )
  );
  // These make descriptions and tensors for operations, or choose among them; they compute nothing on a device.
  const helpers = ["paddedColumns", "quantizedBytes", "quantizeValues", "multipliesWhole"];
  const text = ["attention", "products", "rows", "vocabulary"].map((file) => read(`tools/gpu/${file}.ts`))
    .join();
  assert.ok(exported.length > 30);
  for (const name of exported) {
    if (!helpers.includes(name)) {
      assert.match(text, new RegExp(`\\b${name}\\(|\\b${name}\\b : |: ${name}\\b`), name);
    }
  }
});

test("the largest error is a share of the largest number, and infinite where one is none", () => {
  assert.equal(largestError([[1, 2]], [[1, 2.5]]), 0.2); // 0.5 of 2.5
  assert.equal(largestError([[0.25]], [[0.5]]), 0.25); // of 1, where all are smaller
  assert.equal(largestError([[NaN]], [[1]]), Infinity);
  assert.equal(largestError([[1, NaN]], [[1, NaN]]), 0);
  assert.equal(largestError([[Infinity, 1]], [[Infinity, 2]]), 0.5); // of 2
  assert.equal(largestError([[1]], [[1], [2]]), Infinity);
  assert.equal(largestError([[1]], [[1, 2]]), Infinity);
});

/** A kernel that gives other numbers on a GPU, or that a GPU cannot run. */
function planted(
  run: (device: Device, inputs: Inputs) => ReturnType<ReturnType<Kernel["prepare"]>["call"]>,
): Kernel {
  return {
    name: "planted",
    prepare(device) {
      const inputs = new Inputs(device);
      const call = () => run(device, inputs);
      return { shape: "2", flops: 2, bytes: 8, call, dispose: () => inputs[Symbol.dispose]() };
    },
  };
}

test(
  "a wrong kernel is found, and one that a GPU cannot run leaves the rest a device",
  { skip },
  async () => {
    const gpu = await openWebgpu("asked for"), cpu = await openDevice("wasm") as CpuDevice;
    const opened: WebgpuDevice[] = [];
    const devices = new Devices(gpu, cpu, async () => {
      opened.push(await openWebgpu("asked for"));
      return opened.at(-1)!;
    });
    const wrong = planted((device, inputs) => {
      const made = inputs.integers(Int32Array.of(3, device.name === "webgpu" ? 5 : 4)).share();
      return [made];
    });
    // 1 of 4
    assert.equal((await checkKernel(wrong, quickShape, devices)).error, 0.25);

    const unknown: Program = {
      name: "planted_unknown",
      inputs: {},
      outputs: { y: "f32" },
      params: {},
      workgroup: [1],
      body: "y[0] = there_is_no_such_function(1.0);",
    };
    const broken = planted((device, inputs) => {
      const y = inputs.zeros(2).share();
      if (device.name === "webgpu") dispatch(unknown, { tensors: { y }, params: {}, groups: [1] });
      return [y];
    });
    const failed = await devices.survive(() => checkKernel(broken, quickShape, devices));
    assert.ok("failed" in failed);
    assert.match(failed.failed, /there_is_no_such_function/);
    assert.equal(opened.length, 1);
    assert.equal(devices.gpu, opened[0]);
    const linear = kernels.find(({ name }) => name === "linear")!;
    const after = await checkKernel(linear, checkedShapes[0]!, devices);
    assert.ok(after.error! <= after.tolerance);
  },
);

test("nothing is begun after the time is up, and all that was left out is named", { skip }, async () => {
  const gpu = await openWebgpu("asked for"), cpu = await openDevice("wasm") as CpuDevice;
  const found = await measure(new Devices(gpu, cpu, () => openWebgpu("asked for")), {
    ...{ seconds: 1e-6, quick: true, listener: {}, signal: new AbortController().signal },
  });
  assert.deepEqual([found.checks, found.models, found.kernels], [[], [], []]);
  assert.equal(found.skipped.length, 2 * kernels.length + 1);
  for (const { why } of found.skipped) assert.equal(why, "the time was up");
  assert.ok(found.ceilings.arithmetic > 0 && found.ceilings.product === undefined);
});

test("a step is not begun where decoding already took half of what there was", { skip }, async () => {
  const gpu = await openWebgpu("asked for"), budget = { runs: 0, tokens: 2 };
  const soon = await timeModel(gpu, quickShape, { ...budget, until: performance.now() + 1 });
  assert.deepEqual([soon.step, soon.trained], [undefined, undefined]);
  const late = await timeModel(gpu, quickShape, { ...budget, until: Infinity });
  assert.ok(late.step! > 0 && late.decoded.length === 2);
});

test("a device without a clock of its own is timed by what the program waits", async () => {
  let calls = 0, freed = 0;
  const device = {
    features: new Set<string>(),
    finish: async () => await new Promise((done) => setTimeout(done, 8)),
  };
  const timed = await time(device as unknown as WebgpuDevice, () => {
    calls++;
    return [{ dispose: () => freed++ }];
  }, 5);
  // Once to warm up, and once more, which took long enough.
  assert.deepEqual([calls, freed, timed.device, timed.launches], [2, 2, undefined, 0]);
  assert.ok(timed.wall >= 7, `${timed.wall}`);
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
});
