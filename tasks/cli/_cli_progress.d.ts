/** The part of cli-progress that progress.ts uses. Its published types pull in all of Node's, which Deno has already. */
export class SingleBar {
  /** See the package's README for the options. */
  constructor(options: Readonly<Record<string, unknown>>, preset: unknown);
  /** Draws the bar for the first time. */
  start(total: number, value: number, payload: Readonly<Record<string, string>>): void;
  /** Sets the value and the words that `format` names. */
  update(value: number, payload: Readonly<Record<string, string>>): void;
  /** Draws the bar now. */
  render(): void;
  /** Draws the bar a last time and goes to the next line. */
  stop(): void;
}

/** The looks that come with the package. */
export const Presets: { readonly shades_classic: unknown };
