/** A program whose thread takes too long, and that then ends in one of three ways. */
import process from "node:process";
import { openSyncWorker } from "../../lib/runtime/sync_worker.ts";

const [how] = process.argv.slice(2);
const worker = openSyncWorker(new URL("./_slow_worker.ts", import.meta.url));
try {
  worker.call("for ever", { milliseconds: 500, overdue: () => "too long" });
} catch (error) {
  process.stdout.write(`${(error as Error).message}\n`);
  if (how === "throw") throw error;
}
if (how === "exit") process.exit(3);
