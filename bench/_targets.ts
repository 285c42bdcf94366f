/** The figures that have a target, as lines of a table. */

import { group, megabytes } from "./_format.ts";

/** Numbers and words of one measurement, by name. */
export type Figures = Readonly<Record<string, number | string>>;

/** A figure beside its baseline and its target. */
export interface TargetRow {
  /** What was measured. */
  readonly what: string;
  /** The name that `deno task bench:report` measures it by. */
  readonly figure: string;
  readonly ours: string;
  /** The baseline. */
  readonly theirs: string;
  readonly ratio?: number | undefined;
  /** What the ratio is to reach; undefined where it is only reported. */
  readonly target?: number | undefined;
  /** Whether the ratio is to be at most the target. */
  readonly most?: boolean;
  readonly unit?: "×" | "%" | "";
}

/** Every figure that has a target, in the order of the page. */
export function targetRows(figures: Readonly<Record<string, Figures>>): TargetRow[] {
  const at = (name: string, key: string) => figures[name]?.[key] as number | undefined;
  const rate = (value: number | undefined) => value === undefined ? "" : `${group(value)} tokens/s`;
  const over = (a?: number, b?: number) => a === undefined || b === undefined ? undefined : a / b;
  const speed = "tokens a second", stock = "stock TF.js, tokens a second";
  const compared = (
    { figure, what, ours, theirs, name, target }: {
      readonly figure: string;
      readonly what: string;
      readonly ours: number | undefined;
      readonly theirs: number | undefined;
      readonly name: string;
      readonly target: number;
    },
  ): TargetRow => ({
    figure,
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
      {
        figure: "aft-webgpu",
        what: "AFT step, WebGPU (2×6, L 4, D 128, V 1,024)",
        ours: at("aft-webgpu", speed),
        theirs: at("aft-webgpu", stock),
        name: "stock TF.js",
        target: 5,
      },
    ),
    compared(
      {
        figure: "peer-jax-webgpu",
        what: "VFT step, WebGPU (8×128, L 4, D 128, V 512)",
        ours: at("peer-jax-webgpu", "ours"),
        theirs: at("peer-jax-webgpu", "theirs"),
        name: "jax-js",
        target: 2,
      },
    ),
    compared(
      {
        figure: "peer-jax-wasm",
        what: "the same, WASM without BLAS",
        ours: at("peer-jax-wasm", "ours without BLAS"),
        theirs: at("peer-jax-wasm", "theirs"),
        name: "jax-js",
        target: 1,
      },
    ),
    compared(
      {
        figure: "peer-jax-wasm",
        what: "the same, WASM with BLAS",
        ours: at("peer-jax-wasm", "ours"),
        theirs: at("peer-jax-wasm", "theirs"),
        name: "jax-js",
        target: 3,
      },
    ),
    compared(
      {
        figure: "peer-pytorch",
        what: "AFT step, WASM with BLAS (8×6, L 8, D 256, V 4,096)",
        ours: at("peer-pytorch", "ours"),
        theirs: at("peer-pytorch", "theirs"),
        name: "PyTorch",
        target: 2,
      },
    ),
    {
      figure: "aft-wasm",
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
    compared({
      figure: "aft-wasm-no-blas",
      what: "AFT step, WASM without BLAS (8×6, L 8, D 256, V 4,096)",
      ours: at("aft-wasm-no-blas", speed),
      theirs: at("aft-wasm", speed),
      name: "with",
      target: 0.25,
    }),
    compared({
      figure: "aft-wasm-one-thread",
      what: "the same, all threads over one",
      ours: at("aft-wasm-no-blas", speed),
      theirs: at("aft-wasm-one-thread", speed),
      name: "one thread",
      target: 1.85,
    }),
    {
      figure: "loss",
      what: "peak bytes of the loss, N 2,048, V 32,000",
      ours: megabytes(at("loss", "peak bytes")),
      theirs: `softmaxCrossEntropy: ${megabytes(at("loss", "stock TF.js, peak bytes"))}`,
      ratio: at("loss", "ratio"),
      target: 0.125,
      most: true,
      unit: "%",
    },
    {
      figure: "candidates",
      what: "peak bytes of an AFT step, k = 2 to 32: most over least",
      ours: megabytes(bytes.length === 0 ? undefined : Math.max(...bytes)),
      theirs: megabytes(bytes.length === 0 ? undefined : Math.min(...bytes)),
      ratio: bytes.length === 0 ? undefined : Math.max(...bytes) / Math.min(...bytes),
      target: 1.1,
      most: true,
      unit: "×",
    },
    {
      figure: "candidates",
      what: "time per response token, k = 32 over k = 2",
      ours: times[1] === undefined ? "" : `${group(times[1])} µs`,
      theirs: times[0] === undefined ? "" : `${group(times[0])} µs`,
      ratio: over(times[1], times[0]),
      target: 1,
      most: true,
      unit: "×",
    },
    ...(["wasm", "webgpu"].map((name): TargetRow => ({
      figure: "launches",
      what: `launches a layer, forward and backward, ${name}`,
      ours: "",
      theirs: "",
      ratio: at("launches", `${name}, launches a layer`),
      target: 30,
      most: true,
      unit: "",
    }))),
    ...(["generation", "generation-webgpu"].flatMap((name) =>
      ["prefix again, our kernels", ...(name === "generation" ? [] : ["prefix again, stock TF.js"])].map((
        baseline,
      ) =>
        compared(
          {
            figure: name,
            what: `generation, 16×6×128, ${backendOf(name)}`,
            ours: at(name, speed),
            theirs: at(name, `${baseline}, tokens a second`),
            name: baseline,
            target: 20,
          },
        )
      )
    )),
    {
      figure: "stories",
      what: "generation, stories260K, 32 sequences, WASM with BLAS",
      ours: rate(at("stories", speed)),
      theirs: "",
      ratio: at("stories", speed),
      unit: "",
    },
    {
      figure: "stories",
      what: "generation, stories260K, one sequence",
      ours: rate(at("stories", `one sequence, ${speed}`)),
      theirs: "",
      ratio: at("stories", `one sequence, ${speed}`),
      unit: "",
    },
    {
      figure: "start",
      what: "start of `deno task score` to its first record",
      ours: at("start", "seconds") === undefined ? "" : `${at("start", "seconds")!.toFixed(2)} s`,
      theirs: "",
      ratio: at("start", "seconds"),
      target: 1.5,
      most: true,
      unit: "",
    },
    ...(["lora", "lora-webgpu"].flatMap((name) =>
      ["weights dominate", "activations dominate"].flatMap((shape): TargetRow[] => {
        const where = `LoRA step over a full step, ${backendOf(name)}, ${shape}`;
        const value = (key: string) => at(name, `${shape}, ${key}`);
        const ms = (key: string) => value(key) === undefined ? "" : `${group(value(key)!)} ms`;
        return [
          {
            figure: name,
            what: `${where}: time`,
            ours: ms("LoRA, milliseconds"),
            theirs: ms("full, milliseconds"),
            ratio: value("time ratio"),
            target: 1,
            most: true,
            unit: "×",
          },
          {
            figure: name,
            what: `${where}: peak bytes`,
            ours: megabytes(value("LoRA, peak bytes")),
            theirs: megabytes(value("full, peak bytes")),
            ratio: value("bytes ratio"),
            target: 1 / 3,
            most: true,
            unit: "%",
          },
          {
            figure: name,
            what: `${where}: time with --recompute`,
            ours: ms("LoRA computed again, milliseconds"),
            theirs: ms("full, milliseconds"),
            ratio: over(value("LoRA computed again, milliseconds"), value("full, milliseconds")),
            most: true,
            unit: "×",
          },
          {
            figure: name,
            what: `${where}: peak bytes with --recompute`,
            ours: "",
            theirs: megabytes(value("full, peak bytes")),
            ratio: value("LoRA computed again, bytes ratio"),
            target: 1 / 3,
            most: true,
            unit: "%",
          },
        ];
      })
    )),
    ...(["loading", "loading-webgpu"].flatMap((name) =>
      ["F32, cold", "BF16, cold", "F32, warm", "BF16, warm"].map((state): TargetRow => {
        const speed = (key: string) => {
          const bytes = at(name, `${state}, ${key}, bytes a second`);
          return bytes === undefined ? "" : `${group(bytes / 1e9)} GB/s`;
        };
        return {
          figure: name,
          what: `loading ${state} over reading the file, ${backendOf(name)}`,
          ours: speed("loaded"),
          theirs: speed("file read"),
          ratio: at(name, `${state}, ratio`),
          // Warm, the file is read at the speed of memory, not of the disk.
          target: state.endsWith("cold") ? 0.5 : undefined,
          unit: "%",
        };
      })
    )),
    ...(["decoding-int4", "decoding-int4-no-blas", "decoding-int4-webgpu"].flatMap((name) =>
      (name.endsWith("webgpu") ? [1, 6, 48] : [1, 6, 96]).map((count) =>
        compared(
          {
            figure: name,
            what: `decoding on 4 bits, ${backendOf(name)}, ${count} at once`,
            ours: at(name, `${count} at once, int4, tokens a second`),
            theirs: at(name, `${count} at once, f32, tokens a second`),
            name: "f32",
            target: 1,
          },
        )
      )
    )),
    ...(["decoding-smol", "decoding-smol-no-blas"].flatMap((name) =>
      ([[1, "int8", 1.5], [1, "int4", 2], [8, "int8", 1], [8, "int4", 1]] as const).map((
        [count, dtype, target],
      ) =>
        compared(
          {
            figure: name,
            what: `decoding, SmolLM2-135M's shape, ${dtype}, ${backendOf(name)}, ${count} at once`,
            ours: at(name, `${count} at once, ${dtype}, tokens a second`),
            theirs: at(name, `${count} at once, f32, tokens a second`),
            name: "f32",
            target,
          },
        )
      )
    )),
  ];
}

function backendOf(figure: string): string {
  return figure.endsWith("webgpu")
    ? "WebGPU"
    : figure.endsWith("no-blas")
    ? "WASM without BLAS"
    : "WASM with BLAS";
}
