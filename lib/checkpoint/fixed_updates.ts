/**
 * What an adapter of PEFT's can do besides low-rank updates and modules of its own: served as whole matrices beside the
 * base's, and never trained.
 */

/** The parts of an adapter that are served and not trained. */
export interface FixedUpdates {
  /**
   * DoRA (arXiv 2402.09353, PEFT's use_dora): an updated matrix V = W + scale·B·A keeps the directions of its rows and has
   * lengths of the adapter's own, W'_i = m_i·V_i/‖V_i‖. Of the embedding, it is the columns that have them.
   */
  readonly magnitudes?: true;
  /** A low-rank update of the head. An embedding that is tied to it stays the base's. */
  readonly head?: true;
  /**
   * Tokens whose rows are the adapter's (PEFT's trainable_token_indices). A head that is tied to the embedding has the
   * embedding's.
   */
  readonly tokens?: { readonly embedding?: readonly number[]; readonly head?: readonly number[] };
}

/** The fields of adapter_config.json that ask for them, as they stand there. */
export function fixedFields({ magnitudes, head, tokens }: FixedUpdates): string {
  return [
    ...(magnitudes ? ["use_dora"] : []),
    ...(head ? ['target_modules "lm_head"'] : []),
    ...(tokens ? ["trainable_token_indices"] : []),
  ].join(", ");
}
