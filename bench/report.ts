/**
 * Measures and writes docs/performance.md.
 *
 *   deno task bench:report --peers DIR           everything (half an hour on 2 cores)
 *   deno task bench:report aft-wasm start        these figures again, the others as they were measured last
 */
import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { cpus, release, tmpdir, totalmem, type } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { type BenchOutput, performancePage, rateOfPeer } from "./_report.ts";
import type { Figures } from "./_targets.ts";
import { median } from "./_peak.ts";

const page = `Measure and write docs/performance.md

Usage: deno task bench:report [FIGURE...] [--bench FILES] [--peers DIR] [--store FILE] [--output FILE] [--only-measured]

Without figures all are measured, and deno bench is run.

Options:
  --bench FILES  files of bench/ that deno bench runs, with commas (default: all, where no figures are named)
  --only-measured  leave out the lines of figures that were not measured: for another machine's page
  --no-measure   write the page of what was measured before
  --peers DIR    directory of pytorch_step.py and jaxjs_step.ts (with @jax-js/jax in node_modules)
  --store FILE   measurements of earlier calls (default bench/measured.json)
  --output FILE  default docs/performance.md
`;

const root = new URL("..", import.meta.url).pathname;
/** Figure → what it is measured by: a name of bench/figures.ts and environment variables. */
const programs: Readonly<
  Record<string, readonly [name: string, environment?: Readonly<Record<string, string>>]>
> = {
  machine: ["machine"],
  "aft-webgpu": ["aft-webgpu"],
  "vft-webgpu": ["vft-webgpu"],
  "vft-wasm": ["vft-wasm"],
  "vft-wasm-no-blas": ["vft-wasm", { AFT_BLAS: "none" }],
  "aft-wasm": ["aft-wasm"],
  "aft-wasm-no-blas": ["aft-wasm-rate", { AFT_BLAS: "none" }],
  "aft-wasm-one-thread": ["aft-wasm-rate", { AFT_BLAS: "none", AFT_THREADS: "1" }],
  "without-recompute": ["without-recompute"],
  "without-sharing": ["without-sharing"],
  loss: ["loss"],
  "loss-whole": ["loss-whole"],
  candidates: ["candidates"],
  launches: ["launches"],
  generation: ["generation"],
  "generation-webgpu": ["generation-webgpu"],
  stories: ["stories"],
  lora: ["lora"],
  "lora-webgpu": ["lora-webgpu"],
  loading: ["loading"],
  "loading-webgpu": ["loading-webgpu"],
  "decoding-int4": ["decoding-int4"],
  "decoding-int4-no-blas": ["decoding-int4", { AFT_BLAS: "none" }],
  "decoding-int4-webgpu": ["decoding-int4-webgpu"],
  "decoding-smol": ["decoding-smol"],
  "decoding-smol-no-blas": ["decoding-smol", { AFT_BLAS: "none" }],
  products: ["products"],
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    bench: { type: "string" },
    "no-measure": { type: "boolean" },
    "only-measured": { type: "boolean" },
    peers: { type: "string" },
    store: { type: "string", default: join(root, "bench/measured.json") },
    output: { type: "string", default: join(root, "docs/performance.md") },
    help: { type: "boolean" },
  },
});
/** Figure → ours and a peer's program, run in turn. */
const peers: Readonly<
  Record<
    string,
    {
      readonly ours: readonly { readonly name: string; readonly step: string; readonly blas?: "none" }[];
      readonly theirs: readonly string[];
    }
  >
> = {
  "peer-pytorch": {
    ours: [{ name: "ours", step: "aft-wasm" }],
    theirs: ["python3", "pytorch_step.py", ..."aft 256 8 4096 8 0 6 100 120".split(" ")],
  },
  "peer-jax-wasm": {
    ours: [{ name: "ours", step: "vft-wasm" }, {
      name: "ours without BLAS",
      step: "vft-wasm",
      blas: "none",
    }],
    theirs: ["deno", "run", "-A", "jaxjs_step.ts", ..."wasm 128 4 512 8 128".split(" ")],
  },
  "peer-jax-webgpu": {
    ours: [{ name: "ours", step: "vft-webgpu" }],
    theirs: ["deno", "run", "-A", "jaxjs_step.ts", ..."webgpu 128 4 512 8 128".split(" ")],
  },
};
const known = [...Object.keys(programs), ...Object.keys(peers), "start"];
const wrong = positionals.find((p) => !known.includes(p));
if (values.help || wrong !== undefined) {
  if (wrong !== undefined) console.error(`Unknown figure ${wrong}: expected one of ${known.join(", ")}`);
  else console.log(page);
  process.exit(wrong === undefined ? 0 : 2);
}

