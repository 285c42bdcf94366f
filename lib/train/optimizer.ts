import type { Tensor } from "../backend/device.ts";
import { zeros, zerosOutside } from "../backend/tensors.ts";
import { adamw, sumOfSquares } from "../kernels/adamw.ts";
import { trainable } from "../model/adapter.ts";
import { makeGradients } from "../model/decoder.ts";
import { momentsOutside } from "../model/memory.ts";
import { type Decoder, parameter } from "../model/state.ts";

/** Settings of AdamW that stay the same through a run. */
export interface OptimizerOptions {
  /** Default 0.9. */
  readonly beta1: number;
  /** Default 0.999. */
  readonly beta2: number;
  /** Default 1e-8. */
  readonly epsilon: number;
  /** Decoupled weight decay of matrices; vectors are not decayed. Default 0. */
  readonly weightDecay: number;
  /** Largest global gradient norm. Default 1. */
  readonly clip: number;
}

/** AdamW over a decoder's parameters: gradients and moments on the device, the moments of a large model on the CPU outside its heap. */
export class Optimizer implements Disposable {
  /** Gradients, to which backward passes add; zeroed by every update. */
  readonly gradients: ReadonlyMap<string, Tensor>;
  /** First and second moments by parameter name. */
  readonly moments: ReadonlyMap<string, { readonly m: Tensor; readonly v: Tensor }>;
  /** Updates done. */
  updates = 0;
  readonly #decays: ReadonlySet<string>;

  /** @param trains which parameters are trained (default: the adapter's where there is one, else all) */
  constructor(
    readonly decoder: Decoder,
    readonly options: OptimizerOptions,
    trains: (name: string) => boolean = trainable(decoder),
  ) {
    this.gradients = makeGradients(decoder, trains);
    const trained = [...this.gradients.values()].reduce((sum, { size }) => sum + size, 0);
    const make = momentsOutside(trained) ? zerosOutside : zeros;
    this.moments = new Map(
      [...this.gradients].map((
        [name, g],
      ) => [name, { m: make(g.device, g.shape), v: make(g.device, g.shape) }]),
    );
    this.#decays = new Set([...this.gradients].filter(([, g]) => g.shape.length === 2).map(([name]) => name));
  }

  /**
   * Applies the gradients.
   *
   * @returns the square of the global gradient norm before clipping [1], for the caller to read or free
   */
  update(learningRate: number): Tensor {
    this.updates++;
    const squares = sumOfSquares([...this.gradients.values()]);
    for (const [name, gradient] of this.gradients) {
      const { m, v } = this.moments.get(name)!;
      adamw({ parameter: parameter(this.decoder, name), gradient, m, v }, {
        ...this.options,
        weightDecay: this.#decays.has(name) ? this.options.weightDecay : 0,
        step: this.updates,
        learningRate,
        squares,
      });
    }
    return squares;
  }

  /** Frees gradients and moments. */
  dispose(): void {
    for (const g of this.gradients.values()) g.dispose();
    for (const { m, v } of this.moments.values()) [m, v].forEach((t) => t.dispose());
  }

  /** The same, at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
