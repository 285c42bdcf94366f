import type { Tensor } from "../../backend/device.ts";
import { dispatch, type Program } from "../../backend/dispatch.ts";
import { profile } from "../../backend/profile.ts";
import { empty, upload } from "../../backend/tensors.ts";
import { assembly, cpuOf } from "../_assembly.ts";
import { rowBlocks, rowsOf } from "../_row_blocks.ts";
import module from "../built/embedding.wasm.ts";

/**
 * Rows of a table: y[i] = table[ids[i]].
 *
 * @param table [V, D]
 * @param ids [N] int32, each in 0…V−1: checked where ids come from outside, not here (a GPU leaves the row as it is for any other)
 * @returns [N, D]
 */
export function embedding(table: Tensor, ids: Tensor): Tensor {
  const rows = ids.shape[0]!, d = table.shape[1]!, y = empty(table.device, [rows, d]);
  if (table.device.name === "wasm") {
    const at = cpuOf(table).pointer;
    profile.run("embedding", () => assembly(cpuOf(table), module).gather(at(table), at(ids), at(y), rows, d));
  } else {
    for (const { from, count } of rowBlocks(table.device, table.shape[0]!, d)) {
      dispatch(gatherProgram, {
        tensors: { table: rowsOf(table, from, count), ids, y },
        params: { size: rows * d, d, first_row: from, count },
        groups: [Math.ceil(rows * d / 256)],
      });
    }
  }
  return y;
}

/**
 * Gradient of {@linkcode embedding}: dtable[ids[i]] += dy[i], in place.
 *
 * On a GPU the rows of each id are listed beforehand and summed by one thread a column, so that the result does not
 * depend on the order in which threads run.
 *
 * @param ids the ids on the host; rows from ids.length on are padding
 * @param dy [N, D], N ≥ ids.length
 * @param dtable [V, D], added to in place
 */
export function embeddingGradient(ids: Int32Array, dy: Tensor, dtable: Tensor): void {
  const d = dy.shape[1]!;
  if (dy.device.name === "wasm") {
    const { pointer: at, memory, allocate, free } = cpuOf(dy);
    const list = allocate(ids.byteLength);
    new Int32Array(memory.buffer, list, ids.length).set(ids);
    profile.run(
      "embedding_gradient",
      () => assembly(cpuOf(dy), module).scatter(at(dtable), list, at(dy), ids.length, d),
    );
    free(list);
    return;
  }
  const order = Int32Array.from(ids.keys()).sort((a, b) => ids[a] - ids[b] || a - b);
  const starts: number[] = [], seen: number[] = [];
  for (let i = 0; i < order.length; i++) {
    if (i === 0 || ids[order[i]] !== ids[order[i - 1]]) {
      starts.push(i);
      seen.push(ids[order[i]]);
    }
  }
  starts.push(order.length);
  // [distinct, starts…, seen…, order…] in one buffer of fixed size for a given N: the pool reuses it.
  const list = new Int32Array(3 * ids.length + 1);
  list.set(starts, 0);
  list.set(seen, ids.length + 1);
  list.set(order, 2 * ids.length + 1);
  const lists = upload(dy.device, list, [list.length]);
  let first = 0; // of the ids seen, which ascend, as the table's blocks do
  for (const { from, count } of rowBlocks(dtable.device, dtable.shape[0]!, d)) {
    let end = first;
    while (end < seen.length && seen[end] < from + count) end++;
    dispatch(scatterProgram, {
      tensors: { lists, dy, dtable: rowsOf(dtable, from, count) },
      params: { n: ids.length, d, first, first_row: from },
      groups: [end - first, Math.ceil(d / 64)],
    });
    first = end;
  }
  lists.dispose();
}

const gatherProgram: Program = {
  name: "embedding",
  inputs: { table: "f32", ids: "i32" },
  outputs: { y: "f32" },
  params: { size: "u32", d: "u32", first_row: "u32", count: "u32" },
  workgroup: [256],
  body: `
  let i = row * 256u + lane;
  if (i >= params.size) { return; }
  let id = u32(ids[i / params.d]) - params.first_row; // an id before the block wraps round to far behind it
  if (id < params.count) { y[i] = table[id * params.d + i % params.d]; }`,
};

const scatterProgram: Program = {
  name: "embedding_gradient",
  inputs: { lists: "i32", dy: "f32" },
  outputs: { dtable: "f32" },
  params: { n: "u32", d: "u32", first: "u32", first_row: "u32" },
  workgroup: [64],
  body: `
  let c = group.y * 64u + lane;
  if (c >= params.d) { return; }
  let at = (u32(lists[params.n + 1u + params.first + group.x]) - params.first_row) * params.d + c;
  var total = dtable[at];
  for (var i = lists[params.first + group.x]; i < lists[params.first + group.x + 1u]; i++) {
    total += dy[u32(lists[2u * params.n + 1u + u32(i)]) * params.d + c];
  }
  dtable[at] = total;`,
};
