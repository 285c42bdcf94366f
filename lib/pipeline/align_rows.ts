/** What the rows of an `align` run are, for whoever sees the names for the first time. */

const kinds: Readonly<Record<string, string>> = {
  "aft-none":
    "AFT without a constraint: right candidates are made likelier than wrong ones, however far the wrong ones fall.",
  "aft-dc":
    "AFT with the detached constraint: right candidates are raised above wrong ones, which are not pushed down.",
  "aft-bc":
    "AFT with the boundary constraint: wrong candidates are pushed down only until they lie a little below the worst " +
    "right one.",
};

/** Those whose sentence depends on what alignment starts from. */
const kindsFrom: Readonly<Record<"vft" | "base", Readonly<Record<string, string>>>> = {
  vft: {
    vft: "The model after fine-tuning on reference chains of thought (VFT): all others start from it.",
    control:
      "VFT trained on with reference chains for as many passes as the models below: what more of the same training gives " +
      "by itself.",
  },
  base: {
    vft:
      "The model after fine-tuning on reference chains of thought (VFT). The others start where it starts, at the base " +
      "model, and learn the same references, and candidates that this model sampled.",
    control: "The base trained on reference chains alone, for as many passes as the models below.",
  },
};

/** Each row's name with its sentence, by what alignment starts from; of later rounds one sentence for all. */
export function explainRows(
  names: readonly string[],
  start: "vft" | "base" = "vft",
): { readonly name: string; readonly meaning: string }[] {
  const all = { ...kindsFrom[start], ...kinds };
  const later = names.filter((name) => / round \d+$/.test(name));
  return [
    ...names.flatMap((name) => Object.hasOwn(all, name) ? [{ name, meaning: all[name]! }] : []),
    ...(later.length > 0
      ? [{
        name: "… round 2 and later",
        meaning:
          "The same once more: candidates sampled from the model above of that name, and training on them.",
      }]
      : []),
  ];
}
