/**
 * Decoding one sequence of a SmolLM2-135M shape on the CPU: in float32, on 8-bit layers with the head in float32, and with
 * the head in 8 bits; beside copies of 64 MiB. In turn, by time on the processor, one thread. Prints medians of 5.
 *
 *   AFT_THREADS=1 AFT_BLAS=none deno run -A bench/narrow_head.ts [LAYERS]
 */
import process from "node:process";
import type { Decoder } from "../lib/model/state.ts";
import { parameterCount, randomDecoder } from "./_decoder.ts";
import { narrowed } from "./_decoding.ts";
import { openBench } from "./_device.ts";
import { decode } from "./_generation.ts";
import { median } from "./_peak.ts";

const RUNS = 5, COPY = 2 ** 26, given = { questions: 1, samples: 1, prompt: 2, tokens: 4 };
const seconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
const timed = async (run: () => unknown) => {
  const start = seconds();
  await run();
  return seconds() - start;
};

await openBench("wasm");
const layers = Number(process.argv[2] ?? 30);
const wide = randomDecoder({
  ...{ layers, width: 576, vocabulary: 49_152 },
  heads: 9,
  kvHeads: 3,
  inner: 1536,
});
const narrow = await narrowed(wide, "int8");
const { name, tensor } = narrow.head;
/** The same, its head another tensor of the same numbers, as an adapter's would be. */
const wideHead: Decoder = {
  ...narrow,
  head: { name, tensor, saved: { name, tensor: tensor.share(), adapter: { enabled: true } as never } },
};
const from = new Uint8Array(COPY).fill(1), to = new Uint8Array(COPY).fill(2);
const cases: Readonly<Record<string, () => unknown>> = {
  "float32": () => decode(wide, given),
  "int8, head in float32": () => decode(wideHead, given),
  "int8, head in int8": () => decode(narrow, given),
  "copy": () => to.set(from),
};
const times: Record<string, number[]> = {};
for (let run = -1; run < RUNS; run++) { // the first compiles
  for (const [what, work] of Object.entries(cases)) {
    const time = await timed(work);
    if (run >= 0) (times[what] ??= []).push(time);
  }
}
for (const what of Object.keys(cases)) {
  const time = median(times[what]!);
  if (what === "copy") console.log(`copies: ${(2 * COPY / 1e9 / time).toFixed(1)} GB/s, read and written`);
  else console.log(`${what}: ${(given.tokens / time).toFixed(1)} tokens a second`);
}
const read = 4 * parameterCount(wide) / 1e9 * given.tokens / median(times["float32"]!);
console.log(`float32 reads ${read.toFixed(1)} GB/s of weights`);
process.exit(0);
