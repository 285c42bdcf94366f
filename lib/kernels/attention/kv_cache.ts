import type { Tensor } from "../../backend/device.ts";
import { dispatch, type Program } from "../../backend/dispatch.ts";
import { profile } from "../../backend/profile.ts";
import { cpuOf } from "../_assembly.ts";

/**
 * Writes the keys and values of fused rows into a cache, in place: cache[rows[i]] = (k, v) of row i.
 *
 * @param fused rows of queries, keys and values [N, Q + 2K]
 * @param cache keys, then values of each cached token [M, 2K]
 * @param options `rows`, the cache row of each fused row, −1 to leave it out [N] int32, on the host and the device
 */
export function writeCache(
  fused: Tensor,
  cache: Tensor,
  options: { readonly rows: Tensor; readonly hostRows: Int32Array },
): void {
  const [n, stride] = fused.shape, width = cache.shape[1]!;
  if (fused.device.name === "wasm") {
    const { pointer: at, memory } = cpuOf(fused);
    profile.run("kv_cache", () => {
      const heap = new Float32Array(memory.buffer);
      const from = at(fused) / 4 + stride! - width, to = at(cache) / 4;
      for (let i = 0; i < n; i++) {
        const target = options.hostRows[i];
        if (target < 0) continue;
        heap.copyWithin(to + target * width, from + i * stride!, from + i * stride! + width);
      }
    });
    return;
  }
  dispatch(program, {
    tensors: { fused, rows: options.rows, cache },
    params: { size: n * width, width, stride: stride! },
    groups: [Math.ceil(n * width / 256)],
  });
}

const program: Program = {
  name: "kv_cache",
  inputs: { fused: "f32", rows: "i32" },
  outputs: { cache: "f32" },
  params: { size: "u32", width: "u32", stride: "u32" },
  workgroup: [256],
  body: `
  let i = row * 256u + lane;
  if (i >= params.size) { return; }
  let n = i / params.width;
  let c = i % params.width;
  let to = rows[n];
  if (to >= 0) { cache[u32(to) * params.width + c] = fused[n * params.stride + params.stride - params.width + c]; }`,
};
