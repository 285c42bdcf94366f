/**
 * The baseline of the benchmarks: the same decoder, losses and optimizer composed of stock TF.js operations, as one
 * writes them without kernels of one's own. Padded batches with every prompt repeated for every candidate, full
 * logits, the gradient by TF.js's tape, Adam by TF.js.
 */
import * as tf from "@tensorflow/tfjs";
import { read } from "../lib/backend/tensors.ts";
import type { Decoder } from "../lib/model/state.ts";
import { ropeFrequencies } from "../lib/model/rope_frequencies.ts";
import type { TrainingGroup } from "../lib/train/step.ts";

/** A padded batch: one row a candidate. */
interface PaddedBatch {
  readonly rows: number;
  readonly length: number;
  /** Inputs [rows, length − 1] and what follows each, one-hot [rows·(length − 1), V]. */
  readonly inputs: tf.Tensor2D;
  readonly next: tf.Tensor2D;
  /** 1 where the label belongs to a response. [rows, length − 1] */
  readonly labelled: tf.Tensor2D;
  readonly lengths: tf.Tensor1D;
  readonly tokens: number;
  /** Of alignment: right, wrong, the reference. [questions, candidates] each */
  readonly right: tf.Tensor2D;
  readonly wrong: tf.Tensor2D;
  readonly reference: tf.Tensor2D;
  readonly cos: tf.Tensor;
  readonly sin: tf.Tensor;
  readonly mask: tf.Tensor;
}

/** A decoder of stock operations with copies of another's parameters, and its optimizer. */
export class StockDecoder {
  readonly #variables = new Map<string, tf.Variable>();
  readonly #adam: tf.AdamOptimizer;
  readonly #batches = new Map<readonly TrainingGroup[], PaddedBatch>();

  private constructor(readonly source: Decoder, learningRate: number) {
    this.#adam = tf.train.adam(learningRate, 0.9, 0.999, 1e-8);
  }

  /** Copies a LLaMA decoder's parameters; matrices are turned to [in, out], as stock programs have them. */
  static async copy(source: Decoder, { learningRate = 1e-3 } = {}): Promise<StockDecoder> {
    const made = new StockDecoder(source, learningRate);
    for (const [name, tensor] of source.parameters) {
      const values = tf.tensor(await read(tensor) as Float32Array, [...tensor.shape]);
      const turned = tensor.shape.length === 2 && name !== "embedding"
        ? tf.transpose(values)
        : values.clone();
      made.#variables.set(name, tf.variable(turned, true, `stock${counter++}/${name}`));
      [values, turned].forEach((t) => t.dispose());
    }
    return made;
  }

  /** Loss and gradients of a batch: mean −log P over tokens, or −s_ref + L_A (detached) over questions. */
  #gradients(batch: PaddedBatch, mode: "tokens" | "alignment") {
    return tf.variableGrads(() => this.#loss(batch, mode), [...this.#variables.values()]);
  }

  /** One optimizer step with clipping at 1; returns the loss before it [1]. One readback when the caller reads it. */
  step(groups: readonly TrainingGroup[], mode: "tokens" | "alignment"): tf.Scalar {
    const batch = this.#pad(groups);
    return tf.tidy(() => {
      const { value, grads } = this.#gradients(batch, mode);
      const squares = Object.values(grads).map((g) => tf.sum(tf.square(g)));
      const norm = tf.sqrt(tf.addN(squares));
      const scale = tf.minimum(1, tf.div(1, norm));
      const clipped = Object.entries(grads).map(([name, g]) => ({ name, tensor: tf.mul(g, scale) }));
      this.#adam.applyGradients(clipped);
      return value;
    });
  }

