/**
 * Whether the sum over ranks is better begun while a step still computes: layers of so many milliseconds, from the last to
 * the first, each with so many MB of gradients, whose sums are made
 *
 *   behind    when all layers are done, by the call that waits (what training does);
 *   after     the same by MPI_Iallreduce, all at once, asked about without a pause;
 *   polled    from each layer's end on, by MPI_Iallreduce, with a look at all of them (MPI_Test) behind each layer;
 *   threaded  from each layer's end on, by the call that waits in a thread of the runtime's (Deno alone).
 *
 *   mpirun --bind-to none -n 2 deno run -A bench/overlap.ts [MILLISECONDS] [MB] [LAYERS] [TURNS]
 *
 * Rank 0 prints a line of JSON with medians over the turns, in milliseconds of the slowest rank; `compute` is that of the
 * layers alone. `saved` is how much less than `behind` each takes, the median over turns.
 */

import process from "node:process";
import { setImmediate } from "node:timers/promises";
import { findMpi, loadMpi } from "../lib/runtime/_mpi.ts";
import { openWorld } from "../lib/runtime/world.ts";

const [layerMs = 100, megabytes = 4, layers = 8, turns = 11] = process.argv.slice(2).map(Number);
const world = await openWorld();
if (world.size === 1) throw new Error("Expected several processes: mpirun -n 2 in front of this");
const mpi = await loadMpi(findMpi(world.description.startsWith("MPICH") ? "MPICH" : "Open MPI")!);
const { call, handle: { world: all, f32, sum }, inPlace } = mpi;
const length = megabytes * 250_000, whole = new Float32Array(layers * length);
const gradients = Array.from({ length: layers }, (_, i) => whole.subarray(i * length, (i + 1) * length));

/** A fixed amount of work: in memory of a core's own, as a product of matrices is. */
const numbers = new Float64Array(2048).fill(1);
function work(rounds: number): void {
  for (let r = 0; r < rounds; r++) {
    for (let i = 0; i < numbers.length; i++) numbers[i] = numbers[i]! * 0.999 + 0.001;
  }
}
work(20_000);
const started = performance.now();
work(20_000);
const rounds = Float64Array.of(20_000 * layerMs / (performance.now() - started));
await world.max(rounds);

/** The call that waits, in a thread; each is begun when the one before is done, in every rank in the same order. */
function threads(): ((values: Float32Array<ArrayBuffer>) => Promise<unknown>) | undefined {
  if (!("Deno" in globalThis)) return undefined;
  const kind = mpi.family === "MPICH" ? "i32" : "pointer";
  const { symbols } = Deno.dlopen(mpi.path, {
    MPI_Allreduce: {
      parameters: ["usize", "buffer", "i32", kind, kind, kind],
      result: "i32",
      nonblocking: true,
    },
  });
  let last: Promise<unknown> = Promise.resolve();
  return (values) =>
    last = last.then(() =>
      symbols.MPI_Allreduce(inPlace, values, values.length, f32 as never, sum as never, all as never)
    );
}

const flag = new Int32Array(1), status = new Int32Array(16);
function isDone(request: BigInt64Array): boolean {
  flag[0] = 0;
  call.MPI_Test(request, flag, status);
  return flag[0] !== 0;
}

/** Begins a sum. */
function begin(values: Float32Array<ArrayBuffer>): BigInt64Array {
  const request = new BigInt64Array(1);
  call.MPI_Iallreduce(inPlace, values, values.length, f32, sum, all, request);
  return request;
}

/** Asks again and again, without a pause. */
async function allDone(requests: readonly BigInt64Array[]): Promise<void> {
  for (let open = requests; open.length > 0; await setImmediate()) open = open.filter((one) => !isDone(one));
}

const inThread = threads();
const ways: Readonly<Record<string, () => Promise<void>>> = {
  compute: () => {
    for (let i = 0; i < layers; i++) work(rounds[0]!);
    return Promise.resolve();
  },
  behind: async () => {
    for (let i = 0; i < layers; i++) work(rounds[0]!);
    await world.sum(whole);
  },
  after: async () => {
    for (let i = 0; i < layers; i++) work(rounds[0]!);
    await allDone(gradients.map(begin));
  },
  polled: async () => {
    let open: BigInt64Array[] = [];
    for (const values of gradients) {
      work(rounds[0]!);
      open = [...open, begin(values)].filter((one) => !isDone(one));
    }
    await allDone(open);
  },
  ...(inThread && {
    threaded: async () => {
      const sums: Promise<unknown>[] = [];
      for (const values of gradients) {
        work(rounds[0]!);
        sums.push(inThread(values));
        await setImmediate(); // lets the next sum begin
      }
      await Promise.all(sums);
    },
  }),
};

const took: Record<string, number[]> = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
for (let turn = 0; turn <= turns; turn++) {
  for (const [name, way] of Object.entries(ways)) {
    whole.fill(1);
    await world.barrier();
    const start = performance.now();
    await way();
    const slowest = Float64Array.of(performance.now() - start);
    await world.max(slowest);
    if (name !== "compute" && whole.some((v) => v !== world.size)) {
      throw new Error(`Sums are wrong: ${name}`);
    }
    if (turn > 0) took[name]!.push(slowest[0]!); // the first one connects
  }
}
const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
const saved = (name: string) => median(took.behind!.map((ms, i) => 1 - took[name]![i]! / ms));
if (world.rank === 0) {
  console.log(JSON.stringify({
    ...{ ranks: world.size, by: world.description, layers, megabytes },
    ...Object.fromEntries(Object.entries(took).map(([name, of]) => [name, Math.round(median(of))])),
    saved: Object.fromEntries(
      ["after", "polled", "threaded"].flatMap((name) =>
        took[name] ? [[name, Number(saved(name).toFixed(3))]] : []
      ),
    ),
  }));
}
await world[Symbol.asyncDispose]();
process.exit();
