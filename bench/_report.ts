/** docs/performance.md from measurements. */

/** Numbers and words of one measurement, by name. */
export type Figures = Readonly<Record<string, number | string>>;

/** All that was measured: figures of bench/figures.ts by name, and `deno bench --json`. */
export interface Measurements {
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly memory: number;
    readonly os: string;
  };
  readonly versions: Readonly<Record<string, string>>;
  readonly date: string;
  readonly figures: Readonly<Record<string, Figures>>;
  readonly bench?: BenchOutput;
}

/** What `deno bench --json` prints, as far as it is read here. Times in nanoseconds. */
export interface BenchOutput {
  readonly benches: readonly {
    readonly origin: string;
    readonly group: string | null;
    readonly name: string;
    readonly baseline: boolean;
    readonly results: readonly {
      readonly ok?: { readonly min: number; readonly avg: number; readonly n: number };
    }[];
  }[];
}

/** What a peer's program printed last: the rate that it measured, in tokens a second, and the line. */
export function rateOfPeer(text: string): { rate: number; line: string } {
  for (const line of text.trimEnd().split("\n").reverse()) {
    const found = line.match(/^(?:pytorch|jax-js) .* (\d+) (?:response )?tok\/s/);
    if (found) return { rate: Number(found[1]), line };
  }
  throw new Error("the peer's program printed no rate");
}

interface Row {
  readonly what: string;
  readonly ours: string;
  readonly theirs: string;
  readonly ratio?: number;
  readonly target?: number;
  /** Whether the ratio is to be at most the target. */
  readonly most?: boolean;
  readonly unit?: "×" | "%" | "";
}

/** The whole page. */
export function performancePage(given: Measurements): string {
  const { machine, versions, date } = given;
  return [
    "# Performance",
    "",
    "Made by `deno task bench:report`; every figure is a median of at least 5, ours and the baseline in turn in one",
    "process where both are ours to run. Rates count response tokens, or all tokens of sequences.",
    "",
    `- Machine: ${machine.cpu}, ${machine.cores} cores, ${
      (machine.memory / 2 ** 30).toFixed(0)
    } GiB, ${machine.os}`,
    ...Object.entries(versions).map(([name, version]) => `- ${name}: ${version}`),
    `- Date: ${date}`,
    "",
    "## Figures and targets",
    "",
    ...table(
      ["", "ours", "baseline", "ratio", "target", "reached"],
      rowsOf(given).map((r) => [
        r.what,
        r.ours,
        r.theirs,
        shown(r.ratio, r.unit),
        r.target === undefined ? "report" : `${r.most ? "≤" : "≥"} ${shown(r.target, r.unit)}`,
        r.ratio === undefined
          ? "not measured"
          : r.target === undefined
          ? ""
          : (r.most ? r.ratio <= r.target : r.ratio >= r.target)
          ? "yes"
          : "no",
      ]),
    ),
    "",
    ...ablation(given),
    ...sweep(given),
    ...peerLines(given),
    ...(given.bench ? benches(given.bench) : []),
  ].join("\n").trimEnd() + "\n";
}

/** The lines that the peers' programs printed. */
function peerLines({ figures }: Measurements): string[] {
  const lines = Object.values(figures).flatMap(({ line }) => line === undefined ? [] : `${line}`);
  if (lines.length === 0) return [];
  return ["## Peers", "", "As their programs printed it the last time:", "", "```", ...lines, "```", ""];
}

