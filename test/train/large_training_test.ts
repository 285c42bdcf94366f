/** A real size: full fine-tuning of a SmolLM2-360M shape on the CPU, as a user runs it, in the memory that is stated. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { totalmem } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parseConfig } from "../../lib/checkpoint/config.ts";
import { writeCheckpoint } from "../../lib/checkpoint/write_checkpoint.ts";
import { Random } from "../../lib/data/random.ts";
import { base, root, run } from "../_commands.ts";
import { freshPath } from "../_models.ts";

/** SmolLM2-360M's config.json, as far as it says a shape. */
const config = {
  model_type: "llama",
  hidden_size: 960,
  intermediate_size: 2560,
  num_hidden_layers: 32,
  num_attention_heads: 15,
  num_key_value_heads: 5,
  vocab_size: 49_152,
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-5,
  rope_theta: 100_000,
  tie_word_embeddings: true,
  bos_token_id: 1,
  eos_token_id: 2,
};

/** Writes the model: norms 1, all else normal with deviation 0.02, a million numbers again and again. */
async function writeModel(directory: string): Promise<void> {
  const random = new Random(1), noise = Float32Array.from({ length: 2 ** 20 }, () => 0.02 * random.normal());
  const names = ["tokenizer.json", "tokenizer_config.json"];
  await writeCheckpoint(directory, {
    config: parseConfig(config, "the test's config"),
    files: new Map(names.map((name) => [name, readFileSync(join(root, base, name), "utf8")])),
    dtype: "F32",
    parameter: ({ shape, decay }) => {
      const values = new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(1);
      if (!decay) return values;
      for (let at = 0; at < values.length; at += noise.length) {
        values.set(noise.subarray(0, Math.min(noise.length, values.length - at)), at);
      }
      return values;
    },
  });
}

const skip = !existsSync("/proc/self/status")
  ? "the peak of a process is read from Linux' /proc"
  : totalmem() < 10e9 && "it takes 6 GB of memory";

test("all 362 million parameters are trained within 6.5 GB", { skip, timeout: 1_800_000 }, async () => {
  const model = freshPath();
  await writeModel(model);
  let peak = 0, looks: ReturnType<typeof setInterval> | undefined;
  const { code, out, err } = await run("vft", [
    ...["--model", model, "--data", "arithmetic", "--limit", "2", "--steps", "2", "--batch-size", "1"],
    ...[
      "--recompute",
      "--learning-rate",
      "1e-4",
      "--log-every",
      "1",
      "--backend",
      "wasm",
      "--out",
      freshPath(),
    ],
  ], {
    timeout: 1_500_000,
    onStart(child) {
      looks = setInterval(() => {
        try {
          const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
          peak = Math.max(peak, 1024 * Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0));
        } catch {
          // it has ended
        }
      }, 200);
    },
  });
  clearInterval(looks);
  assert.equal(code, 0, err);
  const losses = out.trim().split("\n").map((line) => JSON.parse(line).loss as number);
  assert.equal(losses.length, 2);
  // Random weights know nothing: the first loss is about log V = 10.8.
  assert.ok(losses[0]! > 10 && losses[0]! < 13 && losses[1]! < losses[0]!, `losses ${losses}`);
  // Weights and gradients 2.9 GB in the heap, moments 2.9 GB outside it.
  assert.ok(peak > 5.7e9 && peak < 6.5e9, `peak ${(peak / 1e9).toFixed(2)} GB`);
});
