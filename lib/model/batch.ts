/** A flat batch on the device. */

import type * as tf from "@tensorflow/tfjs";
import { currentBackend } from "../backend/backend.ts";
import { upload } from "../backend/tensors.ts";
import { type SpanLayout, spanLayout } from "../kernels/attention/span_layout.ts";
import { type Labels, makeLabels } from "../kernels/vocabulary/linear_logprob.ts";
import { bucketRows, type FlatBatch, packFlat, type TokenGroup } from "./packing.ts";
import { type Decoder, reservePositions } from "./state.ts";

/** A flat batch on the device. */
export interface DeviceBatch {
  readonly host: FlatBatch;
  readonly ids: tf.Tensor;
  readonly positions: tf.Tensor;
  readonly layout: SpanLayout;
  /** Labels in row order; element order[i] of the device's list is label i of the host's. */
  readonly labels: Labels & { readonly order: Int32Array };
  dispose(): void;
}

/** Rows a batch is padded to: WebGPU's buffer pool wants few sizes, the WASM heap does not care. */
export function paddedRows(rows: number): number {
  return currentBackend().name === "webgpu" ? bucketRows(rows) : rows;
}

/** Packs groups and puts them on the device. */
export function deviceBatch(decoder: Decoder, groups: readonly TokenGroup[]): DeviceBatch {
  const host = packFlat(groups, paddedRows);
  let longest = 0;
  for (const position of host.positions) longest = Math.max(longest, position + 1);
  reservePositions(decoder, longest);
  const rows = host.ids.length;
  const ids = upload(host.ids, [rows]), positions = upload(host.positions, [rows]);
  const layout = spanLayout(host.segments, { rows, window: decoder.config.slidingWindow });
  const labels = makeLabels(host.labels);
  return {
    host,
    ids,
    positions,
    layout,
    labels,
    dispose() {
      ids.dispose();
      positions.dispose();
      layout.dispose();
      labels.dispose();
    },
  };
}
