/** One line of metrics.jsonl: a logged step. Scores in nats per token. */
export interface Metrics {
  /** Optimizer steps done. */
  readonly step: number;
  /** All optimizer steps of the run. */
  readonly steps: number;
  /** Epochs done, as a fraction. */
  readonly epoch: number;
  /** Loss of the batch. */
  readonly loss: number;
  /** The objective's share of the loss. */
  readonly objective_loss?: number | undefined;
  /** The VFT term's share. */
  readonly vft_loss?: number | undefined;
  /** Mean score of positives, negatives and references of the batch. */
  readonly positives?: number | undefined;
  /** Mean score of negatives. */
  readonly negatives?: number | undefined;
  /** Mean score of references. */
  readonly reference?: number | undefined;
  /** Mean score of positives − mean score of negatives. */
  readonly margin?: number | undefined;
  /** Share of (positive, negative) pairs in order, mean over the batch's questions that have both. */
  readonly assessment_accuracy?: number | undefined;
  /** Share of pairs with a weight above 1e-3 in the alignment loss. */
  readonly active_pairs?: number | undefined;
  /** Share of negatives at or under the boundary. */
  readonly negatives_at_boundary?: number | undefined;
  /** Mean tokens of a response. */
  readonly response_length?: number | undefined;
  /** Share of responses that broke off: without an end token. */
  readonly no_end_token?: number;
  /** Global gradient norm before clipping. */
  readonly gradient_norm: number;
  /** Learning rate of the step. */
  readonly learning_rate: number;
  /** Response tokens a second since the last line. */
  readonly tokens_per_second: number;
  /** Bytes of tensors in use. */
  readonly allocated_bytes: number;
}
