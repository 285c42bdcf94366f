import process from "node:process";
import { answerSyncRequests } from "../../lib/runtime/worker_requests.ts";

/** Works for so many seconds of processor time, or for ever. */
answerSyncRequests((seconds: number | "for ever") => {
  if (seconds === "for ever") {
    return /(a+)+$/.test(`${"a".repeat(80)}!`) || (() => {
      for (;;);
    })();
  }
  const began = process.cpuUsage(); // of the process, whose other thread sleeps
  while (process.cpuUsage(began).user < 1e6 * seconds);
  return "done";
});
