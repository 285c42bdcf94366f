import { turns } from "../runtime/turns.ts";
import type { Tensor } from "../backend/device.ts";
import { upload } from "../backend/tensors.ts";
import { planMicroBatches, type TokenGroup } from "../model/packing.ts";
import { backward, forward, orderedLogprobs, type PassKeep } from "../model/decoder.ts";
import type { Decoder } from "../model/state.ts";
import { type DeviceBatch, deviceBatch } from "../model/batch.ts";
import type { ResolvedOptions } from "../objectives/_options.ts";
import type { Objective, ScoredGroup } from "../objectives/objective.ts";
import { checkedLoss } from "../objectives/checked_loss.ts";
import { InputError } from "../runtime/errors.ts";

/** One question as the trainer sees it: its tokens, and what is known of each candidate. */
export interface TrainingGroup {
  readonly id: string;
  readonly tokens: TokenGroup;
  /** Labels, ranks, rewards, reference log-probs and the reference's index: a {@linkcode ScoredGroup} without scores. */
  readonly feedback: Omit<ScoredGroup, "scores" | "lengths" | "tokens">;
}

/** What a step minimises. */
export interface LossOptions {
  readonly objective: Objective;
  readonly objectiveOptions: ResolvedOptions;
}

/** How a step is computed: these change memory and time, not the result. */
export interface StepOptions {
  /** Rows of a micro-batch. */
  readonly microBatchTokens: number;
  /** What forward passes keep for the backward pass. */
  readonly keep: Exclude<PassKeep, "nothing">;
  /** Whether log-probs are read back where the objective does not need them. */
  readonly report: boolean;
}

/** A batch that is computed in parts, each by another rank. */
export interface PartOptions {
  /** The whole batch, where the groups are a part of it: losses are divided by what it has. */
  readonly batch?: readonly TrainingGroup[];
}

/** Whether a step reads log-probs back: where the objective needs scores, or they are reported. */
export function readsScores({ objective, report }: LossOptions & Pick<StepOptions, "report">): boolean {
  return objective.averages !== "tokens" || report;
}

/** The outcome of one step. */
export interface StepReport {
  /** Loss of the batch; undefined when it was not read. */
  readonly loss?: number | undefined;
  /** The objective's share of the loss. */
  readonly objectiveLoss?: number | undefined;
  /** The VFT term's share. */
  readonly vftLoss?: number | undefined;
  /** Scores of every group, in order; empty when they were not read. */
  readonly groups: readonly ScoredGroup[];
  /** Response tokens with a label. */
  readonly responseTokens: number;
  /** Rows computed forward and backward. */
  readonly rows: number;
}

/**
 * Adds the gradient of a batch's loss to `gradients`: forward, objective on the CPU in float64, backward.
 *
 * A micro-batch whose groups are whole is done in one go. A group that is cut over several is scored first; its pieces
 * are then computed again, one at a time, so any number of candidates fits. The result does not depend on the cuts,
 * since weights are set from the whole batch.
 *
 * @throws {InputError} when a loss is not a number, naming the question
 */
export async function accumulateGradients(
  decoder: Decoder,
  groups: readonly TrainingGroup[],
  options: LossOptions & StepOptions & PartOptions & { readonly gradients: ReadonlyMap<string, Tensor> },
): Promise<StepReport> {
  const { microBatchTokens, keep, gradients } = options;
  const plan = planMicroBatches(groups.map((g) => g.tokens), microBatchTokens);
  const loss = new BatchLoss(groups, options), turn = turns();
  let rows = 0, index = 0;
  while (index < plan.length) {
    const { whole, pieces } = plan[index];
    const run = [plan[index++]];
    if (!whole) { // all pieces of the same group follow each other
      while (index < plan.length && !plan[index].whole && plan[index].pieces[0].group === pieces[0].group) {
        run.push(plan[index++]);
      }
    }
    const ids = [...new Set(run.flatMap((m) => m.pieces.map((p) => p.group)))];
    const score = readsScores(options);
    if (run.length > 1 && score) {
      for (const { pieces } of run) {
        await turn();
        using batch = pieceBatch(decoder, groups, pieces);
        using pass = forward(decoder, batch, { keep: "nothing" });
        loss.take(pieces, batch, await orderedLogprobs(pass, batch));
      }
      ids.forEach((g) => loss.evaluate(g));
    }
    for (const { pieces } of run) {
      await turn();
      using batch = pieceBatch(decoder, groups, pieces);
      using pass = forward(decoder, batch, { keep });
      rows += batch.host.tokens;
      if (run.length === 1 && score) {
        loss.take(pieces, batch, await orderedLogprobs(pass, batch));
        ids.forEach((g) => loss.evaluate(g));
      }
      using weights = upload(decoder.device, loss.weights(pieces, batch), [batch.host.labels.length]);
      backward(decoder, pass, { batch, weights, gradients });
    }
  }
  return loss.report(rows);
}

/** The loss of groups under the model as it is, every group read: {@linkcode accumulateGradients} without a gradient. */
export async function measureLoss(
  decoder: Decoder,
  groups: readonly TrainingGroup[],
  options: LossOptions & PartOptions & Pick<StepOptions, "microBatchTokens">,
): Promise<StepReport> {
  const loss = new BatchLoss(groups, options), turn = turns();
  let rows = 0;
  for (const { pieces } of planMicroBatches(groups.map((g) => g.tokens), options.microBatchTokens)) {
    await turn();
    using batch = pieceBatch(decoder, groups, pieces);
    using pass = forward(decoder, batch, { keep: "nothing" });
    rows += batch.host.tokens;
    loss.take(pieces, batch, await orderedLogprobs(pass, batch));
  }
  groups.forEach((_, g) => loss.evaluate(g));
  return loss.report(rows);
}

