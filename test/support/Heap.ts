import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

/** How many bytes are in use after everything that nobody holds any more is gone. */
export const heapInUse = (): number => {
  setFlagsFromString("--expose_gc")
  const collect: () => void = runInNewContext("gc")
  // What the first leaves to finalizers, the second takes.
  collect()
  collect()
  return process.memoryUsage().heapUsed
}