  /** The loss alone. */
  loss(groups: readonly TrainingGroup[], mode: "tokens" | "alignment"): tf.Scalar {
    const batch = this.#pad(groups);
    return tf.tidy(() => this.#loss(batch, mode));
  }

  /** Logits of the last position of each row of ids [B, T]: what decoding without a cache computes for each token. */
  lastLogits(ids: readonly (readonly number[])[]): tf.Tensor2D {
    const { config } = this.source, length = ids[0].length;
    return tf.tidy(() => {
      const inputs = tf.tensor2d(ids.flat(), [ids.length, length], "int32");
      const hidden = this.#hidden(inputs, positionsOf(this.source, length));
      const last = tf.reshape(tf.slice(hidden, [0, length - 1, 0], [-1, 1, -1]), [-1, config.hiddenSize]);
      return tf.matMul(last as tf.Tensor2D, this.#variable("embedding") as tf.Tensor2D, false, true);
    });
  }

  #variable(name: string): tf.Tensor {
    return this.#variables.get(name)!;
  }

  #loss(batch: PaddedBatch, mode: "tokens" | "alignment"): tf.Scalar {
    const { config } = this.source, { rows, length } = batch;
    const hidden = this.#hidden(batch.inputs, batch);
    const flat = tf.reshape(hidden, [rows * (length - 1), config.hiddenSize]);
    const logits = tf.matMul(flat as tf.Tensor2D, this.#variable("embedding") as tf.Tensor2D, false, true);
    // Gathering along the last axis has no gradient in TF.js, so labels are picked by a product.
    const picked = tf.sum(tf.mul(tf.logSoftmax(logits), batch.next), -1);
    const logprobs = tf.mul(tf.reshape(picked, [rows, length - 1]), batch.labelled);
    if (mode === "tokens") return tf.div(tf.neg(tf.sum(logprobs)), batch.tokens) as tf.Scalar;
    const [questions, candidates] = batch.right.shape;
    const scores = tf.reshape(tf.div(tf.sum(logprobs, -1), batch.lengths), [questions, candidates]);
    const negative = tf.reshape(detach(scores), [questions, 1, candidates]);
    const positive = tf.reshape(scores, [questions, candidates, 1]);
    const pairs = tf.mul(
      tf.reshape(batch.right, [questions, candidates, 1]),
      tf.reshape(batch.wrong, [questions, 1, candidates]),
    );
    const terms = tf.sum(tf.mul(pairs, tf.exp(tf.sub(negative, positive))), [1, 2]);
    const alignment = tf.log(tf.add(1, terms));
    return tf.mean(tf.sub(alignment, tf.sum(tf.mul(scores, batch.reference), -1))) as tf.Scalar;
  }

  #hidden(inputs: tf.Tensor2D, { cos, sin, mask }: Pick<PaddedBatch, "cos" | "sin" | "mask">): tf.Tensor3D {
    const { layers, heads, headDim, hiddenSize: d, intermediateSize: f, vocabularySize, normEpsilon } =
      this.source.config;
    const [rows, length] = inputs.shape, flat = tf.reshape(inputs, [rows * length]) as tf.Tensor1D;
    const table = this.#variable("embedding") as tf.Tensor2D;
    // The gradient of gather needs a kernel that the WASM backend has not.
    let x: tf.Tensor = tf.getBackend() === "wasm"
      ? tf.matMul(tf.oneHot(flat, vocabularySize) as tf.Tensor2D, table)
      : tf.gather(table, flat);
    const norm = (x: tf.Tensor, name: string) =>
      tf.mul(
        tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), normEpsilon))),
        this.#variable(name),
      );
    const product = (x: tf.Tensor, name: string) =>
      tf.matMul(x as tf.Tensor2D, this.#variable(name) as tf.Tensor2D);
    const perHead = (x: tf.Tensor) =>
      tf.transpose(tf.reshape(x, [rows, length, heads, headDim]), [0, 2, 1, 3]);
    const rotate = (x: tf.Tensor) => {
      const [a, b] = tf.split(x, 2, -1);
      return tf.add(tf.mul(x, cos), tf.mul(tf.concat([tf.neg(b), a], -1), sin));
    };
    for (let l = 0; l < layers; l++) {
      const name = (part: string) => `layers.${l}.${part}`;
      const [q, k, v] = tf.split(product(norm(x, name("norm1")), name("qkv")), 3, -1).map(perHead);
      const scores = tf.mul(tf.matMul(rotate(q), rotate(k), false, true), 1 / Math.sqrt(headDim));
      const attended = tf.matMul(tf.softmax(tf.add(scores, mask)), v);
      const joined = tf.reshape(tf.transpose(attended, [0, 2, 1, 3]), [rows * length, d]);
      x = tf.add(x, product(joined, name("output")));
      const [gate, up] = tf.split(product(norm(x, name("norm2")), name("gate_up")), [f, f], -1);
      x = tf.add(x, product(tf.mul(tf.mul(gate, tf.sigmoid(gate)), up), name("down")));
    }
    return tf.reshape(norm(x, "norm"), [rows, length, d]);
  }

  /** Pads groups of equally many candidates; what one set of groups needs is made once. */
  #pad(groups: readonly TrainingGroup[]): PaddedBatch {
    const kept = this.#batches.get(groups);
    if (kept) return kept;
    const sequences = groups.flatMap(({ tokens: { prompt, responses } }) =>
      responses.map((response) => ({ first: prompt.length, ids: [...prompt, ...response] }))
    );
    const length = Math.max(...sequences.map((s) => s.ids.length)), rows = sequences.length;
    const candidates = groups[0].tokens.responses.length;
    const inputs = new Int32Array(rows * (length - 1)), next = new Int32Array(rows * (length - 1));
    const labelled = new Float32Array(rows * (length - 1));
    sequences.forEach(({ first, ids }, row) => {
      for (let i = 0; i + 1 < ids.length; i++) {
        const at = row * (length - 1) + i;
        inputs[at] = ids[i];
        next[at] = ids[i + 1];
        labelled[at] = i + 1 >= first ? 1 : 0;
      }
    });
    const lengths = sequences.map(({ first, ids }) => ids.length - first);
    const marks = (of: (group: TrainingGroup, c: number) => boolean | undefined) =>
      tf.tensor2d(
        groups.map((g) => Array.from({ length: candidates }, (_, c) => of(g, c) ? 1 : 0)),
        undefined,
        "float32",
      );
    const batch: PaddedBatch = {
      rows,
      length,
      inputs: tf.tensor2d(inputs, [rows, length - 1], "int32"),
      next: tf.tidy(() =>
        tf.cast(tf.oneHot(tf.tensor1d(next, "int32"), this.source.config.vocabularySize), "float32")
      ) as tf.Tensor2D,
      labelled: tf.tensor2d(labelled, [rows, length - 1]),
      lengths: tf.tensor1d(lengths, "float32"),
      tokens: lengths.reduce((a, b) => a + b),
      right: marks((g, c) => g.feedback.correct?.[c] ?? false),
      wrong: marks((g, c) => g.feedback.correct?.[c] === false),
      reference: marks((g, c) => g.feedback.reference === c),
      ...positionsOf(this.source, length - 1),
    };
    this.#batches.set(groups, batch);
    return batch;
  }

  /** Frees variables, moments and batches. */
  dispose(): void {
    this.#variables.forEach((v) => v.dispose());
    this.#adam.dispose();
    for (const batch of this.#batches.values()) {
      for (const value of Object.values(batch)) if (value instanceof tf.Tensor) value.dispose();
    }
  }
}

let counter = 0;

/** Cosines, sines [T, headDim] and the causal mask [T, T]. */
function positionsOf({ config }: Decoder, length: number): Pick<PaddedBatch, "cos" | "sin" | "mask"> {
  const frequencies = ropeFrequencies(config), d = config.headDim;
  const angle = (i: number) => Math.floor(i / d) * frequencies[i % (d / 2)];
  const table = (f: (x: number) => number) =>
    tf.tensor(Float32Array.from({ length: length * d }, (_, i) => f(angle(i))), [length, d]);
  const masked = Float32Array.from(
    { length: length * length },
    (_, i) => i % length > Math.floor(i / length) ? -1e9 : 0,
  );
  return { cos: table(Math.cos), sin: table(Math.sin), mask: tf.tensor(masked, [length, length]) };
}

/** The same numbers without a gradient: TF.js has no stopGradient. */
function detach(x: tf.Tensor): tf.Tensor {
  return tf.customGrad((x) => ({
    value: (x as tf.Tensor).clone(),
    gradFunc: (dy: tf.Tensor) => tf.zerosLike(dy),
  }))(x);
}
