/**
 * Programs about real checkpoints: loading one, and a step with an adapter against one of the whole model.
 */
import { execFile } from "node:child_process";
import * as fs from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Device } from "../lib/backend/device.ts";
import { attachAdapter } from "../lib/model/adapter.ts";
import { parseConfig } from "../lib/checkpoint/config.ts";
import { loadModel } from "../lib/model/load_model.ts";
import { parameterPlan, partShape } from "../lib/checkpoint/parameter_plan.ts";
import { writeTensors } from "../lib/checkpoint/sharded_tensors.ts";
import { Optimizer } from "../lib/train/optimizer.ts";
import { accumulateGradients } from "../lib/train/step.ts";
import { groupsOf, type StepCase } from "./_cases.ts";
import { alignmentLoss, disposeDecoder, randomDecoder, tokenLoss } from "./_decoder.ts";
import { inTurn, median, peakBytes } from "./_peak.ts";
import { benchDevice, openBench } from "./_device.ts";

const RUNS = 5;
type Figures = Record<string, number | string>;

/** Numbers of a checkpoint whose bytes are random. */
export interface RandomCheckpoint {
  readonly dtype: "F32" | "BF16";
  readonly layers: number;
}

/** 590 MB of F32, 473 MB of BF16. */
export const randomCheckpoints: readonly RandomCheckpoint[] = [
  { dtype: "F32", layers: 10 },
  { dtype: "BF16", layers: 16 },
];

/** Writes a LLaMA checkpoint of random bytes, D 1,024 and V 16,384. Returns the path of its only weights' file. */
export async function writeRandomCheckpoint(
  directory: string,
  { dtype, layers }: RandomCheckpoint,
): Promise<string> {
  const raw = {
    model_type: "llama",
    hidden_size: 1024,
    intermediate_size: 3072,
    num_hidden_layers: layers,
    num_attention_heads: 16,
    vocab_size: 16_384,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: true,
    eos_token_id: 2,
  };
  await writeFile(join(directory, "config.json"), JSON.stringify(raw));
  const noise = new Uint8Array(32 * 2 ** 20);
  for (let at = 0; at < noise.length; at += 65_536) crypto.getRandomValues(noise.subarray(at, at + 65_536));
  const width = dtype === "F32" ? 4 : 2;
  const tensors = parameterPlan(parseConfig(raw, "the benchmark's config")).flatMap((parameter) =>
    parameter.parts.map((part) => {
      const shape = partShape(parameter, part), bytes = shape.reduce((a, b) => a * b, width);
      return {
        name: part.tensor,
        dtype,
        shape,
        bytes: () => bytes <= noise.length ? noise.subarray(0, bytes) : new Uint8Array(bytes),
      };
    })
  );
  await writeTensors(directory, tensors);
  return join(directory, "model.safetensors");
}

/** Makes the system forget what it keeps of one file; whether it could. */
async function evict(path: string): Promise<boolean> {
  // dd without a block to copy advises the kernel to drop the file's pages and touches no other file's.
  return await promisify(execFile)("dd", [`if=${path}`, "iflag=nocache", "count=0"]).then(
    () => true,
    () => false,
  );
}

/** Reads a file from its beginning to its end through one buffer of 1 MiB, as `dd bs=1M` does. */
export function readThrough(path: string): void {
  const file = fs.openSync(path, "r"), buffer = new Uint8Array(2 ** 20);
  while (fs.readSync(file, buffer, 0, buffer.length, null) > 0);
  fs.closeSync(file);
}

/** Loads a model and waits until its weights are on the device, then frees it. */
export async function loadAndFree(directory: string, backend: Device["name"]): Promise<void> {
  const model = await loadModel(directory, { backend });
  await model.device.finish();
  model.dispose();
}

/**
 * Loading against reading the same file from its beginning to its end, in turn; with the file out of the system's memory
 * (cold) where that can be had, and in it (warm). The first load, which the heap grows in, is not counted: on a machine
 * that backs memory on first use it would measure that.
 */
