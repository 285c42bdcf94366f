/** docs/performance.md from measurements. */

import { duration, group, megabytes } from "./_format.ts";
import { type Figures, type TargetRow, targetRows } from "./_targets.ts";

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
  readonly bench?: BenchOutput | undefined;
  /** Whether figures that were not measured are left out, not listed. Default false. */
  readonly onlyMeasured?: boolean | undefined;
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

/** The whole page. */
export function performancePage(given: Measurements): string {
  const { machine, versions, date } = given;
  return [
    "# Performance",
    "",
    "Made by `deno task bench:report --peers DIR`; one line alone by the name at its end, `deno task bench:report NAME`.",
    "Every figure is a median of at least 5, ours and the baseline in turn. Rates count response tokens, or all tokens of",
    "sequences. WebGPU is software Vulkan where the adapter is llvmpipe: then no real GPU was tried. Pages of other",
    "machines lie beside this one: `docs/performance*.md`.",
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
      ["", "ours", "baseline", "ratio", "target", "reached", "measured by"],
      targetRows(given.figures).filter((r) => !given.onlyMeasured || r.ratio !== undefined).map((r) => [
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
        `\`${r.figure}\``,
      ]),
    ),
    "",
    ...ladder(given),
    ...ablation(given),
    ...sweep(given),
    ...peerLines(given),
    ...(given.bench ? benches(given.bench) : []),
  ].join("\n").trimEnd() + "\n";
}

/** Products of the CPU, each kernel beside the one before it. */
function ladder({ figures: { products } }: Measurements): string[] {
  if (!products) return [];
  const cells = Object.entries(products).flatMap(([key, value]) => {
    const found = /^(\d+) rows, (.*), GFLOP\/s$/.exec(key);
    return found ? [{ rows: found[1]!, kernel: found[2]!, value: value as number }] : [];
  });
  const rows = [...new Set(cells.map((cell) => cell.rows))];
  return [
    "## Products of the CPU",
    "",
    "GFLOP/s of y = x·Wᵀ on one thread, W 1,536×576, by rows of x: two operations for each weight and row, whatever the",
    "weights are kept in. The narrow ones' rounding of x is in the time. Twelve copies of W take turns. Measured by",
    "`products`.",
    "",
    ...table(
      ["", ...rows.map((count) => count === "1" ? "1 row" : `${count} rows`)],
      [...new Set(cells.map((cell) => cell.kernel))].map((kernel) => [
        kernel,
        ...rows.map((count) => {
          const cell = cells.find((c) => c.kernel === kernel && c.rows === count);
          return cell ? cell.value.toFixed(1) : "";
        }),
      ]),
    ),
    "",
  ];
}

/** The lines that the peers' programs printed. */
function peerLines({ figures }: Measurements): string[] {
  const lines = Object.values(figures).flatMap(({ line }) => line === undefined ? [] : `${line}`);
  if (lines.length === 0) return [];
  return ["## Peers", "", "As their programs printed it the last time:", "", "```", ...lines, "```", ""];
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

function shown(value: number | undefined, unit: TargetRow["unit"] = ""): string {
  if (value === undefined) return "";
  if (unit === "%") return `${(100 * value).toFixed(1)}%`;
  return `${value >= 100 ? group(value) : Number(value.toPrecision(3))}${unit}`;
}