function rowsOf({ figures }: Measurements): Row[] {
  const at = (name: string, key: string) => figures[name]?.[key] as number | undefined;
  const rate = (value: number | undefined) => value === undefined ? "" : `${group(value)} tokens/s`;
  const over = (a?: number, b?: number) => a === undefined || b === undefined ? undefined : a / b;
  const speed = "tokens a second", stock = "stock TF.js, tokens a second";
  const compared = (
    what: string,
    ours: number | undefined,
    theirs: number | undefined,
    name: string,
    target: number,
  ): Row => ({
    what,
    ours: rate(ours),
    theirs: theirs === undefined ? name : `${name}: ${rate(theirs)}`,
    ratio: over(ours, theirs),
    target,
    unit: "×",
  });
  const bytes = [2, 4, 8, 16, 32].flatMap((k) => at("candidates", `k=${k}, peak bytes`) ?? []);
  const times = [2, 32].flatMap((k) => at("candidates", `k=${k}, µs a response token`) ?? []);
  return [
    compared(
      "AFT step, WebGPU (2×6, L 4, D 128, V 1,024)",
      at("aft-webgpu", speed),
      at("aft-webgpu", stock),
      "stock TF.js",
      5,
    ),
    compared(
      "VFT step, WebGPU (8×128, L 4, D 128, V 512)",
      at("peer-jax-webgpu", "ours"),
      at("peer-jax-webgpu", "theirs"),
      "jax-js",
      2,
    ),
    compared(
      "the same, WASM without BLAS",
      at("peer-jax-wasm", "ours without BLAS"),
      at("peer-jax-wasm", "theirs"),
      "jax-js",
      1,
    ),
    compared(
      "the same, WASM with BLAS",
      at("peer-jax-wasm", "ours"),
      at("peer-jax-wasm", "theirs"),
      "jax-js",
      3,
    ),
    compared(
      "AFT step, WASM with BLAS (8×6, L 8, D 256, V 4,096)",
      at("peer-pytorch", "ours"),
      at("peer-pytorch", "theirs"),
      "PyTorch",
      2,
    ),
    {
      what: "the same: share of the BLAS's peak, necessary operations only",
      ours: at("aft-wasm", "milliseconds") === undefined
        ? ""
        : `${group(at("aft-wasm", "necessary GFLOP")! / at("aft-wasm", "milliseconds")! * 1000)} GFLOP/s`,
      theirs: at("aft-wasm", "products, GFLOP/s") === undefined
        ? ""
        : `product of 2,048³: ${group(at("aft-wasm", "products, GFLOP/s")!)} GFLOP/s`,
      ratio: at("aft-wasm", "share of peak"),
      target: 0.5,
      unit: "%",
    },
    compared(
      "the same, stock on 1×6, since more does not fit its heap",
      at("aft-wasm", speed),
      at("aft-wasm-stock", speed),
      "stock TF.js",
      30,
    ),
    compared(
      "VFT step, WASM without BLAS",
      at("vft-wasm-no-blas", speed),
      at("vft-wasm-no-blas", stock),
      "stock TF.js",
      5,
    ),
    {
      what: "peak bytes of the loss, N 2,048, V 32,000",
      ours: megabytes(at("loss", "peak bytes")),
      theirs: `softmaxCrossEntropy: ${megabytes(at("loss", "stock TF.js, peak bytes"))}`,
      ratio: at("loss", "ratio"),
      target: 0.125,
      most: true,
      unit: "%",
    },
    {
      what: "peak bytes of an AFT step, k = 2 to 32: most over least",
      ours: megabytes(bytes.length === 0 ? undefined : Math.max(...bytes)),
      theirs: megabytes(bytes.length === 0 ? undefined : Math.min(...bytes)),
      ratio: bytes.length === 0 ? undefined : Math.max(...bytes) / Math.min(...bytes),
      target: 1.1,
      most: true,
      unit: "×",
    },
    {
      what: "time per response token, k = 32 over k = 2",
      ours: times[1] === undefined ? "" : `${group(times[1])} µs`,
      theirs: times[0] === undefined ? "" : `${group(times[0])} µs`,
      ratio: over(times[1], times[0]),
      target: 1,
      most: true,
      unit: "×",
    },
    ...(["wasm", "webgpu"].map((name): Row => ({
      what: `launches a layer, forward and backward, ${name}`,
      ours: "",
      theirs: "",
      ratio: at("launches", `${name}, launches a layer`),
      target: 30,
      most: true,
      unit: "",
    }))),
    ...(["generation", "generation-webgpu"].map((name): Row =>
      compared(
        `generation, 16×6×128, ${name === "generation" ? "WASM with BLAS" : "WebGPU"}`,
        at(name, speed),
        at(name, "prefix again, our kernels, tokens a second"),
        "prefix again, our kernels",
        20,
      )
    )),
    {
      what: "generation, stories260K, 32 sequences, WASM with BLAS",
      ours: rate(at("stories", speed)),
      theirs: "",
      ratio: at("stories", speed),
      unit: "",
    },
    {
      what: "start of `deno task score` to its first record",
      ours: at("start", "seconds") === undefined ? "" : `${at("start", "seconds")!.toFixed(2)} s`,
      theirs: "",
      ratio: at("start", "seconds"),
      target: 1.5,
      most: true,
      unit: "",
    },
  ];
}

