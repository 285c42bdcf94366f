import { turns } from "../runtime/turns.ts";
import type { Tensor } from "../backend/device.ts";
import { empty, joined, read, upload } from "../backend/tensors.ts";
import { InputError } from "../runtime/errors.ts";
import { fusedViews, spanAttention } from "../kernels/attention/attention.ts";
import { writeCache } from "../kernels/attention/kv_cache.ts";
import { matmul } from "../kernels/product/matmul.ts";
import { quantizedLinear } from "../kernels/product/quantized_linear.ts";
import { narrowHead } from "./narrow_head.ts";
import { sample, type Sampling } from "../kernels/vocabulary/sample.ts";
import { decodingLayout } from "../kernels/attention/span_layout.ts";
import { embed } from "./embed.ts";
import { inUse, type Layer } from "./parts.ts";
import { type Decoder, reservePositions } from "./state.ts";
import { deviceBatch, paddedRows } from "./batch.ts";
import { feedForward, queriesKeysValues, type Stream } from "./layer.ts";
import { normalize } from "./norm.ts";
import { project, type ProjectOptions } from "./projection.ts";
import { RowAllocator } from "./_row_allocator.ts";

/** One prompt to continue, several times. */
export interface SampleRequest {
  /** Prompt ids, at least one. */
  readonly prompt: readonly number[];
  /** The stream of random numbers of each wanted sample: a sample is a function of the prompt and its stream. */
  readonly streams: readonly number[];
  /** Whether a continuation ends with its last id, as one that spells a stop text does; that id is among its `ids`. */
  readonly stopped?: ((ids: readonly number[]) => boolean) | undefined;
  /** Told of each sample's ids after every block of tokens, the end token left out. */
  readonly drawn?: ((sample: number, ids: readonly number[]) => void) | undefined;
}

/** One continuation. */
export interface Sampled {
  /** Generated ids, the end token left out. */
  readonly ids: number[];
  /** `stop`: an end token was drawn, or the request's `stopped`; `length`: the limit of new tokens or of the context was reached. */
  readonly finish: "stop" | "length";
}

/** How to decode. */
export interface DecodingOptions extends Sampling {
  /** Most tokens of a continuation. */
  readonly maxTokens: number;
  /** Ids that end a continuation. */
  readonly endTokens: readonly number[];
  /** Sequences decoded at once (default 96). */
  readonly slots?: number;
  /** Tokens between readbacks (default 16 on WebGPU, where a readback costs 10 ms; 1 on WASM). */
  readonly block?: number | undefined;
  /** Stops the work between two blocks. */
  readonly signal?: AbortSignal | undefined;
}

interface Question {
  readonly request: SampleRequest;
  readonly promptStart: number;
  readonly promptRows: number;
  readonly results: Sampled[];
  left: number;
  readonly done: (results: Sampled[]) => void;
}

interface Sequence {
  readonly question: Question;
  readonly sample: number;
  readonly ownStart: number;
  readonly ownRows: number;
  readonly ids: number[];
}

/**
 * Continues prompts, many sequences at once, over one cache of keys and values.
 *
 * A question's prompt is computed once, but for its last token, and its samples share its cache rows; each sample owns
 * a run of rows that starts with the prompt's last token, so that the first new token comes out of the same step as all
 * others. Finished sequences give their rows and their place to the next question. Ids stay on the device for a block
 * of steps.
 */
export class DecodingSession implements Disposable {
  readonly #decoder: Decoder;
  readonly #options: DecodingOptions;
  readonly #slots: number;
  readonly #block: number;
  readonly #allocator: RowAllocator;
  readonly #caches: Tensor[];
  readonly #live: Sequence[] = [];
  readonly #ends: ReadonlySet<number>;
  readonly #turn = turns();
  /** Tokens generated, for throughput. */
  generated = 0;

