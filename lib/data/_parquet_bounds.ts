/**
 * What makes the Parquet reader end on any file. The library believes the counts and places that a file states: a page's
 * header that lacks a length makes its place NaN, at which it reads the first byte for ever; a run of 2³¹ values is
 * written beyond the end of the array that waits for them.
 *
 * For a thread that does nothing else: it changes the thread's own constructors.
 */

/** Values of one page, or lengths of one list in a header. Writers make pages of some 20,000 values, of one value alone a million. */
const MOST_VALUES = 2 ** 22;

/** From here on no array of this thread is made with a length that no page has, none grows, and nothing is read at NaN. */
export function boundThread(): void {
  const checked = (length: number): number => {
    if (Number.isInteger(length) && length >= 0 && length <= MOST_VALUES) return length;
    throw new RangeError(
      `a page or a list of ${length} values, where at most ${MOST_VALUES.toLocaleString("en")} are read`,
    );
  };
  const bounded = <T extends new (...args: never[]) => object>(
    constructor: T,
    after = (made: object) => made,
  ) => {
    const make = (target: T, args: never[], as: NewableFunction = target) =>
      args.length === 1 && typeof args[0] === "number"
        ? after(Reflect.construct(target, [checked(args[0])], as))
        : Reflect.construct(target, args, as);
    // Bun makes `Array(n)` of `new Array(n)`.
    return new Proxy(constructor, {
      construct: make,
      apply: (target, _, args) => make(target, args as never[]),
    });
  };
  // A hole cannot be written once the array may not grow: all places are there before.
  globalThis.Array = bounded(
    Array,
    (made) => Object.preventExtensions((made as unknown[]).fill(undefined)),
  ) as ArrayConstructor;
  globalThis.Int32Array = bounded(Int32Array);
  globalThis.BigInt64Array = bounded(BigInt64Array);
  const { prototype } = DataView;
  for (const name of Object.getOwnPropertyNames(prototype)) {
    if (!name.startsWith("get")) continue;
    const read = prototype[name as "getUint8"] as (this: DataView, at: number, little?: boolean) => number;
    Object.defineProperty(prototype, name, {
      value(this: DataView, at: number, little?: boolean) {
        if (!(at >= 0)) throw new RangeError("a length is missing or negative");
        return read.call(this, at, little);
      },
    });
  }
}
