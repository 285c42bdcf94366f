/**
 * A decoder of LLaMA's kind written as plainly as its formulas, in float64, one sequence at a time: it reads the raw
 * fields of config.json and the checkpoint's own tensors, and shares no line with the project's.
 */

/** config.json as it is on disk. */
export type RawConfig = Readonly<Record<string, unknown>>;
/** Tensors by their name in the checkpoint, row-major. */
export type Tensors = ReadonlyMap<string, ArrayLike<number>>;

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

/** x · w / √(mean x² + ε). */
function rmsNorm(x: readonly number[], w: ArrayLike<number>, epsilon: number): number[] {
  const scale = 1 / Math.sqrt(sum(x.map((v) => v * v)) / x.length + epsilon);
  return x.map((v, i) => v * scale * w[i]);
}

/** W·x + b, b where the checkpoint has one. */
function linear(tensors: Tensors, module: string, x: readonly number[]): number[] {
  const w = tensors.get(`${module}.weight`)!, b = tensors.get(`${module}.bias`);
  return Array.from(
    { length: w.length / x.length },
    (_, o) => sum(x.map((v, i) => w[o * x.length + i] * v)) + (b?.[o] ?? 0),
  );
}

/** A head turned by its position: pair (x_i, x_{i+d/2}) by the angle position · θ^(−2i/d) / factor. */
function rotate(x: readonly number[], position: number, config: RawConfig): number[] {
  const half = x.length / 2, { factor = 1 } = (config.rope_scaling ?? {}) as { factor?: number };
  return x.map((v, at) => {
    const i = at % half, angle = position * (config.rope_theta as number) ** (-i / half) / factor;
    return v * Math.cos(angle) + (at < half ? -x[at + half] : x[at - half]) * Math.sin(angle);
  });
}

/** Logits of every position, [ids.length][V]. */
export function plainLogits(config: RawConfig, tensors: Tensors, ids: readonly number[]): number[][] {
  const n = (field: string) => config[field] as number;
  const heads = n("num_attention_heads"), kvHeads = n("num_key_value_heads"), d = n("hidden_size");
  const headDim = (config.head_dim as number | undefined) ?? d / heads, epsilon = n("rms_norm_eps");
  const window = config.use_sliding_window === false ? Infinity : n("sliding_window") || Infinity;
  const embedding = tensors.get("model.embed_tokens.weight")!;
  const row = (id: number) => Array.from({ length: d }, (_, i) => embedding[id * d + i]);
  let x = ids.map(row);
  for (let l = 0; l < n("num_hidden_layers"); l++) {
    const at = `model.layers.${l}.`,
      h = x.map((r) => rmsNorm(r, tensors.get(`${at}input_layernorm.weight`)!, epsilon));
    const headsOf = (name: string) =>
      h.map((r, position) => {
        const all = linear(tensors, `${at}self_attn.${name}_proj`, r),
          norm = tensors.get(`${at}self_attn.${name}_norm.weight`);
        return Array.from({ length: all.length / headDim }, (_, k) => {
          const head = all.slice(k * headDim, (k + 1) * headDim);
          if (name === "v") return head;
          return rotate(norm ? rmsNorm(head, norm, epsilon) : head, position, config);
        });
      });
    const [q, k, v] = ["q", "k", "v"].map(headsOf);
    const attended = ids.map((_, i) =>
      q[i].flatMap((query, head) => {
        const kv = Math.floor(head * kvHeads / heads);
        const first = Math.max(0, i - window + 1), seen = ids.slice(first, i + 1).map((_, j) => first + j);
        const scores = seen.map((j) => sum(query.map((a, c) => a * k[j][kv][c])) / Math.sqrt(headDim));
        const weights = scores.map((s) => Math.exp(s - Math.max(...scores))), total = sum(weights);
        return query.map((_, c) => sum(seen.map((j, s) => weights[s] / total * v[j][kv][c])));
      })
    );
    x = x.map((r, i) => linear(tensors, `${at}self_attn.o_proj`, attended[i]).map((a, c) => a + r[c]));
    x = x.map((r) => {
      const m = rmsNorm(r, tensors.get(`${at}post_attention_layernorm.weight`)!, epsilon);
      const up = linear(tensors, `${at}mlp.up_proj`, m);
      const gated = linear(tensors, `${at}mlp.gate_proj`, m).map((g, c) => g / (1 + Math.exp(-g)) * up[c]);
      return linear(tensors, `${at}mlp.down_proj`, gated).map((a, c) => a + r[c]);
    });
  }
  const head = new Map([["head.weight", tensors.get("lm_head.weight") ?? embedding]]);
  return x.map((r) => linear(head, "head", rmsNorm(r, tensors.get("model.norm.weight")!, epsilon)));
}

/** −mean log P(ids[i+1] | ids[..i]), in nats. */
export function plainLoss(config: RawConfig, tensors: Tensors, ids: readonly number[]): number {
  const logits = plainLogits(config, tensors, ids);
  const losses = ids.slice(1).map((id, i) => Math.log(sum(logits[i].map(Math.exp))) - logits[i][id]);
  return sum(losses) / losses.length;
}