  constructor(
    decoder: Decoder,
    options: DecodingOptions & { readonly longestPrompt: number; readonly samples: number },
  ) {
    this.#decoder = decoder;
    this.#options = options;
    this.#slots = Math.max(options.samples, options.slots ?? 96);
    this.#block = options.block ?? (decoder.device.name === "webgpu" ? 16 : 1);
    this.#ends = new Set(options.endTokens);
    // Room for as many whole questions as have slots, and at least one.
    const questions = Math.ceil(this.#slots / options.samples);
    const rows = questions * (options.longestPrompt + options.samples * options.maxTokens);
    this.#allocator = new RowAllocator(rows);
    const { kvHeads, headDim, layers, maxPositions } = decoder.config;
    reservePositions(decoder, Math.min(maxPositions, options.longestPrompt + options.maxTokens));
    this.#caches = Array.from({ length: layers }, () => empty(decoder.device, [rows, 2 * kvHeads * headDim]));
  }

  /** Sequences being decoded. */
  get live(): number {
    return this.#live.length;
  }

  /** Whether a question with that many samples finds places and cache rows now. */
  tryAdmit(request: SampleRequest, done: (results: Sampled[]) => void): boolean {
    const samples = request.streams.length, promptRows = request.prompt.length - 1;
    if (this.#live.length + samples > this.#slots) return false;
    const limit = this.#decoder.config.maxPositions - request.prompt.length + 1;
    const ownRows = Math.min(this.#options.maxTokens, limit);
    if (ownRows < 1) {
      throw new InputError(
        `Cannot continue a prompt of ${request.prompt.length} tokens: the context holds ${this.#decoder.config.maxPositions}`,
      );
    }
    const taken: [number, number][] = [];
    const take = (size: number) => {
      const start = size === 0 ? 0 : this.#allocator.take(size);
      if (start >= 0) taken.push([start, size]);
      return start;
    };
    const promptStart = take(promptRows);
    const own = promptStart < 0 ? [-1] : request.streams.map(() => take(ownRows));
    if (own.some((start) => start < 0)) {
      for (const [start, size] of taken) this.#allocator.give(start, size);
      return false;
    }
    const question: Question = { request, promptStart, promptRows, results: [], left: samples, done };
    own.forEach((ownStart, i) => this.#live.push({ question, sample: i, ownStart, ownRows, ids: [] }));
    this.#fresh.push(question);
    return true;
  }

  readonly #fresh: Question[] = [];

  /** Computes the prompts admitted since the last call and writes their keys and values into the cache. */
  #prefill(): void {
    const fresh = this.#fresh.splice(0).filter((q) => q.promptRows > 0);
    if (fresh.length === 0) return;
    const decoder = this.#decoder;
    const batch = deviceBatch(
      decoder,
      fresh.map((q) => ({ prompt: q.request.prompt.slice(0, -1), responses: [] })),
    );
    const hostRows = new Int32Array(batch.host.ids.length).fill(-1);
    let at = 0;
    for (const { promptStart, promptRows } of fresh) {
      for (let i = 0; i < promptRows; i++) hostRows[at++] = promptStart + i;
    }
    const rows = upload(this.#decoder.device, hostRows, [hostRows.length]);
    let stream = embed(decoder, batch);
    for (const [l, layer] of decoder.layers.entries()) {
      stream = this.#layer(layer, stream, {
        positions: batch.positions,
        last: layer === decoder.layers.at(-1),
        attend: (qkv) => {
          writeCache(qkv, this.#caches[l], { rows, hostRows });
          return spanAttention(fusedViews(qkv, layer.attention.heads), batch.layout, layer.attention.heads);
        },
      });
    }
    [...new Set([stream.x, stream.delta])].forEach((t) => t?.dispose());
    rows.dispose();
    batch.dispose();
  }

  #layer(
    layer: Layer,
    stream: Stream,
    options: ProjectOptions & {
      readonly positions: Tensor;
      readonly attend: (qkv: Tensor) => { out: Tensor; lse: Tensor };
      /** The last layer of a prefill: only its keys and values are wanted. */
      readonly last?: boolean;
    },
  ): Stream {
    const { norms, projections } = layer, first = normalize(norms.first, stream.x, stream.delta);
    if (stream.delta) [stream.x, stream.delta].forEach((t) => t.dispose());
    const qkv = queriesKeysValues(layer, first.y, options);
    [first.y, ...first.statistics].forEach((t) => t.dispose());
    const { out, lse } = options.attend(qkv);
    [qkv, lse].forEach((t) => t.dispose());
    if (options.last) {
      out.dispose();
      return { x: first.sum };
    }
    const attention = project(projections.output, out, options);
    const second = normalize(norms.second, first.sum, attention);
    [out, attention, first.sum, ...second.statistics].forEach((t) => t.dispose());
    const { preactivation, y } = feedForward(layer, second.y, options);
    [preactivation, second.y].forEach((t) => t.dispose());
    return { x: second.sum, delta: y };
  }

  /** One block of steps for all live sequences; finished ones report to their question. */
  async advance(): Promise<void> {
    this.#options.signal?.throwIfAborted();
    this.#prefill();
    if (this.#live.length === 0) return;
    const live = this.#live;
    const rows = paddedRows(this.#decoder.device, live.length),
      longest = Math.max(...live.map((s) => s.ownRows - s.ids.length));
    const steps = Math.min(this.#block, longest);
    const ids = new Int32Array(rows), streams = new Int32Array(rows);
    live.forEach(({ question, sample, ids: done }, i) => {
      ids[i] = done.at(-1) ?? question.request.prompt.at(-1)!;
      streams[i] = question.request.streams[sample];
    });
    const streamTensor = upload(this.#decoder.device, streams, [rows]);
    let current = upload(this.#decoder.device, ids, [rows]);
    const history: Tensor[] = [];
    try {
      for (let step = 0; step < steps; step++) {
        await this.#turn();
        this.#options.signal?.throwIfAborted();
        const next = this.#step(current, { rows, step, streams: streamTensor });
        current.dispose();
        history.push(next);
        current = next.share();
      }
    } catch (error) {
      history.forEach((t) => t.dispose());
      throw error;
    } finally {
      current.dispose();
      streamTensor.dispose();
    }
    using drawnIds = joined(history);
    const drawn = await read(drawnIds) as Int32Array;
    this.#collect(drawn, rows, steps);
  }

  #step(
    current: Tensor,
    options: { readonly rows: number; readonly step: number; readonly streams: Tensor },
  ): Tensor {
    const { rows, step } = options, decoder = this.#decoder;
    const spans = new Int32Array(4 * rows), positionList = new Int32Array(rows);
    const hostRows = new Int32Array(rows).fill(-1), counterList = new Int32Array(rows);
    this.#live.forEach(({ question, ownStart, ownRows, ids }, i) => {
      const done = ids.length + step;
      counterList[i] = done;
      if (done >= ownRows) return; // finished inside this block: what it draws from here on is left out
      positionList[i] = question.promptRows + done;
      hostRows[i] = ownStart + done;
      spans.set([
        question.promptStart,
        question.promptStart + question.promptRows,
        ownStart,
        ownStart + done + 1,
      ], 4 * i);
      const window = decoder.config.slidingWindow;
      if (window > 0) {
        const oldest = Math.max(0, positionList[i] - window + 1);
        spans[4 * i] = question.promptStart + Math.min(question.promptRows, oldest);
        spans[4 * i + 2] = ownStart + Math.max(0, oldest - question.promptRows);
      }
    });
    const positions = upload(this.#decoder.device, positionList, [rows]),
      cacheRows = upload(this.#decoder.device, hostRows, [rows]);
    const counters = upload(this.#decoder.device, counterList, [rows]);
    const layout = decodingLayout(this.#decoder.device, { spans, keyRows: this.#allocator.rows });
    let stream = embed(decoder, { ids: current, positions });
    for (const [l, layer] of decoder.layers.entries()) {
      stream = this.#layer(layer, stream, {
        positions,
        rounded: true,
        attend: (qkv) => {
          const cache = this.#caches[l], { heads } = layer.attention, width = heads.kvHeads * heads.headDim;
          writeCache(qkv, cache, { rows: cacheRows, hostRows });
          return spanAttention(
            {
              q: fusedViews(qkv, heads).q,
              k: { tensor: cache, stride: 2 * width, offset: 0 },
              v: { tensor: cache, stride: 2 * width, offset: width },
            },
            layout,
            heads,
          );
        },
      });
    }
    const final = normalize(decoder.norm, stream.x, stream.delta);
    const narrow = narrowHead(decoder, rows);
    const logits = narrow
      ? quantizedLinear(final.y, narrow, { rounded: true })
      : matmul(final.y, inUse(decoder.head).tensor, { transposeB: true });
    const ids = sample(logits, { ...this.#options, streams: options.streams, counters });
    [...new Set([stream.x, stream.delta!, final.sum, final.y]), ...final.statistics, logits].forEach((t) =>
      t?.dispose()
    );
    [positions, cacheRows, counters].forEach((t) => t.dispose());
    layout.dispose();
    return ids;
  }

  #collect(drawn: Int32Array, rows: number, steps: number): void {
    const staying: Sequence[] = [];
    this.#live.forEach((sequence, i) => {
      const { question, ids, ownRows, ownStart } = sequence;
      let finish: "stop" | "length" | undefined;
      for (let step = 0; step < steps && !finish; step++) {
        const id = drawn[step * rows + i];
        if (id < 0) {
          throw new InputError(
            `Cannot draw token ${ids.length + 1} of a response: the model's logits are not finite numbers ` +
              "(NaN or infinity); its weights hold such numbers, or lead to them",
          );
        }
        this.generated++;
        if (this.#ends.has(id)) finish = "stop";
        else {
          ids.push(id);
          if (question.request.stopped?.(ids)) finish = "stop";
          else if (ids.length >= ownRows) finish = "length";
        }
      }
      question.request.drawn?.(sequence.sample, ids);
      if (!finish) return void staying.push(sequence);
      this.#allocator.give(ownStart, ownRows);
      question.results[sequence.sample] = { ids, finish };
      if (--question.left === 0) {
        this.#allocator.give(question.promptStart, question.promptRows);
        question.done(question.results);
      }
    });
    this.#live.splice(0, this.#live.length, ...staying);
  }

  /** Frees the caches. */
  dispose(): void {
    this.#caches.forEach((t) => t.dispose());
  }

  /** The same, at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
