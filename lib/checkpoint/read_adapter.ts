/** Reading an adapter's numbers for a base: names and shapes are checked before any number is read. */

import { join } from "node:path";
import { InputError } from "../runtime/errors.ts";
import { exists } from "../runtime/files.ts";
import {
  adaptedEmbedding,
  adaptedProjections,
  adapterShapes,
  type AdapterValues,
  savedName,
} from "./adapted.ts";
import type { AdapterFiles } from "./adapter_config.ts";
import { adapterTensor, type AdapterTensors, sortAdapterTensors } from "./adapter_tensors.ts";
import { isPresent } from "./base_fingerprint.ts";
import { type Checkpoint, transpose } from "./checkpoint.ts";
import type { DecoderConfig } from "./config.ts";
import type { Lora } from "./lora.ts";
import { placesOf } from "./adapter_places.ts";
import { fixedTensors } from "./fixed_places.ts";
import { openSafetensors, type TensorSource } from "./safetensors.ts";
import { savedParameters } from "./saved_modules.ts";

/** The weights' file in an adapter's directory. */
export const adapterWeightsName = "adapter_model.safetensors";

/** The base that an adapter is read for; its tensors, where copies in the adapter are to be compared with them. */
export type AdapterBase =
  & Pick<Checkpoint, "config" | "directory">
  & Partial<Pick<Checkpoint, "tensors" | "readTensor">>;

/** An adapter that was read. */
export interface ReadAdapter {
  readonly lora: Lora;
  readonly values: AdapterValues;
  /** What is to be known of it. */
  readonly notes: readonly string[];
}

/**
 * Reads an adapter for a base that is open.
 *
 * @param fingerprints the base's, of the present and the former kind; compared where they are given and the adapter
 * keeps its own base's
 * @throws {InputError} when a tensor is missing, unknown or of another shape, or the adapter was made for other weights
 */
