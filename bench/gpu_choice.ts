/**
 * The same work by Deno's own WebGPU and by Dawn, each in a process of its own, in turns: an AFT step, decoding, a
 * readback, and what a process computes while it does nothing. Prints medians.
 *
 *   deno run -A bench/gpu_choice.ts [RUNS] [small|large]
 */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { read } from "../lib/backend/tensors.ts";
import { sampleAll } from "./_generation.ts";
import { benchDevice, zeros } from "./_device.ts";
import { ourStep, stepCases } from "./_cases.ts";
import { median } from "./_peak.ts";

/** Small: what differs is the way to the GPU. Large: what differs is how each compiles the kernels. */
const cases = {
  small: {
    size: { layers: 2, width: 64, vocabulary: 512 },
    batch: { questions: 1, candidates: 4, prompt: 40, response: 40 },
    decoded: { questions: 1, samples: 6, prompt: 40 },
  },
  large: {
    ...stepCases["aft-webgpu"],
    decoded: { questions: 2, samples: 6, prompt: 100 },
  },
};

/** Milliseconds of the fastest of a few runs, after one that compiles. */
async function fastest(run: () => Promise<unknown>, runs = 3): Promise<number> {
  await run();
  let best = Infinity;
  for (let i = 0; i < runs; i++) {
    const start = performance.now();
    await run();
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

/** What one process measures. */
async function measured(): Promise<Record<string, number>> {
  const { size, batch, decoded } = cases[process.argv[3] === "large" ? "large" : "small"];
  const step = await ourStep({ backend: "webgpu", size, batch });
  const stepMs = await fastest(() => step.run());
  step.dispose();
  const decoding = await sampleAll({ backend: "webgpu", size, ...decoded, tokens: 32 });
  const decodingMs = await fastest(() => decoding.run());
  decoding.dispose();
  const one = zeros([1]), readMs = await fastest(() => read(one), 20);
  await benchDevice().finish();
  const before = process.cpuUsage(), start = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 3000));
  const { user, system } = process.cpuUsage(before);
  return {
    "AFT step, ms": stepMs,
    [`decoding ${decoded.questions * decoded.samples} × 32 tokens, ms`]: decodingMs,
    "readback, ms": readMs,
    "computing while idle, % of a core": (user + system) / 10 / (performance.now() - start),
  };
}

if (process.argv[2] === "--measure") {
  process.stdout.write(JSON.stringify(await measured()) + "\n");
  process.exit(0);
}
const runs = Number(process.argv[2] ?? 3), choices = ["native", "dawn"] as const;
const found: Record<(typeof choices)[number], Record<string, number>[]> = { native: [], dawn: [] };
for (let run = 0; run < runs; run++) {
  for (const choice of choices) {
    const words = ["run", "-A", "--no-check", process.argv[1]!, "--measure", process.argv[3] ?? "small"];
    const env = { ...process.env, AFT_GPU: choice };
    const { stdout, stderr, status } = spawnSync(process.execPath, words, { encoding: "utf8", env });
    if (status !== 0) throw new Error(stderr);
    found[choice].push(JSON.parse(stdout.trim().split("\n").at(-1)!));
  }
}
for (const name of Object.keys(found.native[0]!)) {
  const [native, dawn] = choices.map((choice) => median(found[choice].map((one) => one[name]!)));
  console.log(`${name}: native ${native!.toFixed(2)}, dawn ${dawn!.toFixed(2)}`);
}