interface Store {
  figures: Record<string, Figures>;
  bench?: BenchOutput;
}
const store: Store = await readFile(values.store, "utf8").then(
  JSON.parse,
  () => ({ figures: {} }),
);
const all = positionals.length === 0;
if (!values["no-measure"]) {
  for (const figure of all ? known : positionals) {
    process.stderr.write(`${figure} … `);
    try {
      store.figures[figure] = figure === "start"
        ? await startOfScore()
        : figure in peers
        ? await besidePeer(figure)
        : await measure(figure);
      process.stderr.write(`${JSON.stringify(store.figures[figure])}\n`);
    } catch (error) {
      process.stderr.write(`left out: ${(error as Error).message}\n`);
    }
    await writeFile(values.store, JSON.stringify(store, null, 1) + "\n");
  }
  if (all || values.bench !== undefined) await runBenches();
}
await writeFile(values.store, JSON.stringify(store, null, 1) + "\n");
const packages = JSON.parse(await readFile(join(root, "package.json"), "utf8")).dependencies;
await writeFile(
  values.output,
  performancePage({
    machine: { cpu: cpus()[0].model, cores: cpus().length, memory: totalmem(), os: `${type()} ${release()}` },
    versions: {
      Deno: (globalThis as { Deno?: { version: { deno: string } } }).Deno?.version.deno ?? process.version,
      "TF.js": packages["@tensorflow/tfjs"],
      ...(process.env.AFT_THREADS && { Threads: process.env.AFT_THREADS }),
      ...(process.env.AFT_BENCH_CLOCK === "cpu" &&
        { Clock: "time on the processor, since others used the machine (`AFT_BENCH_CLOCK=cpu`)" }),
      ...(store.figures.machine &&
        { WASM: `${store.figures.machine.wasm}`, "WebGPU adapter": `${store.figures.machine.adapter}` }),
    },
    date: new Date().toISOString().slice(0, 10),
    figures: store.figures,
    bench: store.bench,
    onlyMeasured: values["only-measured"],
  }),
);
await run("deno", ["fmt", "-q", resolve(values.output), resolve(values.store)]);

/** Runs deno bench file by file: what was measured is kept when a later one fails. */
async function runBenches(): Promise<void> {
  const files = values.bench?.split(",") ??
    (await readdir(join(root, "bench"))).filter((name) => name.endsWith("_bench.ts"));
  for (const file of files) {
    process.stderr.write(`deno bench ${file} … `);
    const { benches } = JSON.parse(
      await run("deno", ["bench", "-A", "--json", join("bench", file)]),
    ) as BenchOutput;
    const other = (store.bench?.benches ?? []).filter(({ origin }) => !origin.endsWith(`/${file}`));
    // The folder that the project lies in is nobody's business.
    const named = benches.map((b) => ({ ...b, origin: `/${file}` }));
    store.bench = { benches: [...other, ...named] };
    await writeFile(values.store, JSON.stringify(store, null, 1) + "\n");
    process.stderr.write(`${benches.length} measurements\n`);
  }
}

async function measure(figure: string): Promise<Figures> {
  const [name, environment = {}] = programs[figure];
  return JSON.parse(await run("deno", ["run", "-A", "bench/figures.ts", name], { environment }));
}

/** Rates of ours and of a peer's program, a process each, three times in turn: medians. */
async function besidePeer(figure: string): Promise<Figures> {
  if (values.peers === undefined) throw new Error("no --peers directory");
  const { ours, theirs: [command, ...words] } = peers[figure];
  const directory = resolve(values.peers);
  const rates: Record<string, number[]> = {};
  let line = "";
  for (let round = 0; round < 3; round++) {
    for (const { name, step, blas } of ours) {
      const printed = await run("deno", ["run", "-A", "bench/figures.ts", "rate", step], {
        environment: blas ? { AFT_BLAS: blas } : {},
      });
      (rates[name] ??= []).push(JSON.parse(printed)["tokens a second"]);
    }
    const peer = rateOfPeer(await run(command, words, { directory }));
    line = peer.line;
    (rates.theirs ??= []).push(peer.rate);
  }
  return { ...Object.fromEntries(Object.entries(rates).map(([name, list]) => [name, median(list)])), line };
}

/** Seconds from the start of `deno task score` to its first record: the median of five. */
async function startOfScore(): Promise<Figures> {
  const folder = await mkdtemp(join(tmpdir(), "aft-start-"));
  const input = join(folder, "groups.jsonl"), times: number[] = [];
  const candidates = [{ text: "2 + 3 = 5\n#### 5" }, { text: "2 + 3 = 6\n#### 6" }];
  const question = "Tom has 2 pens and buys 3 pens. How many pens has he?";
  await writeFile(input, JSON.stringify({ id: "q", question, answer: "5", candidates }) + "\n");
  try {
    for (let i = 0; i < 6; i++) {
      const start = performance.now();
      const first = () => void times.push((performance.now() - start) / 1000);
      await run(
        "deno",
        ["task", "-q", "score", "--model", "fixtures/base", "--backend", "wasm", "--input", input],
        { first },
      );
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  return { seconds: median(times.slice(1)) }; // the first fills the disk's cache
}

/** Runs a program, in the project's folder unless another is given, and returns its stdout. */
function run(
  command: string,
  words: readonly string[],
  options: {
    readonly environment?: Readonly<Record<string, string>>;
    readonly directory?: string;
    /** Called at its first output. */
    readonly first?: () => void;
  } = {},
): Promise<string> {
  const { environment = {}, directory = root, first } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(command, words, {
      cwd: directory,
      env: { ...process.env, ...environment },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const chunks: string[] = [];
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      if (chunks.length === 0) first?.();
      chunks.push(chunk);
    });
    child.on("error", reject);
    child.on(
      "close",
      (code) =>
        code === 0
          ? resolve(chunks.join(""))
          : reject(new Error(`${command} ${words.join(" ")} ended with ${code}`)),
    );
  });
}
