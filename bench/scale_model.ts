/**
 * A paper model of data-parallel training on many machines, as the table of docs/scale.md.
 *
 *   deno run bench/scale_model.ts
 *
 *   T_sum = 2·(N − 1)/N · B/W + h·B + 2·(N − 1)·L·⌈B / 32 MiB⌉,   efficiency = C/(C + T_sum)
 *
 * B bytes of gradients, 4 a trained parameter; W bytes a second of a machine's network, of which 90% are reached; a ring
 * (Patarasuk and Yuan 2009) with latency L a hop; h seconds a byte of copying and adding on the host, as `bench/ranks.ts
 * sum` measured it over two processes of one machine; C seconds that a rank computes before it sums: micro-batches that are
 * accumulated count together.
 */

/** What the model is asked about: SmolLM2-135M in full, with half the bytes on the wire, and its LoRA adapter of rank 16. */
const trainings = {
  "full, float32": 4 * 134.5e6,
  "full, bf16 on the wire": 2 * 134.5e6,
  "LoRA, rank 16": 4 * 4.9e6,
};

/** Seconds a byte on the host. */
const host = 2.443 / 540e6;
/** Seconds of a hop between two machines of one switch. */
const latency = 50e-6;
/** Bytes a second. */
const networks = { "10 GbE": 0.9 * 1.25e9, "100 GbE": 0.9 * 12.5e9 };

const counts = [8, 16, 32, 64], seconds = [1, 10, 60];

function sumSeconds(
  bytes: number,
  { ranks, wire }: { readonly ranks: number; readonly wire: number },
): number {
  const hops = 2 * (ranks - 1), buckets = Math.ceil(bytes / (32 * 2 ** 20));
  return hops / ranks * bytes / wire + host * bytes + hops * latency * buckets;
}

const range = `N = ${counts[0]} to ${counts.at(-1)}`;
const head = ["training", "network", "MB a step", ...seconds.map((c) => `C = ${c} s, ${range}`)];
const lines = [head, head.map((_, i) => i < 2 ? "---" : "---:")];
for (const [training, bytes] of Object.entries(trainings)) {
  for (const [network, wire] of Object.entries(networks)) {
    const cells = seconds.map((c) => {
      const shares = counts.map((ranks) => Math.round(100 * c / (c + sumSeconds(bytes, { ranks, wire }))));
      return [...new Set([Math.max(...shares), Math.min(...shares)])].join(" to ") + "%";
    });
    lines.push([training, network, String(Math.round(bytes / 1e6)), ...cells]);
  }
}
for (const line of lines) console.log(`| ${line.join(" | ")} |`);