function ablation({ figures }: Measurements): string[] {
  const ms = (name: string, key: string) => figures[name]?.[key] as number | undefined;
  const lines: [string, number | undefined, number | undefined, string][] = [
    [
      "prefix sharing: a prompt once, not before every candidate",
      ms("without-sharing", "shared, milliseconds"),
      ms("without-sharing", "repeated, milliseconds"),
      "ms",
    ],
    [
      "products kept for the backward pass, not computed again",
      ms("without-recompute", "kept, milliseconds"),
      ms("without-recompute", "computed again, milliseconds"),
      "ms",
    ],
    [
      "the same: its price in bytes",
      ms("without-recompute", "kept, peak bytes"),
      ms("without-recompute", "computed again, peak bytes"),
      "bytes",
    ],
    [
      "BLAS, not our SIMD products (VFT step)",
      ms("vft-wasm", "milliseconds"),
      ms("vft-wasm-no-blas", "milliseconds"),
      "ms",
    ],
    [
      "our kernels without BLAS, not stock TF.js (VFT step)",
      ms("vft-wasm-no-blas", "milliseconds"),
      ms("vft-wasm-no-blas", "stock TF.js, milliseconds"),
      "ms",
    ],
    [
      "logits in chunks, not whole (N 2,048, V 32,000)",
      ms("loss", "milliseconds"),
      ms("loss-whole", "milliseconds"),
      "ms",
    ],
    ["the same: bytes", ms("loss", "peak bytes"), ms("loss-whole", "peak bytes"), "bytes"],
  ];
  const measured = lines.filter(([, a, b]) => a !== undefined && b !== undefined);
  if (measured.length === 0) return [];
  const value = (x: number, unit: string) => unit === "ms" ? `${group(x)} ms` : megabytes(x);
  return [
    "## What each idea brings",
    "",
    "The AFT step on WASM with BLAS where nothing else is said.",
    "",
    ...table(
      ["", "with", "without", "factor"],
      measured.map((
        [what, a, b, unit],
      ) => [what, value(a!, unit), value(b!, unit), `${(b! / a!).toFixed(2)}×`]),
    ),
    "",
  ];
}

function sweep({ figures: { candidates } }: Measurements): string[] {
  if (!candidates) return [];
  return [
    "## By number of candidates",
    "",
    "128 candidates a step, prompt 100, response 120, 4 layers, D 128, V 1,024, micro-batches of at most 16,384 rows,",
    "WASM with BLAS. A question is not cut where it fits whole, so a smaller micro-batch may be filled less: never more.",
    "",
    ...table(
      ["candidates a question", "µs a response token", "peak bytes"],
      [2, 4, 8, 16, 32].map((k) => [
        `${k}`,
        group(candidates[`k=${k}, µs a response token`] as number),
        megabytes(candidates[`k=${k}, peak bytes`] as number),
      ]),
    ),
    "",
  ];
}

function benches({ benches }: BenchOutput): string[] {
  const groups = new Map<string, typeof benches[number][]>();
  for (const b of benches) {
    if (!b.results[0]?.ok) continue;
    const key = `${b.origin.split("/").pop()}: ${b.group ?? ""}`;
    groups.set(key, [...groups.get(key) ?? [], b]);
  }
  const lines = [
    "## deno bench",
    "",
    "Mean and fastest time of an iteration; factor: the group's baseline over it.",
    "",
  ];
  for (const [key, members] of groups) {
    const baseline = members.find((m) => m.baseline)?.results[0].ok?.avg;
    lines.push(
      `**${key}**`,
      "",
      ...table(
        ["", "mean", "fastest", "factor"],
        members.map(({ name, results: [{ ok }] }) => [
          name,
          duration(ok!.avg),
          duration(ok!.min),
          baseline === undefined ? "" : `${(baseline / ok!.avg).toFixed(2)}×`,
        ]),
      ),
      "",
    );
  }
  return lines;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, i) => i === 0 ? "---" : "---:")), ...rows.map(line)];
}

function shown(value: number | undefined, unit: Row["unit"] = ""): string {
  if (value === undefined) return "";
  if (unit === "%") return `${(100 * value).toFixed(1)}%`;
  return `${value >= 100 ? group(value) : Number(value.toPrecision(3))}${unit}`;
}

function group(value: number): string {
  const digits = value < 10 ? 2 : value < 100 ? 1 : 0;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}

function megabytes(bytes: number | undefined): string {
  return bytes === undefined ? "" : `${group(bytes / 2 ** 20)} MiB`;
}

function duration(nanoseconds: number): string {
  if (nanoseconds < 1e6) return `${group(nanoseconds / 1e3)} µs`;
  return nanoseconds < 1e9 ? `${group(nanoseconds / 1e6)} ms` : `${group(nanoseconds / 1e9)} s`;
}
