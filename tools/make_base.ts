/**
 * Makes the small base model of fixtures/base: a tokenizer and a LLaMA-shaped decoder, pre-trained on plain text of the
 * embedded grammar (facts, stories, worked stories in other layouts than the references have).
 *
 *   deno task make-base --out fixtures/base
 */
import { resolve } from "node:path";
import { arithmeticCorpus } from "../lib/data/embedded/arithmetic.ts";
import { arithmeticProblems } from "../lib/data/embedded/arithmetic.ts";
import { optionsProblems } from "../lib/data/embedded/options.ts";
import { questionTemplate, renderPrompt, renderResponse } from "../lib/data/prompts.ts";
import type { Problem } from "../lib/data/records.ts";
import { initializeModel } from "../lib/checkpoint/initialize.ts";
import { loadModel } from "../lib/model/load_model.ts";
import { buildTokenizer } from "../lib/tokenizer/tokenizer_builder.ts";
import { UsageError } from "../lib/runtime/errors.ts";
import { exists, remove } from "../lib/runtime/files.ts";
import { train } from "../lib/train/trainer.ts";
import { runTask } from "../tasks/cli/run_task.ts";
import { integer, number, preset, required } from "../tasks/cli/option.ts";
import { pick, shared } from "../tasks/cli/shared_options.ts";

await runTask({
  name: "make-base",
  summary: "Make the embedded base model: tokenizer, random weights, pre-training",
  examples: [{ does: "The model in fixtures/", command: "deno task make-base --out fixtures/base" }],
  options: {
    out: required(shared.out),
    ...pick("output", "seed", "backend", "overwrite"),
    documents: preset(integer("--documents", { help: "Documents of pre-training text" }), 120_000),
    learningRate: preset(number("--learning-rate", { above: 0, help: "Peak learning rate" }), 4e-3),
    batchSize: preset(integer("--batch-size", { help: "Documents per optimizer step" }), 32),
    hiddenSize: preset(integer("--hidden-size", { help: "Width of the residual stream" }), 128),
    layers: preset(integer("--layers", { help: "Decoder layers" }), 4),
    solved: preset(
      number("--solved", { min: 0, max: 1, help: "Share of stories that come with a worked chain" }),
      0.5,
    ),
  },
  async run(options, io) {
    const { out, seed, documents, hiddenSize, layers, overwrite, solved } = options;
    if (!overwrite && await exists(out)) {
      throw new UsageError(`Cannot write ${out}: it already exists; use --overwrite or another --out`);
    }
    const { tokenizer, config: tokenizerConfig } = buildTokenizer(tokenizerTexts(), { vocabularySize: 576 });
    const vocabulary = Object.keys((tokenizer as { model: { vocab: object } }).model.vocab).length;
    const raw = `${resolve(out)}.untrained`;
    await using _raw = { [Symbol.asyncDispose]: () => remove(raw) };
    await initializeModel(raw, {
      seed,
      overwrite: true,
      config: {
        architectures: ["LlamaForCausalLM"],
        model_type: "llama",
        hidden_size: hiddenSize,
        intermediate_size: 3 * hiddenSize,
        num_hidden_layers: layers,
        num_attention_heads: hiddenSize / 32,
        num_key_value_heads: hiddenSize / 64,
        vocab_size: vocabulary,
        max_position_embeddings: 256,
        rms_norm_eps: 1e-5,
        rope_theta: 10000,
        tie_word_embeddings: true,
        hidden_act: "silu",
        bos_token_id: 1,
        eos_token_id: 2,
        torch_dtype: "float32",
      },
      files: new Map([
        ["tokenizer.json", JSON.stringify(tokenizer)],
        ["tokenizer_config.json", JSON.stringify(tokenizerConfig, null, 2)],
      ]),
    });
    const model = await loadModel(raw, { backend: options.backend, listener: io.listener });
    io.listener.note(`${model.size} parameters, vocabulary ${vocabulary}`);
    for await (
      const line of train(model, corpus({ seed, count: documents, solved }), {
        objective: "vft",
        epochs: 1,
        learningRate: options.learningRate,
        batchSize: options.batchSize,
        weightDecay: 0.1,
        beta2: 0.98,
        seed,
        signal: io.signal,
        listener: io.listener,
      })
    ) await io.output.writeRecord(line);
    await model.save(out, { dtype: "BF16", overwrite });
  },
});

/** A document is a response to the empty prompt. */
function* corpus(
  options: { readonly seed: number; readonly count: number; readonly solved: number },
): Generator<Problem> {
  let number = 0;
  for (const text of arithmeticCorpus(options)) {
    yield { id: `document-${number++}`, question: "", prompt: "", reference: text };
  }
}

/** What the tokenizer should know: the corpus, and prompts and responses as training renders them. */
function* tokenizerTexts(): Generator<string> {
  yield* arithmeticCorpus({ count: 3000 });
  for (const problem of arithmeticProblems({ count: 2000 })) {
    yield renderPrompt(problem, { template: questionTemplate });
    yield renderResponse(problem.reference);
  }
  for (const problem of optionsProblems({ count: 1000 })) {
    yield renderPrompt(problem);
    if (problem.reference) yield renderResponse(problem.reference);
  }
}
