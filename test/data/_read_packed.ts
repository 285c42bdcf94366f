/** Reads a packed file in a process of its own, and prints how many bytes it holds and by how many the process grew. */
import process from "node:process";
import { readUnpacked } from "../../lib/runtime/packed_files.ts";

const before = process.memoryUsage().rss;
let peak = 0, bytes = 0;
for await (const piece of readUnpacked(process.argv[2]!)) {
  bytes += piece.length;
  peak = Math.max(peak, process.memoryUsage().rss - before);
}
console.log(JSON.stringify({ bytes, peak }));