export async function readAdapter(
  files: AdapterFiles,
  base: AdapterBase,
  fingerprints?: readonly string[],
): Promise<ReadAdapter> {
  const { directory } = files, path = join(directory, adapterWeightsName), { config } = base;
  if (!await exists(path)) {
    const pickled = await exists(join(directory, "adapter_model.bin"));
    throw new InputError(
      `Cannot load adapter ${directory}: ${adapterWeightsName} is missing${
        pickled ? "; adapter_model.bin must be converted first" : ""
      }`,
    );
  }
  await using source = await openSafetensors(path);
  const other = (why: string) =>
    new InputError(
      `Cannot load adapter ${directory} on ${base.directory}: ${why}; it was made for another base, "${files.base}"`,
    );
  const tensors = sortAdapterTensors(source.tensors.keys(), directory);
  const lora = placesOf(files, config, { tensors, other });
  const stored = (map: ReadonlyMap<string, { A?: string; B?: string }>, module: string, factor: "A" | "B") =>
    map.get(module)?.[factor];
  const expect = (name: string, found: string | undefined, expected: readonly number[]): string => {
    const shape = found === undefined ? undefined : source.tensors.get(found)?.shape;
    if (shape?.join() === expected.join()) return found!;
    throw other(
      `tensor "${found ?? name}" ${shape ? `has shape [${shape.join(", ")}]` : "is missing"}, expected [${
        expected.join(", ")
      }]`,
    );
  };
  const projections = adaptedProjections(config, lora).map((projection) => ({
    projection,
    names: projection.parts.map(({ module, rows, r }) => ({
      a: expect(adapterTensor.factor(module, "A"), stored(tensors.factors, module, "A"), [
        r,
        projection.inputs,
      ]),
      b: expect(adapterTensor.factor(module, "B"), stored(tensors.factors, module, "B"), [rows, r]),
    })),
  }));
  const { vocabularySize: v, hiddenSize: d } = config, embedded = adaptedEmbedding(config, lora);
  const embedding = embedded && {
    r: embedded.r,
    a: expect(
      adapterTensor.embeddingFactor(embedded.module, "A"),
      stored(tensors.embeddings, embedded.module, "A"),
      [embedded.r, v],
    ),
    b: expect(
      adapterTensor.embeddingFactor(embedded.module, "B"),
      stored(tensors.embeddings, embedded.module, "B"),
      [d, embedded.r],
    ),
  };
  const fixed = fixedTensors(config, lora, { tensors, expect });
  const saved = savedParameters(config, lora).map(({ name, tensor, shape }) => {
    const stored = tensors.whole.get(tensor), [rows, columns] = source.tensors.get(stored ?? "")?.shape ?? [];
    if (shape.length === 2 && columns === shape[1] && rows !== shape[0]) {
      throw new InputError(
        `Cannot load adapter ${directory} on ${base.directory}: tensor "${stored}" has ${rows} rows, the base ${
          shape[0]
        }: tokens were added to the base before the adapter was trained; give the base with them`,
      );
    }
    return { name, tensor: expect(adapterTensor.whole(tensor), stored, shape) };
  });
  const notes: string[] = [], made = source.metadata.base_fingerprint;
  if (made !== undefined && fingerprints !== undefined) {
    if (!fingerprints.includes(made)) throw other("the shapes agree but the weights differ");
    if (!isPresent(made)) {
      notes.push(
        `The adapter ${directory} knows its base by the first layer and the last norm alone: these agree; ` +
          "saved again, it knows all of it",
      );
    }
  }
  await checkCopies(tensors, { source, base, saved: new Set(saved.map(({ tensor }) => tensor)), directory });

  const values = new Map<string, Float32Array>();
  for (const { projection, names } of projections) {
    const { inputs, r, parts } = projection,
      [[a, shapeA], [b, shapeB]] = adapterShapes(projection);
    const stackA = new Float32Array(shapeA[0] * shapeA[1]), stackB = new Float32Array(shapeB[0] * r);
    for (const [p, part] of parts.entries()) {
      const from = p * r * inputs;
      await source.readFloats(names[p]!.a, stackA.subarray(from, from + part.r * inputs));
      const columns = await source.readFloats(names[p]!.b);
      for (let row = 0; row < part.rows; row++) {
        stackB.set(columns.subarray(row * part.r, (row + 1) * part.r), (part.row + row) * r);
      }
    }
    values.set(a, stackA).set(b, stackB);
  }
  if (embedding) {
    const turned = new Float32Array(v * embedding.r);
    transpose(await source.readFloats(embedding.a), turned, { rows: embedding.r, columns: v });
    values.set("embedding.lora_a", turned).set("embedding.lora_b", await source.readFloats(embedding.b));
  }
  for (const { name, tensor } of saved) values.set(savedName(name), await source.readFloats(tensor));
  for (const [name, stored] of fixed) {
    const parts: Float32Array[] = [];
    for (const tensor of stored) parts.push(await source.readFloats(tensor));
    const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) all.set(part, (at += part.length) - part.length);
    values.set(name, all);
  }
  return { lora, values, notes };
}

/** Refuses a copy of the base's numbers, which PEFT would put into the base, when the base has others. */
async function checkCopies(
  tensors: AdapterTensors,
  { source, base, saved, directory }: {
    readonly source: TensorSource;
    readonly base: AdapterBase;
    readonly saved: ReadonlySet<string>;
    readonly directory: string;
  },
): Promise<void> {
  const copies = [...tensors.copies, ...[...tensors.whole].filter(([, stored]) => !saved.has(stored))];
  for (const [tensor, stored] of copies) {
    const own = base.tensors && storedInBase(base.tensors, tensor, base.config);
    if (!base.readTensor || own === undefined) continue;
    const mine = await base.readTensor(own), theirs = await source.readFloats(stored);
    if (mine.length === theirs.length && mine.every((value, i) => Object.is(value, theirs[i]))) continue;
    throw new InputError(
      `Cannot load adapter ${directory} on ${base.directory}: tensor "${stored}" is not what the base has, and ` +
        "modules_to_save does not name it",
    );
  }
}

/** The base's own name of a tensor: without the prefix where it has none, the embedding's for a tied head. */
function storedInBase(
  tensors: ReadonlyMap<string, unknown>,
  tensor: string,
  config: DecoderConfig,
): string | undefined {
  const bare = tensor.replace(/^(model|transformer)\./, "");
  const tied = config.tiedHead && tensor === "lm_head.weight"
    ? ["model.embed_tokens.weight", "transformer.wte.weight", "embed_tokens.weight", "wte.weight"]
    : [];
  return [tensor, bare, ...tied].find((name) => tensors.has(name));
}
