/** What the rows of an `align` run are, for whoever sees the names for the first time. */

const kinds: Readonly<Record<string, string>> = {
  vft: "The model after fine-tuning on reference chains of thought (VFT): all others start from it.",
  control:
    "VFT trained on with reference chains for as many passes as the models below: what more of the same training gives " +
    "by itself.",
  "aft-none":
    "AFT without a constraint: right candidates are made likelier than wrong ones, however far the wrong ones fall.",
  "aft-dc":
    "AFT with the detached constraint: right candidates are raised above wrong ones, which are not pushed down.",
  "aft-bc":
    "AFT with the boundary constraint: wrong candidates are pushed down only until they lie a little below the worst " +
    "right one.",
};

/** Each row's name with its sentence; of later rounds one sentence for all. */
export function explainRows(names: readonly string[]): { readonly name: string; readonly meaning: string }[] {
  const later = names.filter((name) => / round \d+$/.test(name));
  return [
    ...names.flatMap((name) => Object.hasOwn(kinds, name) ? [{ name, meaning: kinds[name]! }] : []),
    ...(later.length > 0
      ? [{
        name: "… round 2 and later",
        meaning:
          "The same once more: candidates sampled from the model above of that name, and training on them.",
      }]
      : []),
  ];
}