export async function loading(backend: Device["name"]): Promise<Figures> {
  await openBench(backend);
  const found: Figures = { backend: benchDevice().reason };
  for (const checkpoint of randomCheckpoints) {
    const directory = await mkdtemp(join(tmpdir(), "aft-loading-"));
    try {
      const path = await writeRandomCheckpoint(directory, checkpoint), { size } = fs.statSync(path);
      found[`${checkpoint.dtype}, bytes`] = size;
      for (const state of await evict(path) ? ["cold", "warm"] as const : ["warm"] as const) {
        const times = { read: [] as number[], load: [] as number[] };
        for (let run = 0; run <= RUNS; run++) {
          for (const name of ["read", "load"] as const) {
            if (state === "cold") await evict(path);
            const start = performance.now();
            if (name === "read") readThrough(path);
            else await loadAndFree(directory, backend);
            if (run > 0) times[name].push(performance.now() - start);
          }
        }
        const read = median(times.read), load = median(times.load), name = `${checkpoint.dtype}, ${state}`;
        found[`${name}, file read, bytes a second`] = 1000 * size / read;
        found[`${name}, loaded, bytes a second`] = 1000 * size / load;
        found[`${name}, ratio`] = read / load;
      }
    } finally {
      await rm(directory, { recursive: true });
    }
  }
  return found;
}

/**
 * Steps of a whole model and of an adapter on it: one where weights are most of the bytes (activations of 0.9 bytes a
 * parameter, as LLaMA-7B has with a micro-batch of 1,024), and one where they are not.
 */
export const loraSizes: Readonly<Record<string, Omit<StepCase, "backend">>> = {
  "weights dominate": {
    size: { layers: 6, width: 768, vocabulary: 4096 },
    batch: { questions: 1, candidates: 2, prompt: 64, response: 64 },
  },
  "activations dominate": {
    size: { layers: 8, width: 256, vocabulary: 4096 },
    batch: { questions: 4, candidates: 6, prompt: 100, response: 120 },
  },
};

/** Trains everything, or an adapter of rank 16 on all projections. */
export interface TrainingChoice {
  readonly lora: boolean;
  readonly keep?: "inputs" | "products";
}

/** An optimizer step, awaited to its end, and the bytes that it stands on: weights, gradients and moments. */
export async function trainingStep(
  { backend, size, batch }: StepCase,
  { lora, keep = "products" }: TrainingChoice,
): Promise<{ run(): Promise<void>; readonly bytes: number; dispose(): void }> {
  await openBench(backend);
  const before = benchDevice().use().used, decoder = randomDecoder(size);
  if (lora) attachAdapter(decoder, { r: 16, alpha: 32 });
  const optimizer = new Optimizer(decoder, {
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weightDecay: 0,
    clip: 1,
  });
  const groups = groupsOf(batch, size.vocabulary), loss = "questions" in batch ? alignmentLoss : tokenLoss;
  return {
    bytes: benchDevice().use().used - before,
    async run() {
      await openBench(backend);
      const { gradients } = optimizer;
      await accumulateGradients(decoder, groups, {
        ...loss,
        microBatchTokens: 4096,
        keep,
        report: false,
        gradients,
      });
      optimizer.update(1e-4).dispose();
      await benchDevice().finish();
    },
    dispose() {
      optimizer.dispose();
      disposeDecoder(decoder);
    },
  };
}

/**
 * Time and peak bytes of both steps. Peak: all tensors alive at once, which are weights, gradients, both moments, and what
 * the passes keep and make; not the pool's free buffers, nor the host's memory.
 */
export async function lora(backend: Device["name"]): Promise<Figures> {
  const found: Figures = {};
  for (const [name, sizes] of Object.entries(loraSizes)) {
    const given = { backend, ...sizes };
    const full = await trainingStep(given, { lora: false }), low = await trainingStep(given, { lora: true });
    const again = await trainingStep(given, { lora: true, keep: "inputs" });
    const times = await inTurn(RUNS, {
      full: () => full.run(),
      lora: () => low.run(),
      again: () => again.run(),
    });
    const peak = async (step: typeof full) => step.bytes + await peakBytes(() => step.run());
    const bytes = { full: await peak(full), lora: await peak(low), again: await peak(again) };
    found.backend = benchDevice().reason;
    found[`${name}, full, milliseconds`] = times.full;
    found[`${name}, LoRA, milliseconds`] = times.lora;
    found[`${name}, time ratio`] = times.lora / times.full;
    found[`${name}, full, peak bytes`] = bytes.full;
    found[`${name}, LoRA, peak bytes`] = bytes.lora;
    found[`${name}, bytes ratio`] = bytes.lora / bytes.full;
    found[`${name}, LoRA computed again, milliseconds`] = times.again;
    found[`${name}, LoRA computed again, bytes ratio`] = bytes.again / bytes.full;
    [full, low, again].forEach((step) => step.dispose());
    benchDevice().trim();
  }
  return found;
}
