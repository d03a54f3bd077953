import { StringDecoder } from "node:string_decoder"

/** The most that is logged of a run's output: `line` of one line, `run` of the whole run, in bytes. */
export interface OutputLimits {
  readonly line: number
  readonly run: number
}

export const defaultLimits: OutputLimits = { line: 8192, run: 1_048_576 }

/** How many bytes both streams of one run may still log (`left`), and how many bytes were not logged (`dropped`). */
export interface Budget {
  left: number
  dropped: number
}

/**
 * The bytes that each line counts in addition to its text. A line of the log is longer than the script's line, so a
 * million empty lines are a large output.
 */
const lineHead = 64

/**
 * Turns the chunks of one output stream into lines, in memory that does not grow with the output. A line is cut at the
 * limit. When the run's budget is spent, the rest is counted and dropped.
 */
export const makeLines = (
  budget: Budget,
  limits: OutputLimits = defaultLimits
): { readonly push: (chunk: Uint8Array) => Array<string>; readonly end: () => Array<string> } => {
  const decoder = new StringDecoder("utf8")
  let line = ""
  // How much of the current line is beyond the limit, in UTF-16 units.
  let beyond = 0

  const append = (text: string): void => {
    const fits = text.slice(0, limits.line - line.length)
    line += fits
    beyond += text.length - fits.length
  }

  /** Returns the current line if the budget has room for it, and begins the next line. */
  const take = (): Array<string> => {
    const text = beyond === 0 ? line : `${line}… (${beyond} more characters)`
    const bytes = Buffer.byteLength(line)
    line = ""
    budget.dropped += beyond
    beyond = 0
    if (budget.left <= 0) {
      budget.dropped += bytes + 1
      return []
    }
    budget.left -= bytes + lineHead
    return [text.endsWith("\r") ? text.slice(0, -1) : text]
  }

  return {
    push: (chunk) => {
      if (budget.left <= 0 && line === "") {
        budget.dropped += chunk.length
        return []
      }
      const [first = "", ...rest] = decoder.write(chunk).split("\n")
      append(first)
      return rest.flatMap((next) => {
        const taken = take()
        append(next)
        return taken
      })
    },
    end: () => {
      append(decoder.end())
      return line === "" ? [] : take()
    }
  }
}

/** How much of the end of a run's output is kept, in characters. */
const tailLength = 4096

/** Keeps the last lines of an output, however long the output is. */
export const makeTail = (): { readonly push: (line: string) => void; readonly text: () => string } => {
  let lines: Array<string> = []
  let length = 0
  return {
    push: (line) => {
      lines.push(line)
      length += line.length + 1
      // The text is cut only now and then, because a cut at each line would be slow.
      if (length > 4 * tailLength) {
        const text = lines.join("\n").slice(-tailLength)
        lines = [text]
        length = text.length + 1
      }
    },
    text: () => lines.join("\n").slice(-tailLength)
  }
}
