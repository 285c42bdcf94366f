import { answerSyncRequests } from "../../lib/runtime/worker_requests.ts";

/** Works for so many seconds, or for ever. */
answerSyncRequests((seconds: number | "for ever") => {
  if (seconds === "for ever") {
    return /(a+)+$/.test(`${"a".repeat(80)}!`) || (() => {
      for (;;);
    })();
  }
  const end = performance.now() + 1000 * seconds;
  while (performance.now() < end);
  return "done";
});
