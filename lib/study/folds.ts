/** Groups that somebody brings: does alignment on some questions show on others? */

import { basename, join } from "node:path";
import { loadDataset } from "../data/load_dataset.ts";
import { normalizeResponses } from "../data/prompts.ts";
import { Random } from "../data/random.ts";
import type { Group } from "../data/records.ts";
import type { Measured } from "../pipeline/stages.ts";
import type { Outcome } from "../report/study.ts";
import { byFirst } from "../runtime/agreed.ts";
import { InputError } from "../runtime/errors.ts";
import { makeDirectory } from "../runtime/files.ts";
import type { Watched } from "../runtime/listener.ts";
import type { Cell, StudyCells } from "./cells.ts";
import {
  type BySeed,
  claimAbove,
  compares,
  mainMethod,
  modelColumns,
  modelRow,
  numbersOf,
} from "./figures.ts";
import type { NamedMethod, Numbers } from "./figures.ts";
import { digest, type Method } from "./method.ts";

/** Parts of the questions: each is held out by the seeds that leave its number over. */
const FOLDS = 5;

/**
 * Cross-validation: seed s holds out fifth s mod 5 of the questions that have right and wrong candidates, trains every
 * method on the others, and measures all on both.
 */
export async function folds(cells: StudyCells): Promise<Outcome> {
  const { groups, seeds, epochs } = cells.settings, path = groups!;
  const { listener, options: { signal, calculator } } = cells.stages;
  const all = await broughtGroups(path, { listener, signal, calculator });
  const methods: readonly NamedMethod[] = [
    mainMethod(cells, "VFT"),
    mainMethod(cells, "RFT"),
    { name: "AFT, no constraint", objective: "aft", constraint: "none" },
    mainMethod(cells, "AFT-DC"),
    mainMethod(cells, "AFT-BC"),
  ];
  const unseen = new Map<string, BySeed>(), seen = new Map<string, BySeed>();
  const measureAll = async (name: string, cell: (parts: Parts, seed: number) => Promise<Cell>) => {
    const there: Measured[] = [], here: Measured[] = [];
    for (const seed of seeds) {
      const parts = split(all, seed), made = await cell(parts, seed);
      there.push(await measured(cells, made, { seed, groups: parts.heldOut, part: "unseen" }));
      here.push(await measured(cells, made, { seed, groups: parts.seen, part: "seen" }));
    }
    unseen.set(name, there);
    seen.set(name, here);
  };
  await measureAll("before", () => cells.base());
  for (const { name, ...method } of methods.filter(({ name }) => compares(cells, name))) {
    await measureAll(name, ({ trained }, seed) => trainedOn(cells, { trained, method, seed, path }));
  }
  const assessed = (name: string): Numbers => numbersOf(unseen.get(name)!, "assessment_accuracy");
  const above = (name: string, other: string) =>
    unseen.has(name) && unseen.has(other)
      ? [claimAbove(assessed(name), assessed(other), {
        claim: `${name} assesses candidates of unseen questions better than ${other}`,
        theirs: "not asked",
      })]
      : [];
  const columns = modelColumns.filter(({ key }) => key !== "repetition" && key !== "no_end_token");
  const rows = (of: ReadonlyMap<string, BySeed>) => [...of].map(([name, found]) => modelRow(name, found));
  return {
    name: "folds",
    title: "Candidates that are brought",
    about:
      `Questions of ${
        basename(path)
      } with right and wrong candidates, in five parts: each seed holds one out, trains on ` +
      "the others from the base, references and candidates together, and measures both. before: the base itself. " +
      "Intervals are over the seeds alone, whose training questions overlap: they are a little too narrow.",
    size: `${all.length} questions, ${epochs} passes, ${seeds.length} seeds: mean ± standard deviation.`,
    claims: [...above("AFT-DC", "VFT"), ...above("AFT-BC", "VFT"), ...above("AFT-DC", "RFT")],
    tables: [
      { name: "folds", title: "On questions held out", columns, rows: rows(unseen) },
      { name: "folds_seen", title: "On questions trained on, as many", columns, rows: rows(seen) },
    ],
    plots: [],
  };
}

/** A seed's questions: those trained on, of which as many are measured as are held out. */
interface Parts {
  readonly trained: readonly Group[];
  readonly seen: readonly Group[];
  readonly heldOut: readonly Group[];
}

/** The same shuffle for all seeds, so that five seeds in a row hold each question out once. */
function split(all: readonly Group[], seed: number): Parts {
  const shuffled = new Random(0, { stream: "folds" }).shuffle([...all]);
  const kept = (i: number) => i % FOLDS === seed % FOLDS;
  const trained = shuffled.filter((_, i) => !kept(i)), heldOut = shuffled.filter((_, i) => kept(i));
  return { trained, seen: trained.slice(0, heldOut.length), heldOut };
}

/**
 * The questions with right and wrong candidates, their endings in one form, so that no loss learns whose they are.
 *
 * @throws {InputError} for a file that cannot be read, or has too few of them
 */
export async function broughtGroups(
  path: string,
  { calculator = "keep", ...watched }: Watched & { readonly calculator?: "keep" | "drop" },
): Promise<Group[]> {
  const found: Group[] = [];
  for await (const problem of loadDataset(path, watched)) {
    const { candidates = [] } = problem;
    if (new Set(candidates.flatMap(({ correct }) => correct ?? [])).size < 2) continue;
    found.push(normalizeResponses({ ...problem, candidates }, { calculator, endings: "normalize" }));
  }
  if (found.length >= 2 * FOLDS) return found;
  throw new InputError(
    `Cannot use ${path}: experiment folds must have ${
      2 * FOLDS
    } questions with right and wrong candidates: got ${found.length}`,
  );
}

async function trainedOn(
  cells: StudyCells,
  { trained, method, seed, path }: {
    readonly trained: readonly Group[];
    readonly method: Method;
    readonly seed: number;
    readonly path: string;
  },
): Promise<Cell> {
  const { epochs, learningRate } = cells.settings;
  const name = ["groups", `s${seed}`, method.objective, method.constraint].filter(Boolean).join("-");
  return await cells.train(name, {
    from: await cells.base(),
    settings: { epochs, learningRate, ...method },
    data: basename(path),
    seed,
    records: async function* () {
      yield* trained;
    },
    more: digest(trained),
  });
}

async function measured(
  cells: StudyCells,
  cell: Cell,
  { seed, groups, part }: {
    readonly seed: number;
    readonly groups: readonly Group[];
    readonly part: string;
  },
): Promise<Measured> {
  const key = digest([cell.key, groups, cells.settings.maxTokens]);
  // The base's folder is not the study's to write into.
  const folder = cell.directory === cells.settings.model ? join(cells.options.out, "probes") : cell.directory;
  await byFirst(cells.stages.world, () => makeDirectory(folder));
  return await cells.stages.measure(join(folder, `evaluation-${part}-${key}.json`), {
    from: cell.directory,
    records: async function* () {
      yield* groups;
    },
    label: `evaluate ${basename(cell.directory)}, ${part}`,
    total: groups.length,
    seed,
  });
}
