/** What an adapter can do at best, and what it costs to ask it. */

import type { Tensor, WebgpuDevice } from "../../lib/backend/device.ts";
import { dispatch, type Program } from "../../lib/backend/dispatch.ts";
import { empty, read, upload, zeros } from "../../lib/backend/tensors.ts";
import type { CopyRate, Costs } from "../../lib/report/gpu_measurements.ts";
import { median, time } from "./clock.ts";

const COPIED = 4; // vec4 of a thread
const copy: Program = {
  name: "report_copy",
  inputs: { from_all: "vec4<f32>" },
  outputs: { to_all: "vec4<f32>" },
  params: { count: "u32" },
  workgroup: [256],
  body: `
  let first = row * ${256 * COPIED}u + lane;
  for (var i = 0u; i < ${COPIED}u; i++) {
    let at = first + i * 256u;
    if (at < params.count) { to_all[at] = from_all[at]; }
  }`,
};

/** Bytes of copies, as far as the device's buffers go. */
const SIZES = [2 ** 16, 2 ** 18, 2 ** 20, 2 ** 22, 2 ** 24, 2 ** 26, 2 ** 28];

/** How fast copies of growing size are. */
export async function copies(
  device: WebgpuDevice,
  { target, largest = Infinity }: { readonly target: number; readonly largest?: number },
): Promise<CopyRate[]> {
  const found: CopyRate[] = [];
  const most = Math.min(largest, device.limits.maxStorageBufferBindingSize, device.limits.maxBufferSize);
  for (const bytes of SIZES.filter((size) => size <= most)) {
    using from = zeros(device, [bytes / 4]), to = empty(device, [bytes / 4]);
    const count = bytes / 16;
    const { device: own, wall } = await time(device, () => {
      dispatch(copy, {
        tensors: { from_all: from, to_all: to },
        params: { count },
        groups: [Math.ceil(count / (256 * COPIED))],
      });
      return [];
    }, target);
    found.push({ bytes, rate: 2 * bytes / ((own ?? wall) / 1000) });
  }
  device.trim();
  return found;
}

const CHAINS = 8, STEPS = 512;
/**
 * Multiplications and additions in registers: 8 chains of vec4 that do not wait for each other. Factor and summand
 * come from outside, so that no compiler works them out, and keep the numbers near 1.
 */
const arithmeticOf = (fused: boolean): Program => ({
  name: `report_arithmetic_${fused ? "fused" : "plain"}`,
  inputs: {},
  outputs: { sums: "vec4<f32>" },
  params: { factor: "f32", summand: "f32" },
  workgroup: [256],
  body: `
  let f = vec4(params.factor); let s = vec4(params.summand);
  ${range(CHAINS).map((c) => `var x${c} = vec4(f32(lane + ${c}u) * 0.001);`).join(" ")}
  for (var i = 0u; i < ${STEPS}u; i++) {
    ${range(CHAINS).map((c) => fused ? `x${c} = fma(x${c}, f, s);` : `x${c} = x${c} * f + s;`).join(" ")}
  }
  sums[row * 256u + lane] = ${range(CHAINS).map((c) => `x${c}`).join(" + ")};`,
});

function range(length: number): number[] {
  return Array.from({ length }, (_, i) => i);
}

/** Operations in float32 a second, of the faster of the two spellings. */
export async function arithmetic(
  device: WebgpuDevice,
  { target, groups }: { readonly target: number; readonly groups: number },
): Promise<number> {
  using sums = empty(device, [groups * 256 * 4]);
  let most = 0;
  for (const fused of [false, true]) {
    const program = arithmeticOf(fused);
    const { device: own, wall } = await time(device, () => {
      dispatch(program, { tensors: { sums }, params: { factor: 0.999, summand: 0.001 }, groups: [groups] });
      return [];
    }, target);
    most = Math.max(most, groups * 256 * STEPS * CHAINS * 8 / ((own ?? wall) / 1000));
  }
  return most;
}

const nothing: Program = {
  name: "report_nothing",
  inputs: {},
  outputs: { one: "f32" },
  params: {},
  workgroup: [1],
  body: "if (row == 1u) { one[0] = 0.0; }",
};

async function milliseconds(runs: number, run: () => Promise<unknown>): Promise<number> {
  await run();
  const times: number[] = [];
  for (let i = 0; i < runs; i++) {
    const start = performance.now();
    await run();
    times.push(performance.now() - start);
  }
  return median(times);
}

/** What launches, waiting and moving bytes cost. */
export async function costs(
  device: WebgpuDevice,
  { runs, bytes }: { readonly runs: number; readonly bytes: number },
): Promise<Costs> {
  using one = zeros(device, [1]), large = zeros(device, [bytes / 4]);
  const many = 64 * runs;
  const launches = await milliseconds(3, async () => {
    for (let i = 0; i < many; i++) dispatch(nothing, { tensors: { one }, params: {}, groups: [1] });
    await device.finish();
  });
  const wait = await milliseconds(runs, () => device.finish());
  const readback = await milliseconds(runs, () => read(one));
  const reading = await milliseconds(3, () => read(large));
  const values = new Float32Array(bytes / 4);
  const writing = await milliseconds(3, async () => {
    const sent: Tensor = upload(device, values, [values.length]);
    await device.finish();
    sent.dispose();
  });
  device.trim();
  return {
    launch: 1000 * Math.max(0, launches - wait) / many,
    wait,
    readback,
    readRate: bytes / (reading / 1000),
    writeRate: bytes / (writing / 1000),
  };
}
