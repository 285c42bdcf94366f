/** The words of other tools for what an option of ours does: who comes from there types them first. */

import type { Options } from "./option.ts";

/** By our flag, with a value where the word itself says one: theirs, in lower case with dashes. */
const words: Readonly<Record<string, readonly string[]>> = {
  "--model": ["model-name", "model-name-or-path", "model-path", "base-model", "checkpoint", "pretrained"],
  "--adapter": ["peft-model", "adapter-path", "lora-path", "adapter-name-or-path"],
  "--out": ["output-dir", "save-dir", "output-path", "save-path", "out-dir"],
  "--data": ["dataset", "dataset-name", "data-path", "train-file", "train-data", "data-file"],
  "--data-directory": ["data-dir", "cache-dir"],
  "--test-data": ["eval-dataset", "test-file"],
  "--eval-data": ["eval-dataset", "validation-file", "val-data", "eval-file"],
  "--eval-share": ["val-size", "test-size", "validation-split", "eval-split"],
  "--eval-every": ["eval-steps", "eval-strategy", "evaluation-strategy", "val-check-interval"],
  "--keep-best": ["metric-for-best-model", "load-best-model-at-end"],
  "--keep-last": ["save-total-limit"],
  "--patience": ["early-stopping-patience", "early-stopping"],
  "--learning-rate": ["lr", "max-lr", "peak-lr", "rate"],
  "--epochs": ["num-train-epochs", "num-epochs", "n-epochs", "max-epochs"],
  "--steps": ["max-steps", "num-steps", "iters", "num-iterations"],
  "--batch-size": [
    "per-device-train-batch-size",
    "train-batch-size",
    "global-batch-size",
    "gradient-accumulation-steps",
    "bs",
  ],
  "--micro-batch": ["micro-batch-size", "max-tokens-per-batch", "per-device-eval-batch-size"],
  "--warmup": ["warmup-ratio", "warmup-steps"],
  "--decay": ["lr-scheduler-type", "lr-scheduler", "lr-schedule", "scheduler"],
  "--weight-decay": ["wd"],
  "--clip": ["max-grad-norm", "grad-clip", "gradient-clipping", "clip-grad-norm"],
  "--recompute": ["gradient-checkpointing", "activation-checkpointing"],
  "--log-every": ["logging-steps", "log-interval", "log-steps"],
  "--save-every": ["save-steps", "save-interval", "save-strategy", "checkpoint-interval"],
  "--resume": ["resume-from-checkpoint", "resume-from"],
  "--overwrite": ["overwrite-output-dir", "force"],
  "--objective": ["loss-type", "loss", "algorithm", "method", "trainer"],
  "--too-long": ["truncation", "max-length", "max-seq-length", "cutoff-len", "max-prompt-length"],
  "--max-tokens": [
    "max-new-tokens",
    "max-completion-length",
    "max-gen-toks",
    "max-response-length",
    "max-length",
  ],
  "--samples": ["num-generations", "num-return-sequences", "num-samples", "n", "best-of", "group-size"],
  "--limit": ["max-train-samples", "max-samples", "num-examples"],
  "--generate-from": ["api-base", "base-url", "vllm-url", "server-url", "vllm-server-base-url"],
  "--shard": ["num-shards", "shard-id", "shard-index", "shard-num", "array-task"],
  "--votes": ["num-votes", "maj-k", "self-consistency"],
  "--chat": ["apply-chat-template", "chat-template"],
  "--system": ["system-prompt", "system-message"],
  "--few-shot": ["num-fewshot", "fewshot", "shots"],
  "--backend": ["device", "gpu", "cuda", "cpu"],
  "--threads": ["num-threads", "n-threads", "num-workers", "cores", "jobs"],
  "--seed": ["random-seed", "manual-seed"],
  "--lora r=16": ["lora-r", "lora-rank", "use-peft", "use-lora", "rank", "peft"],
  "--lora r=16,alpha=32": ["lora-alpha"],
  "--lora r=16,dropout=0.05": ["lora-dropout"],
  "--lora r=16,targets=q,v": ["lora-target-modules", "target-modules", "lora-target"],
  "--base-dtype int8": ["load-in-8bit"],
  "--base-dtype int4": ["load-in-4bit", "qlora", "quantization"],
  "--tensorboard": ["report-to", "logging-dir", "wandb-project", "use-tensorboard"],
};

/** Words for which there is no option of the same meaning. */
const unlike: Readonly<Record<string, { readonly near: string; readonly says: string }>> = {
  bf16: { near: "--dtype", says: "numbers are computed in F32 here; --dtype BF16 writes the weights so" },
  fp16: { near: "--dtype", says: "numbers are computed in F32 here; --dtype F16 writes the weights so" },
  "torch-dtype": { near: "--dtype", says: "numbers are computed in F32 here; --dtype is what is written" },
};

/** `: it is --learning-rate here` for a word of another tool, or of ours with underscores; undefined for any other. */
export function elsewhere(word: string, options: Options): string | undefined {
  const plain = word.replace(/^-+/, "").replace(/=.*$/, "").replaceAll("_", "-").toLowerCase();
  const known = new Set(Object.values(options).map((of) => of.flag as string));
  const dashes = word.startsWith("-");
  const says = (target: string) => `: it is ${dashes ? target : target.slice(2).replace(" ", ": ")} here`;
  if (Object.hasOwn(unlike, plain) && known.has(unlike[plain]!.near)) return `: ${unlike[plain]!.says}`;
  if (known.has(`--${plain}`)) return says(`--${plain}`);
  for (const [target, theirs] of Object.entries(words)) {
    if (theirs.includes(plain) && known.has(target.split(" ")[0]!)) return says(target);
  }
  return undefined;
}
