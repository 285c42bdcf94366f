/** A flat batch on the device. */

import type { Device, Tensor } from "../backend/device.ts";
import { freeOnError, type Owner, owner, upload } from "../backend/tensors.ts";
import { type SpanLayout, spanLayout } from "../kernels/attention/span_layout.ts";
import { type Labels, makeLabels } from "../kernels/vocabulary/linear_logprob.ts";
import { bucketRows, type FlatBatch, packFlat, type TokenGroup } from "./packing.ts";
import { type Decoder, reservePositions } from "./state.ts";

/** A flat batch on the device. */
export interface DeviceBatch extends Owner {
  readonly host: FlatBatch;
  readonly ids: Tensor;
  readonly positions: Tensor;
  readonly layout: SpanLayout;
  /** Labels in row order; element order[i] of the device's list is label i of the host's. */
  readonly labels: Labels & { readonly order: Int32Array };
}

/** Rows a batch is padded to: WebGPU's buffer pool wants few sizes, the WASM heap does not care. */
export function paddedRows(device: Device, rows: number): number {
  return device.name === "webgpu" ? bucketRows(rows) : rows;
}

/** Packs groups and puts them on the device. */
export function deviceBatch(decoder: Decoder, groups: readonly TokenGroup[]): DeviceBatch {
  const { device } = decoder, host = packFlat(groups, (rows) => paddedRows(device, rows));
  let longest = 0;
  for (const position of host.positions) longest = Math.max(longest, position + 1);
  reservePositions(decoder, longest);
  const rows = host.ids.length;
  return freeOnError(device, () => {
    const ids = upload(device, host.ids, [rows]), positions = upload(device, host.positions, [rows]);
    const layout = spanLayout(host.segments, { rows, window: decoder.config.slidingWindow, device });
    const labels = makeLabels(device, host.labels);
    const parts = { ids, positions, layout, labels };
    return { host, ...parts, ...owner(() => Object.values(parts).forEach((part) => part.dispose())) };
  });
}