function pieceBatch(
  decoder: Decoder,
  groups: readonly TrainingGroup[],
  pieces: readonly { group: number; candidates: readonly number[] }[],
): DeviceBatch {
  return deviceBatch(
    decoder,
    pieces.map(({ group, candidates }) => ({
      prompt: groups[group].tokens.prompt,
      responses: candidates.map((c) => groups[group].tokens.responses[c]),
    })),
  );
}

/** A batch's loss: collects log-probs, evaluates each group, and gives the derivative of each label. */
class BatchLoss {
  readonly #logprobs: Float64Array[];
  /** Log-probs of each token, of each group: only where the objective asks for them. */
  readonly #tokenLogprobs: Float64Array[][];
  readonly #gradients: (Float64Array | undefined)[];
  readonly #tokenGradients: (readonly Float64Array[] | undefined)[];
  readonly #scored: (ScoredGroup | undefined)[];
  /** Groups and labels of the whole batch. */
  readonly #count: number;
  readonly #tokens: number;
  /** Average over the tokens of the batch, not over its questions. */
  get #tokenAveraged(): boolean {
    return this.options.objective.averages === "tokens";
  }
  #objectiveLoss = 0;
  #vftLoss = 0;

  constructor(readonly groups: readonly TrainingGroup[], readonly options: LossOptions & PartOptions) {
    const { batch = groups } = options;
    this.#logprobs = groups.map((g) => new Float64Array(g.tokens.responses.length));
    this.#tokenLogprobs = groups.map(() => []);
    this.#gradients = groups.map(() => undefined);
    this.#tokenGradients = groups.map(() => undefined);
    this.#scored = groups.map(() => undefined);
    this.#count = batch.length;
    this.#tokens = batch.reduce((sum, g) => sum + trainedTokens(g), 0);
  }

  take(
    pieces: readonly { group: number; candidates: readonly number[] }[],
    batch: DeviceBatch,
    logprobs: Float64Array,
  ): void {
    for (const { group, candidate, start, end } of batch.host.spans) {
      const piece = pieces[group];
      let sum = 0;
      for (let i = start; i < end; i++) sum += logprobs[i];
      this.#logprobs[piece.group][piece.candidates[candidate]] = sum;
      if (!this.options.objective.needsTokens) continue;
      this.#tokenLogprobs[piece.group][piece.candidates[candidate]] = logprobs.slice(start, end);
    }
  }

  evaluate(index: number): void {
    const { id, tokens, feedback } = this.groups[index], { options } = this;
    const lengths = tokens.responses.map((r) => r.length);
    const scores = Float64Array.from(this.#logprobs[index], (sum, i) => sum / lengths[i]);
    const group: ScoredGroup = { ...feedback, scores, lengths };
    this.#scored[index] = group;
    const { needsTokens } = options.objective, tokenLogprobs = this.#tokenLogprobs[index];
    if (this.#tokenAveraged) {
      scores.forEach((s, i) => this.#objectiveLoss -= s * lengths[i] / this.#tokens);
    } else {
      const { value, gradient, tokenGradient } = named(
        id,
        () =>
          checkedLoss(
            options.objective,
            needsTokens ? { ...group, tokens: tokenLogprobs } : group,
            options.objectiveOptions,
          ),
      );
      const share = 1 / this.#count;
      this.#objectiveLoss += value * share;
      const total = gradient.map((g) => g * share);
      const vft = Number(options.objective.addsVft ?? 0) * share;
      if (vft > 0 && feedback.reference !== undefined) {
        this.#vftLoss -= scores[feedback.reference] * vft;
        total[feedback.reference] -= vft;
      }
      this.#gradients[index] = total;
      this.#tokenGradients[index] = tokenGradient?.map((slopes) => slopes.map((slope) => slope * share));
    }
    const { loss } = this;
    if (!Number.isFinite(loss)) {
      throw new InputError(
        `Cannot go on: the loss is ${loss} at question "${id}", scores ${[...scores].join(", ")}`,
      );
    }
  }

  get loss(): number {
    return this.#objectiveLoss + this.#vftLoss;
  }

  /** ∂loss/∂logprob of every label, in the device's order. */
  weights(
    pieces: readonly { group: number; candidates: readonly number[] }[],
    batch: DeviceBatch,
  ): Float32Array {
    const weights = new Float32Array(batch.host.labels.length), { order } = batch.labels;
    for (const { group, candidate, start, end } of batch.host.spans) {
      const piece = pieces[group], at = piece.candidates[candidate];
      const weight = this.#tokenAveraged
        ? -1 / this.#tokens
        : this.#gradients[piece.group]![at] / (end - start);
      const own = this.#tokenGradients[piece.group]?.[at];
      for (let i = start; i < end; i++) weights[order[i]] = own ? weight + own[i - start] : weight;
    }
    return weights;
  }

  report(rows: number): StepReport {
    const groups = this.#scored.filter((g) => g !== undefined);
    const read = groups.length > 0;
    return {
      loss: read ? this.loss : undefined,
      objectiveLoss: read ? this.#objectiveLoss : undefined,
      vftLoss: read && this.options.objective.addsVft ? this.#vftLoss : undefined,
      groups,
      responseTokens: this.#tokens,
      rows,
    };
  }
}

function trainedTokens(group: TrainingGroup): number {
  return group.tokens.responses.reduce((sum, r) => sum + r.length, 0);
}

function named<T>(id: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof InputError) error.message = `Question "${id}": ${error.message}`;
    throw error;
  }
}
