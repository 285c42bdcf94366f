/** How long a run of several stages is still likely to take: from what its stages took so far. */

/** What a stage does; stages of one kind take about as long for a unit of work. */
export type StageKind = "train" | "generate" | "measure";

/** A stage that is to come, in order. */
export interface PlannedStage {
  /** What progress calls it: its parts begin with this and a comma, or are called just so. */
  readonly label: string;
  readonly kind: StageKind;
  /** Its size, in responses that are trained on, sampled or scored. */
  readonly units: number;
}

/** What a unit costs beside another kind's, while none of its kind was seen: measured on CPUs, with a small model. */
const prior: Readonly<Record<StageKind, number>> = { train: 1, generate: 1.5, measure: 1 };

/** Share of a stage from which on its speed says something. */
const ENOUGH = 0.03;

/** Watches stages go by. */
export class TimeLeft {
  readonly #spent = new Map<StageKind, { seconds: number; units: number }>();
  #at = -1;
  #since = 0;
  #from = 0;
  #fraction = 0;

  /** @param now the time in seconds */
  constructor(
    readonly stages: readonly PlannedStage[],
    readonly now: () => number = () => performance.now() / 1000,
  ) {}

  /**
   * Takes progress in.
   *
   * @param part what it calls itself
   * @param share how much of the stage is done; undefined where that is not known. A measurement has several parts, each
   * with a share of its own, which says nothing of the whole
   * @returns seconds until all stages are done; undefined while nothing is known, or for a part of no stage
   */
  take(part: string, share: number | undefined): number | undefined {
    const at = this.stages.findIndex(({ label }) => part === label || part.startsWith(`${label}, `));
    if (at < this.#at || at < 0) return undefined;
    const now = this.now(), fraction = this.stages[at]!.kind === "measure" ? undefined : share;
    if (at > this.#at) {
      if (this.#at >= 0) this.#add(this.#at, now - this.#since, 1 - this.#from);
      this.#at = at;
      this.#since = now;
      this.#from = this.#fraction = fraction ?? 0; // a stage that goes on has done this much in another run
    }
    if (fraction !== undefined) this.#fraction = Math.max(this.#fraction, fraction);
    const { kind, units } = this.stages[at]!;
    const here = { seconds: now - this.#since, units: (this.#fraction - this.#from) * units };
    const current = this.#fraction - this.#from >= ENOUGH ? { kind, ...here } : undefined;
    const rate = (of: StageKind) => this.#rate(of, current);
    if (rate(kind) === undefined) return undefined;
    // Without a fraction, time that is over stands for it.
    const rest = fraction === undefined
      ? Math.max(0, units * rate(kind)! - here.seconds)
      : (1 - this.#fraction) * units * rate(kind)!;
    return this.stages.slice(at + 1).reduce((sum, stage) => sum + stage.units * rate(stage.kind)!, rest);
  }

  #add(at: number, seconds: number, share: number): void {
    const { kind, units } = this.stages[at]!, before = this.#spent.get(kind) ?? { seconds: 0, units: 0 };
    this.#spent.set(kind, { seconds: before.seconds + seconds, units: before.units + share * units });
  }

  /** Seconds a unit: of its own kind, or of the others by what a unit costs beside theirs. */
  #rate(
    kind: StageKind,
    current: { readonly kind: StageKind; readonly seconds: number; readonly units: number } | undefined,
  ): number | undefined {
    let seconds = 0, cost = 0;
    for (const own of [true, false]) {
      for (const other of Object.keys(prior) as StageKind[]) {
        if (own !== (other === kind)) continue;
        const parts = [this.#spent.get(other), current?.kind === other ? current : undefined];
        for (const part of parts) {
          seconds += part?.seconds ?? 0;
          cost += (part?.units ?? 0) * prior[other];
        }
      }
      if (cost > 0) return seconds / cost * prior[kind];
    }
    return undefined;
  }
}
