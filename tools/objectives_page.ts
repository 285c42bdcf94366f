/**
 * Writes docs/objectives.md from the objectives themselves: formula and source are those of their doc comments.
 *
 *   deno run --allow-read tools/objectives_page.ts > docs/objectives.md && deno fmt docs/objectives.md
 */
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import type { Objective } from "../lib/objectives/objective.ts";
import { objectives } from "../lib/objectives/objectives.ts";

const folder = new URL("../lib/objectives/", import.meta.url);
const files = readdirSync(folder).filter((name) => name.endsWith(".ts")).sort();
const sources = files.map((name) => ({ name, text: readFileSync(new URL(name, folder), "utf8") }));

const intro = `# Objectives

Written by \`deno run --allow-read tools/objectives_page.ts > docs/objectives.md && deno fmt docs/objectives.md\`:
formulas and sources are those of the doc comments in \`lib/objectives\`, one file an objective.

\`deno task ca-align --objective NAME\` trains with one, \`deno task align --objective NAME --rounds N\` samples from the
newest model in every round, \`deno task study --only zoo\` sets all of them side by side from the same candidates.

- **s** is a score: the mean log-prob of a response's tokens, in nats per token. **h** compares the model with a
  reference model, whose log-probs \`deno task score --model DIR\` writes. A question may have any number of candidates:
  methods of pairs take the mean over all pairs of a better and a worse one, and a tie makes none.
- **Constraints** (\`--constraint\`): \`dc\` gives a worse candidate no gradient; \`bc\` pushes it no further than
  \`--boundary\` (AFT: \`--beta\`) under the worst one that is better than it. On other objectives than AFT both are this
  project's reading.
- **Sums**: \`--objective dpo-norm:1,aft:0.5\` adds losses with weights; options and constraints of one of them stand behind
  its weight, \`aft:0.5:beta=0.1:constraint=bc\`. In a program: \`combine([{ objective: "aft", weight: 0.5 }, …])\`. What
  cannot be learned from the same candidates is refused, by name. W-REINFORCE is \`psr:0.1,nsr:1\`.
- **Policy gradients** (${
  namesOf((one) => one.trainsOn === "samples")
}) train on the model's own samples alone, as they
  were drawn: \`generate --keep-duplicates\`, one pass, then new samples. \`align\` does so.
- **Without answers**: \`deno task score --label majority\` lets a question's candidates vote; labels, ranks and rewards (shares
  of the votes) are theirs.
- **Names elsewhere**: TRL's \`sigmoid\` is \`dpo\`, \`sigmoid_norm\` \`dpo-norm\`, \`robust\`, \`hinge\`, \`ipo\`, \`apo_zero\` and
  \`apo_down\` have their names, \`nca_pair\` is \`nca\` with a small \`--alpha\`, and its \`label_smoothing\` is
  \`--label-smoothing\`.

Formulas come from the papers' public code and from accounts of the papers; not each was checked against the paper's text,
and ScPO's was not. What the project decided itself is called ours.
`;

/** Names of some objectives, in the table's order. */
function namesOf(which: (objective: Objective) => boolean): string {
  return Object.values(objectives).filter(which).map(({ name }) => `\`${name}\``).join(", ");
}

/** What the doc comment of an objective says, as Markdown: formulas stand in blocks of code. */
function saidOf(name: string): string {
  const source = sources.find(({ text }) => text.includes(`\n  name: "${name}",`));
  const comments = [
    ...source!.text.matchAll(/^\/\*\*\n((?: \*.*\n)+?) \*\/\nexport const \w+: ObjectiveSpec/gm),
  ];
  const lines = comments.at(-1)![1]!.replace(/^ \* ?/gm, "").replace(/\n@throws[^]*/, "").trim();
  return lines.split("\n\n").map((part) =>
    /^ {2}/.test(part) ? `\`\`\`text\n${part.replace(/^ {2}/gm, "")}\n\`\`\`` : part
  )
    .join("\n\n");
}

function needsOf(objective: Objective): string {
  const { feedback, constraints = ["none"], trainsOn = "candidates", trainingConstraint } = objective;
  const on = {
    candidates: "candidates and the reference",
    samples: "the model's own samples",
    reference: "the reference",
    "rejection samples": "the reference and right candidates whose equations hold",
  };
  const options = Object.entries(objective.options).map(([option, { default: value, help }]) =>
    `\`${option}\` (${value}): ${help.charAt(0).toLowerCase()}${help.slice(1)}`
  );
  return [
    `- Trains on ${on[trainsOn]}; learns from ${feedback.join(", else ") || "no feedback"}${
      objective.needsReferenceLogprobs ? "; needs log-probs of the reference model" : ""
    }`,
    `- Constraints: ${constraints.join(", ")}${
      trainingConstraint ? ` (trained with ${trainingConstraint})` : ""
    }`,
    ...(options.length > 0 ? [`- Options: ${options.join("; ")}`] : []),
  ].join("\n");
}

/** The whole page. */
export function objectivesPage(): string {
  const sections = Object.values(objectives).map((objective) =>
    `## ${objective.name}\n\n${saidOf(objective.name)}\n\n${needsOf(objective)}\n`
  );
  return [intro, ...sections].join("\n");
}

if (import.meta.main) process.stdout.write(objectivesPage());
