/** Asks a thread that leaves a promise unhandled, and prints what came of it. */
import { openBoundedWorker } from "../../lib/runtime/bounded_worker.ts";

for (const answers of [true, false]) {
  await using worker = openBoundedWorker(new URL("./_stray_worker.ts", import.meta.url));
  const options = { milliseconds: 20_000, overdue: () => "it hung" };
  console.log(await worker.call(answers, options).catch((error) => error.message));
}
