import type { AlignSettings } from "./align_options.ts";
import { fileName } from "./align_report.ts";
import type { ProblemCounts } from "./held_out.ts";
import type { PlannedStage } from "./time_left.ts";

/** Whether a round trains a control: from the base the first alone, and where it is not trained just as VFT was. */
export function hasControl(
  { start, epochs, alignEpochs, learningRate, alignLearningRate }: Pick<
    AlignSettings,
    "start" | "epochs" | "alignEpochs" | "learningRate" | "alignLearningRate"
  >,
  round: number,
): boolean {
  if (start === "vft") return true;
  return round === 1 && (alignEpochs !== epochs || alignLearningRate !== learningRate);
}

/** The stages of a run of `align`, in order, under the names that their progress has. */
export function plannedStages(
  options: AlignSettings,
  { trained, tested, evaluated }: ProblemCounts,
): PlannedStage[] {
  const { samples, epochs, alignEpochs, votes, rounds, evaluationProblems } = options;
  // Beside a prompt and its one response: a prompt with all of its candidates and its reference.
  const group = (1 + samples + 1) / 2;
  const judged: PlannedStage = { label: "test-candidates", kind: "generate", units: tested * samples };
  const stages: PlannedStage[] = [
    { label: "vft", kind: "train", units: trained * epochs },
    ...(evaluationProblems
      ? [{ label: "eval-candidates", kind: "generate", units: evaluated * samples } as const]
      : []),
    judged,
  ];
  const models = ["vft"];
  for (let round = 1; round <= rounds; round++) {
    const last = round === 1 ? "" : `-round-${round}`;
    const candidates = (label: string): PlannedStage => ({
      label,
      kind: "generate",
      units: trained * samples,
    });
    if (round === 1) stages.push(candidates("candidates"));
    if (hasControl(options, round)) {
      stages.push({ label: `control${last}`, kind: "train", units: trained * alignEpochs });
      models.push(`control${last}`);
    }
    for (const { kind } of options.methods) {
      const name = `${fileName(kind)}${last}`;
      if (round > 1) stages.push(candidates(`candidates-${name}`));
      stages.push({ label: name, kind: "train", units: trained * alignEpochs * group });
      models.push(`${kind}${last}`);
    }
  }
  // Greedy and voting answers are written, candidates only read.
  const units = tested * (1 + votes) * 1.5 + tested * samples / 3;
  return [
    ...stages,
    ...models.map((name): PlannedStage => ({
      label: `evaluate ${name.replace(/-round-(\d+)$/, " round $1")}`,
      kind: "measure",
      units,
    })),
  ];
}
